//! Whether POSTs to this machine would go to a proxy: for commands whose servers are here.

use crate::config;
use crate::telemetry::output;

/// Says that a proxy is in the way of POSTs to this machine, if one is.
pub(super) fn note() {
    if let Some(proxy) = in_the_way() {
        output::print(format_args!(
            "note: {proxy} is set without NO_PROXY=127.0.0.1: POSTs to this machine would go to the proxy\n"
        ));
    }
}

/// The variable that sends POSTs for this machine to a proxy, if one does. Calls to a local queue never use
/// it.
fn in_the_way() -> Option<&'static str> {
    let local =
        |name| config::process_env(name).is_some_and(|hosts| hosts == "*" || hosts.contains("127.0.0.1"));
    let excepted = local("NO_PROXY") || local("no_proxy");
    let set = |name: &&str| config::process_env(name).is_some_and(|value| !value.is_empty());
    ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].into_iter().find(set).filter(|_| !excepted)
}
