//! The configuration that `queuepost dev` runs: one sample listener or those of the user's file, and those that are created meanwhile.
//!
//! All of it is led to this machine each time it is read. So a listener that is created in the console stays here as well, and
//! its queue is made.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::app::Source;
use crate::cli::dev_config;
use crate::config::{self, ConfigErrors, Overrides, Plan, Trial};
use crate::localqueue::SharedBroker;
use crate::sqs::QueueRef;
use crate::telemetry::log;

/// Receives before a message goes to the dead-letter queue.
pub(super) const MAX_RECEIVES: u32 = 10;
/// Shorter than in production, so that Ctrl-C does not wait for a long poll.
pub(super) const RECEIVE_WAIT: Duration = Duration::from_secs(1);

/// Reads the configuration.
#[derive(Clone)]
pub(super) struct DevPlan {
    /// Flags, and what stands for them.
    pub(super) overrides: Overrides,
    /// Address of the embedded queue.
    pub(super) queues: SocketAddr,
    /// Address of the sample endpoint, if it stands in for those of other machines.
    pub(super) sample: Option<SocketAddr>,
    pub(super) broker: SharedBroker,
}

impl DevPlan {
    /// The plan, and for each listener the endpoint that the sample stands in for.
    pub(super) fn read(&self, trial: Option<&Trial>) -> Result<(Plan, Vec<Option<String>>), ConfigErrors> {
        let mut plan = config::load_with(&self.overrides, &self.env(), true, trial)?;
        let replaced = match self.sample {
            Some(sample) => dev_config::redirect(&mut plan, sample, RECEIVE_WAIT),
            None => Vec::new(),
        };
        // The AWS SDK's own variables and files must not lead queues elsewhere either.
        let address = Url::parse(&format!("http://{}/", self.queues)).ok();
        for listener in &mut plan.listeners {
            listener.queue.queue = QueueRef::Name(listener.queue.queue.name().to_owned());
            listener.results.all_mut().for_each(|result| result.queue.address.clone_from(&address));
            listener.queue.address.clone_from(&address);
        }
        plan.log.format = log::Format::Watched;
        Ok((plan, replaced))
    }

    /// Where the process reads it again. Queues of new listeners are made as soon as they are known.
    pub(super) fn source(&self) -> Source {
        let (reading, explaining) = (self.clone(), self.clone());
        let load = move |trial: Option<&Trial>| {
            let (plan, _) = reading.read(trial)?;
            // A queue that cannot be made is missing for its listener, which says so.
            dev_config::create_queues(&reading.broker, &plan, MAX_RECEIVES).ok();
            Ok(plan)
        };
        let explain = move || config::explain(&explaining.overrides, &explaining.env(), true);
        Source::new(self.overrides.config.as_ref().map(PathBuf::from), load, explain)
    }

    /// The environment is for `run`: its queue or AWS address must not redirect this command. `${VAR}` of a file may use the
    /// rest of it.
    fn env(&self) -> impl Fn(&str) -> Option<String> {
        let has_file = self.overrides.config.is_some();
        move |name: &str| config::process_env(name).filter(|_| has_file && !name.starts_with("QUEUEPOST_"))
    }
}
