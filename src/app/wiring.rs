//! Makes listeners of their plans: queue, endpoint, claim checks and results put together.

use std::sync::Arc;
use std::time::Duration;

use crate::app::crew::Maker;
use crate::app::effect::Effect;
use crate::app::endpoints::{Living, Posting};
use crate::app::fleet::Shares;
use crate::app::results;
use crate::config::{ListenerPlan, Plan};
use crate::drain::{Drain, RECEIVES_END_BEFORE};
use crate::limit::clock::Wall;
use crate::pipeline::{ClaimChecks, Listener, Memory, Parts, Settings};
use crate::ports::BoxFuture;
use crate::sqs;
use crate::telemetry::metrics::Metrics;

/// What listeners are made with.
pub(super) struct Wiring {
    pub(super) metrics: Arc<Metrics>,
    pub(super) drain: Drain,
    pub(super) clients: Arc<sqs::Clients>,
    /// What a drain may take.
    pub(super) deadline: Duration,
    /// What this process has of the caps.
    pub(super) shares: Shares,
}

/// A listener's plan and its endpoint.
pub(super) struct Planned {
    pub(super) plan: ListenerPlan,
    pub(super) endpoint: Arc<Living>,
}

impl Planned {
    /// The listeners of a plan; `endpoints` are those of the plan, in its order.
    pub(super) fn all(plan: &Plan, endpoints: &[Arc<Living>]) -> Vec<Self> {
        let with_endpoint = |plan: &ListenerPlan| {
            let endpoint = Arc::clone(endpoints.get(plan.endpoint)?);
            Some(Self { plan: plan.clone(), endpoint })
        };
        plan.listeners.iter().filter_map(with_endpoint).collect()
    }
}

/// Makes the clients of all queues of a plan, so that its listeners are made without waiting.
pub(super) async fn warm(clients: &sqs::Clients, plan: &Plan) {
    for listener in &plan.listeners {
        drop(clients.queue(&listener.queue).await);
        for (_, result) in listener.results.all() {
            drop(clients.queue(&result.queue).await);
        }
    }
}

impl Maker for Wiring {
    type Plan = Planned;

    fn name<'a>(&self, planned: &'a Planned) -> &'a str {
        &planned.plan.listener.name
    }

    fn endpoint<'a>(&self, planned: &'a Planned) -> &'a str {
        &planned.endpoint.limits.name
    }

    fn settings(&self, planned: &Planned) -> Settings {
        let mut settings = planned.plan.listener.clone();
        settings.receiving.wait = receive_wait(settings.receiving.wait, self.deadline);
        settings
    }

    fn effect(&self, old: &Planned, new: &Planned) -> Effect {
        if !Arc::ptr_eq(&old.endpoint, &new.endpoint) {
            return Effect::Replaced;
        }
        let changed = old.plan.written.changed(&new.plan.written);
        // Room for claim checks is made for the workers at the start.
        let is_sized = old.plan.claim_check.is_some() && changed.iter().any(|key| key == "workers");
        if is_sized { Effect::Replaced } else { Effect::of_all(&changed) }
    }

    fn is_same_queue(&self, old: &Planned, new: &Planned) -> bool {
        let (old, new) = (&old.plan.queue, &new.plan.queue);
        (&old.queue, &old.region, &old.address) == (&new.queue, &new.region, &new.address)
    }

    fn make<'a>(&'a self, planned: &'a Planned, memory: Arc<Memory>) -> BoxFuture<'a, Listener> {
        let ListenerPlan { queue, claim_check, results, target, .. } = &planned.plan;
        let (settings, endpoint) = (self.settings(planned), &planned.endpoint);
        Box::pin(async move {
            let parts = Parts {
                metrics: Arc::new(self.metrics.listener(&settings.name, &endpoint.limits.name)),
                queue: Arc::new(self.clients.queue(queue).await),
                endpoint: Arc::new(Posting::new(endpoint, target.clone())),
                claim_checks: claim_check.as_ref().map(|settings| claim_checks(settings, queue)),
                results: results::results(&self.clients, &settings.name, results).await,
                limits: endpoint.limits.clone(),
                drain: self.drain.clone(),
                wall: Wall::System,
                seed: fastrand::u64(..),
                settings,
            };
            let listener = Listener::new(parts, Some(memory));
            let share = self.shares.of_listener(&endpoint.limits);
            listener.handle().change(|controls| controls.share = share);
            listener
        })
    }
}

fn claim_checks(settings: &sqs::ObjectSettings, queue: &sqs::Settings) -> ClaimChecks {
    let store = sqs::objects(settings, queue);
    let sqs::ObjectSettings { buckets, max_size, deletes, .. } = settings.clone();
    ClaimChecks { store, buckets, max_size, deletes }
}

/// The long-poll time that a drain can wait for. A short deadline shortens it to at least a second. One more
/// second is left for the answer to arrive.
fn receive_wait(wait: Duration, deadline: Duration) -> Duration {
    let room = deadline.saturating_sub(RECEIVES_END_BEFORE + Duration::from_secs(1));
    wait.min(Duration::from_secs(room.as_secs().max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_deadline_shortens_the_long_poll() {
        let wait =
            |wait, deadline| receive_wait(Duration::from_secs(wait), Duration::from_secs(deadline)).as_secs();
        assert_eq!(wait(20, 25), 20);
        assert_eq!(wait(20, 24), 20);
        assert_eq!(wait(20, 10), 6);
        assert_eq!(wait(20, 1), 1);
        assert_eq!(wait(0, 25), 0);
        assert_eq!(wait(1, 25), 1);
    }
}
