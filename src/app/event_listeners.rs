//! What the original event-listener API tells of the listeners of a user. Pure.

use crate::admin::EventListener;
use crate::config::{EventListenerPlan, ListenerPlan, Plan};

/// The event listeners of a user, by id.
pub(super) fn of(plan: &Plan, user: &str) -> Vec<EventListener> {
    let mut all: Vec<EventListener> =
        plan.listeners.iter().filter_map(told).filter(|one| one.listener_owner == user).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all
}

fn told(plan: &ListenerPlan) -> Option<EventListener> {
    let EventListenerPlan { owner, algorithm, timeout } = plan.event_listener.as_ref()?;
    Some(EventListener {
        id: plan.listener.name.clone(),
        source_type: EventListener::AMAZON_SQS,
        source_uri: plan.queue.queue.to_string(),
        algo_name: algorithm.name().to_owned(),
        algo_owner: algorithm.owner().to_owned(),
        algo_version: algorithm.version().map(str::to_owned),
        algo_timeout_seconds: timeout.as_secs(),
        listener_owner: owner.clone(),
        credentials: plan.queue.role.as_ref().map(|role| role.arn.clone()),
    })
}
