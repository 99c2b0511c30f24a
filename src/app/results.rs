//! A listener's result queues, made from its plan.
//!
//! A result that cannot be worded as configured goes out in the default JSON. That is logged once for each result queue;
//! each such result says it in `error`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use crate::config::{ResultPlan, ResultsPlan};
use crate::exchange::results::{Form, ResultFacts, ResultForm, Worded};
use crate::pipeline::{ResultQueue, Results, When};
use crate::policy::preflight::spoken;
use crate::ports::{Queue as _, QueueReason};
use crate::sqs::{self, Outgoing};
use crate::telemetry::Chain;

/// The result queues of the listener `name`.
pub(super) async fn results(clients: &sqs::Clients, name: &str, plan: &ResultsPlan) -> Results {
    Results {
        success: of(clients, name, "results.success", plan.success.as_ref()).await,
        failure: of(clients, name, "results.failure", plan.failure.as_ref()).await,
    }
}

async fn of(
    clients: &sqs::Clients,
    name: &str,
    key: &'static str,
    plan: Option<&ResultPlan>,
) -> Option<ResultQueue> {
    let ResultPlan { queue, form, every_try } = plan?;
    let form =
        Logged { form: Arc::clone(form), listener: name.to_owned(), key, is_told: AtomicBool::new(false) };
    Some(ResultQueue {
        outbox: Arc::new(clients.queue(queue).await),
        form: Arc::new(form),
        on: if *every_try { When::EveryTry } else { When::Final },
    })
}

/// What was found of a result queue.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) is_readable: bool,
    pub(super) detail: String,
    pub(super) fix: Option<String>,
}

/// Whether the result queues of a listener exist and can be read, each within `most`. Nothing is sent, so the right to send
/// stays untried.
pub(super) async fn look_at(clients: &sqs::Clients, plan: &ResultsPlan, most: Duration) -> Vec<Looked> {
    let mut all = Vec::new();
    for (key, result) in plan.all() {
        let name = result.queue.queue.name();
        let looked = match timeout(most, async { clients.queue(&result.queue).await.inspect().await }).await {
            Ok(Ok(_)) => {
                let detail =
                    format!("{key}: {name} can be read; sending needs sqs:SendMessage, which is not tried");
                Looked { is_readable: true, detail, fix: None }
            }
            Ok(Err(error)) => {
                let fix = format!("{}; a result queue needs sqs:SendMessage as well", error.advice.fix);
                Looked { is_readable: false, detail: format!("{key}: {}", Chain(&error)), fix: Some(fix) }
            }
            Err(_) => {
                let detail = format!("{key}: {name}: no answer within {}", spoken(most));
                Looked { is_readable: false, detail, fix: Some(QueueReason::TimedOut.fix().to_owned()) }
            }
        };
        all.push(looked);
    }
    all
}

/// A form whose troubles are logged.
#[derive(Debug)]
struct Logged {
    form: Arc<Form>,
    listener: String,
    key: &'static str,
    is_told: AtomicBool,
}

impl ResultForm for Logged {
    fn of(&self, facts: &ResultFacts<'_>) -> Outgoing {
        let Worded { message, trouble } = self.form.word(facts);
        if let Some(why) = trouble
            && !self.is_told.swap(true, Ordering::Relaxed)
        {
            let (listener, key, message_id) = (self.listener.as_str(), self.key, facts.message.id.as_str());
            tracing::warn!(
                listener,
                key,
                message_id,
                why,
                "a result cannot be worded as configured; it goes out in the default form, as will others like it"
            );
        }
        message
    }
}
