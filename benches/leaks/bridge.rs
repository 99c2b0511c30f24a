//! The program under test: `queuepost run` without its command line and its log, and a counter of its tasks.

use std::sync::Arc;

use queuepost::app;
use queuepost::config::{self, Overrides};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::protocol::{Orders, say};
use crate::{Bridge, Result};

/// Short, so that timers fire many times in a run.
const THROTTLE_DELAY: &str = "5s";
const TIMEOUT: &str = "2s";
const RECEIVE_WAIT: &str = "1s";

/// Runs until its input ends; answers every request with the number of tasks.
pub(crate) async fn run(role: &Bridge) -> Result<()> {
    let Bridge { queue, url, workers } = role;
    let file = format!(
        "admin: {{listen: '127.0.0.1:0'}}\nendpoints:\n  moody: {{url: '{url}', adaptive: false}}\nlisteners:\n  \
         - {{queue: '{queue}', endpoint: moody, path: /work, workers: {workers}, throttle_delay: {THROTTLE_DELAY}, \
         timeout: {TIMEOUT}, receive_wait: {RECEIVE_WAIT}}}\n"
    );
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/leaks.yaml");
    std::fs::write(path, file)?;
    let overrides = Overrides { config: Some(path.into()), ..Overrides::default() };
    let plan = config::load(&overrides, &|_| None, false).map_err(|errors| errors.to_string())?;
    let mut running = JoinSet::new();
    running.spawn(app::run(plan, None, CancellationToken::new()));
    let mut orders = Orders::after(&())?;
    let metrics = Arc::new(Handle::current().metrics());
    loop {
        tokio::select! {
            order = orders.next::<()>() => match order? {
                Some(()) => say(&metrics.num_alive_tasks())?,
                None => return Ok(()),
            },
            Some(ended) = running.join_next() => {
                ended??;
                return Err("it ended by itself".into());
            }
        }
    }
}
