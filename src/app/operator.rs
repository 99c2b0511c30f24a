//! Hands what routes ask for to the loop of the process, and the answer back.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::admin::{ByHand, Operator, Refused, Tell};
use crate::app::by_hand::by_hand;
use crate::app::crew::Told;
use crate::app::process::Request;
use crate::app::redrives::Redrives;
use crate::app::test_post;
use crate::pipeline::Controls;
use crate::ports::BoxFuture;
use crate::sqs;
use crate::telemetry::Chain;

/// Requests that may wait for the loop.
pub(super) const WAITING_MAX: usize = 16;

/// The way to the loop of the process.
#[derive(Debug, Clone)]
pub(super) struct ToProcess {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) clients: Arc<sqs::Clients>,
    pub(super) redrives: Arc<Redrives>,
}

impl ToProcess {
    /// Sends a request and waits for its answer; refused when the process ends.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| is_ending())?;
        answer.await.map_err(|_| is_ending())
    }
}

fn is_ending() -> Refused {
    Refused::Invalid {
        why: "the process is draining".to_owned(),
        fix: "ask the one that follows it".to_owned(),
    }
}

impl Operator for ToProcess {
    fn reload(&self) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(async move { self.ask(Request::Reload).await? })
    }

    fn drain<'a>(&'a self, listener: &'a str) -> BoxFuture<'a, Result<Value, Refused>> {
        Box::pin(async move {
            let (ended, has_ended) = oneshot::channel();
            let is_clean = match self.ask(|told| Request::Drain(listener.to_owned(), told, ended)).await? {
                Told::NoSuchListener => return Err(Refused::NoSuchListener),
                Told::Already => true,
                Told::Follows | Told::Ending => has_ended.await.map_err(|_| is_ending())?,
            };
            Ok(json!({ "listener": listener, "state": if is_clean { "drained" } else { "cut_off" } }))
        })
    }

    fn tell<'a>(
        &'a self,
        listener: &'a str,
        tell: Tell,
    ) -> BoxFuture<'a, Result<(Controls, Controls), Refused>> {
        Box::pin(async move {
            let told = self.ask(|told| Request::Tell(listener.to_owned(), tell, told)).await?;
            told.ok_or_else(|| Refused::Invalid {
                why: format!("the listener {listener} was drained"),
                fix: "resume it first: it starts again then".to_owned(),
            })
        })
    }

    fn start<'a>(&'a self, listener: &'a str) -> BoxFuture<'a, Result<Value, Refused>> {
        Box::pin(async move {
            let state = match self.ask(|told| Request::Start(listener.to_owned(), told)).await? {
                Told::NoSuchListener => return Err(Refused::NoSuchListener),
                Told::Already | Told::Follows => "running",
                Told::Ending => "starts when it has ended",
            };
            Ok(json!({ "listener": listener, "state": state }))
        })
    }

    fn test<'a>(&'a self, listener: &'a str, body: String) -> BoxFuture<'a, Result<Value, Refused>> {
        Box::pin(async move {
            let plan = self.ask(Request::Plan).await?;
            if !plan.listeners.iter().any(|one| one.listener.name == listener) {
                return Err(Refused::NoSuchListener);
            }
            let message = test_post::message(body.into());
            // It has a client of its own, and so connections and tokens of its own.
            match test_post::test_post(&plan, Some(listener), &[message]).await {
                Ok(tested) => Ok(tested.as_json()),
                Err(error) => Err(Refused::Invalid {
                    why: Chain(&error).to_string(),
                    fix: "queuepost check --render shows what becomes of a message".to_owned(),
                }),
            }
        })
    }

    fn redrive(&self, listener: &str) -> Value {
        self.redrives.document(listener)
    }

    fn by_hand<'a>(&'a self, listener: &'a str, what: ByHand) -> BoxFuture<'a, Result<Value, Refused>> {
        Box::pin(async move {
            let plan = self.ask(Request::Plan).await?;
            let planned = plan.listeners.iter().find(|one| one.listener.name == listener);
            let settings = &planned.ok_or(Refused::NoSuchListener)?.queue;
            by_hand(&self.redrives, listener, self.clients.queue(settings).await, what).await
        })
    }
}
