//! Reads the configuration again, when asked or when its file has changed.
//!
//! One reading at a time; whoever asks meanwhile gets the next one, all together. Everything is read, checked and made
//! before anything changes. A configuration that is not valid changes nothing and is said once. It is tried again every
//! ten seconds, because the mistake may be in another file than the watched one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::admin::Refused;
use crate::app::endpoints::{Living, Prepared};
use crate::app::start::StartError;
use crate::app::watch::{Look, follow};
use crate::app::wiring::warm;
use crate::config::{ConfigErrors, Explained, Plan, Trial};
use crate::sqs;
use crate::telemetry::Chain;

/// Time until a configuration that was not valid is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Reads the configuration, perhaps as it would be.
pub(super) type Load = Arc<dyn Fn(Option<&Trial>) -> Result<Plan, ConfigErrors> + Send + Sync>;
/// Explains it key by key.
pub(super) type Explain = Arc<dyn Fn() -> Result<Vec<Explained>, ConfigErrors> + Send + Sync>;

/// Where a configuration comes from that can change.
pub struct Source {
    file: Option<PathBuf>,
    load: Load,
    explain: Explain,
    seen: Look,
}

impl Source {
    /// The file, if there is one, and the directory of listeners that it names; `load` reads them. Later changes count from
    /// this moment, so make it before the first reading.
    pub fn new(
        file: Option<PathBuf>,
        load: impl Fn(Option<&Trial>) -> Result<Plan, ConfigErrors> + Send + Sync + 'static,
        explain: impl Fn() -> Result<Vec<Explained>, ConfigErrors> + Send + Sync + 'static,
    ) -> Self {
        let seen = Look::at(file.as_deref(), None);
        Self { file, load: Arc::new(load), explain: Arc::new(explain), seen }
    }

    /// What reads and what explains it.
    pub(super) fn readers(&self) -> (Load, Explain) {
        (Arc::clone(&self.load), Arc::clone(&self.explain))
    }
}

/// Takes what came of a reload.
pub(super) type Reply = oneshot::Sender<Result<Value, Refused>>;

/// A configuration that was read and is valid.
pub(super) struct Read {
    pub(super) plan: Plan,
    pub(super) endpoints: Prepared,
}

/// What happens next with the configuration.
pub(super) enum Reread {
    /// It should be read: the file has changed, or is tried again.
    Due,
    /// It was read; `None`: it is not valid.
    Done(Option<Box<Read>>),
}

/// Why a configuration was not taken over.
#[derive(Debug, thiserror::Error)]
enum NotRead {
    #[error("{0}")]
    Config(ConfigErrors),
    #[error("{}", Chain(.0))]
    Endpoint(StartError),
    #[error("the reading ended by a panic")]
    Panic,
}

/// Reads again.
pub(super) struct Reloads {
    load: Option<Load>,
    /// The directory of listeners that is watched.
    folder: watch::Sender<Option<PathBuf>>,
    watching: JoinSet<()>,
    changed: Arc<Notify>,
    loading: JoinSet<Result<Read, NotRead>>,
    /// Who waits for the reading under way.
    asked: Vec<Reply>,
    /// Who waits for the next one, which somebody wants.
    next: Option<Vec<Reply>>,
    /// What was wrong the last time, as it was said.
    said: Option<String>,
    again_at: Option<Instant>,
}

impl Reloads {
    /// Whether there is something that may change.
    pub(super) fn has_source(&self) -> bool {
        self.load.is_some()
    }

    /// Watches the source, if there is one, and the directory of listeners that `folder` names.
    pub(super) fn of(source: Option<Source>, folder: watch::Sender<Option<PathBuf>>) -> Self {
        let (mut watching, changed) = (JoinSet::new(), Arc::new(Notify::new()));
        let watched = folder.subscribe();
        let load = source.map(|Source { file, load, seen, .. }| {
            let changed = Arc::clone(&changed);
            watching.spawn(async move { follow(file, watched, seen, &changed).await });
            load
        });
        let (loading, asked) = (JoinSet::new(), Vec::new());
        Self { load, folder, watching, changed, loading, asked, next: None, said: None, again_at: None }
    }

    /// What happens next with the configuration.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Reread {
        let again = async {
            match self.again_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let read = tokio::select! {
            biased;
            Some(read) = self.loading.join_next() => read.unwrap_or(Err(NotRead::Panic)),
            () = self.changed.notified() => return Reread::Due,
            () = again => return Reread::Due,
        };
        Reread::Done(self.ended(read))
    }

    /// A reading has ended. One that is not valid is said, once.
    fn ended(&mut self, read: Result<Read, NotRead>) -> Option<Box<Read>> {
        match read {
            Ok(read) => {
                if self.said.take().is_some() {
                    tracing::info!("the configuration is valid again");
                }
                Some(Box::new(read))
            }
            Err(error) => {
                self.again_at = Some(Instant::now() + AGAIN);
                self.say(&error);
                None
            }
        }
    }

    /// Reads the configuration for these, or does so again after the reading under way; for nobody where a signal or the
    /// watch asks.
    pub(super) fn ask(&mut self, replies: Vec<Reply>, clients: &Arc<sqs::Clients>, in_use: &[Arc<Living>]) {
        let Some(load) = &self.load else {
            let why = "this process has no configuration file";
            let fix = "start it with `queuepost run --config FILE`; flags and variables need a restart";
            if replies.is_empty() {
                tracing::warn!(fix, "nothing to reload: {why}");
            }
            return refuse(replies, why, fix);
        };
        if !self.loading.is_empty() {
            self.next.get_or_insert_default().extend(replies);
            return;
        }
        self.asked.extend(replies);
        self.again_at = None;
        let (load, clients, in_use) = (Arc::clone(load), Arc::clone(clients), in_use.to_vec());
        self.loading.spawn(async move {
            let read = tokio::task::spawn_blocking(move || read(&load, &in_use));
            let read = read.await.unwrap_or(Err(NotRead::Panic))?;
            warm(&clients, &read.plan).await;
            Ok(read)
        });
    }

    /// Tells those who asked.
    pub(super) fn answer(&mut self, report: &Value) {
        for reply in self.asked.drain(..) {
            // Whoever asked may have gone.
            reply.send(Ok(report.clone())).ok();
        }
    }

    /// Who wants another reading, now that one has ended; an empty list where a signal or the watch does.
    pub(super) fn wanted(&mut self) -> Option<Vec<Reply>> {
        self.next.take()
    }

    /// Watches this directory of listeners from now on.
    pub(super) fn watch_folder(&self, folder: Option<&PathBuf>) {
        self.folder.send_if_modified(|watched| {
            let is_other = watched.as_ref() != folder;
            if is_other {
                *watched = folder.cloned();
            }
            is_other
        });
    }

    /// Stops watching and reading, and refuses who waits: the process ends.
    pub(super) fn end(&mut self) {
        self.watching.abort_all();
        self.loading.abort_all();
        let waiting = self.asked.drain(..).chain(self.next.take().unwrap_or_default());
        refuse(waiting, "the process is draining", "ask the one that follows it");
    }

    fn say(&mut self, error: &NotRead) {
        let text = error.to_string();
        refuse(self.asked.drain(..), &text, "correct the file; what ran before goes on");
        if self.said.as_ref() == Some(&text) {
            return;
        }
        match error {
            NotRead::Config(errors) => {
                for problem in errors.problems() {
                    tracing::error!("not reloaded: {problem}");
                }
            }
            NotRead::Endpoint(_) | NotRead::Panic => tracing::error!("not reloaded: {text}"),
        }
        tracing::error!("the configuration is not valid: what ran before goes on");
        self.said = Some(text);
    }
}

/// Tells those who asked what is wrong; some may have gone.
fn refuse(replies: impl IntoIterator<Item = Reply>, why: &str, fix: &str) {
    for reply in replies {
        reply.send(Err(Refused::Invalid { why: why.to_owned(), fix: fix.to_owned() })).ok();
    }
}

/// Reads the configuration, and makes what can fail.
fn read(load: &Load, in_use: &[Arc<Living>]) -> Result<Read, NotRead> {
    let plan = load(None).map_err(NotRead::Config)?;
    let endpoints = Prepared::new(&plan.endpoints, in_use).map_err(NotRead::Endpoint)?;
    Ok(Read { plan, endpoints })
}

/// The time, for metrics.
pub(super) fn unix_seconds() -> f64 {
    crate::limit::clock::Wall::System.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_reading_is_refused_when_the_process_ends() {
        let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
        let released = std::sync::Mutex::new(released);
        let load = move |_: Option<&Trial>| {
            // Ends when the test does.
            released.lock().unwrap().recv().ok();
            crate::config::load(&crate::config::Overrides::default(), &|_| None, false)
        };
        let source = Source::new(None, load, || Ok(Vec::new()));
        let mut reloads = Reloads::of(Some(source), watch::Sender::new(None));
        let clients = Arc::default();
        let mut answers = Vec::new();
        for _ in 0..3 {
            let (reply, answer) = oneshot::channel();
            reloads.ask(vec![reply], &clients, &[]);
            answers.push(answer);
        }
        reloads.end();
        for answer in answers {
            let refused = answer.await.expect("an answer");
            assert!(
                matches!(&refused, Err(Refused::Invalid { why, .. }) if why.contains("draining")),
                "{refused:?}"
            );
        }
        drop(release);
    }
}
