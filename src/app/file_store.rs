//! Keeps the listeners that are created while the process runs: one file each in `listeners_dir`.
//!
//! Before a file is written the whole configuration is read as it would be then; what is wrong is answered in the words
//! of the file's own rules. After it the configuration is read again, as after any change of a file. Should either fail, the
//! file is put back as it was. One change at a time.
//!
//! Whoever has the token may create listeners and no more: keys that come in name no file and no variable of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::admin::{
    self, Edit, EventListener, Keys, ListenerStore, NotStored, Operator as _, Refused, WrongKey,
};
use crate::app::check::{self, Checked, Status, What};
use crate::app::event_listeners;
use crate::app::incoming::{free_name, named};
use crate::app::listener_file::{self, Force, to_disk};
use crate::app::operator::ToProcess;
use crate::app::reload::{Explain, Load};
use crate::app::test_post;
use crate::app::written::{find, not_valid, written};
use crate::config::{self, ConfigErrors, ListenerPlan, OriginKind, Place, Plan, Trial};
use crate::ports::BoxFuture;
use crate::telemetry::Chain;

/// Most listeners of a process that creates some: what reading them all for each change may take is bounded so.
const LISTENERS_MAX: usize = 2_000;

/// Keeps listeners in files.
pub(super) struct FileStore {
    load: Load,
    explain: Explain,
    process: ToProcess,
    /// Brings the directory to the disk.
    force: Force,
    one_at_a_time: Mutex<()>,
    /// Held while one is shown: everybody may ask, and each answer reads the whole configuration.
    one_reader: Arc<Mutex<()>>,
}

impl FileStore {
    /// For the configuration that these read; `process` follows it.
    pub(super) fn new(load: Load, explain: Explain, process: ToProcess) -> Self {
        Self {
            load,
            explain,
            process,
            force: to_disk,
            one_at_a_time: Mutex::new(()),
            one_reader: Arc::default(),
        }
    }

    /// The configuration as it is, or as it would be.
    async fn plan(&self, trial: Option<Trial>) -> Result<Plan, ConfigErrors> {
        let load = Arc::clone(&self.load);
        blocking(move || load(trial.as_ref())).await
    }

    /// The configuration as it is.
    async fn valid(&self) -> Result<Plan, NotStored> {
        self.plan(None).await.map_err(|errors| not_valid(&errors))
    }

    /// The configuration as it is, and the directory.
    async fn present(&self) -> Result<(Plan, PathBuf), NotStored> {
        let plan = self.valid().await?;
        let folder = plan.listeners_dir.clone().ok_or_else(|| NotStored::Conflict {
            why: "listeners cannot be created here: listeners_dir is not set".to_owned(),
            fix: "set listeners_dir to a directory that this process may write".to_owned(),
        })?;
        Ok((plan, folder))
    }

    /// Writes the file of a listener, or removes it, and follows.
    async fn keep(&self, name: &str, path: PathBuf, text: Option<String>) -> Result<Value, NotStored> {
        self.plan(Some(Trial { name: name.to_owned(), text: text.clone() }))
            .await
            .map_err(|errors| NotStored::NotValid(wrong(&errors, name)))?;
        let before = at(&path, listener_file::read).await?;
        let kept = match self.put(&path, text.clone()).await {
            Ok(()) => self.process.reload().await.map_err(not_followed),
            Err(failed) => Err(failed),
        };
        match kept {
            Ok(report) => {
                let state = report.pointer("/listeners").and_then(|all| all.get(name)).cloned();
                let state = state.unwrap_or_else(|| json!(if text.is_some() { "kept" } else { "removed" }));
                Ok(json!({ "listener": name, "state": state, "file": path.display().to_string() }))
            }
            Err(why) => Err(self.put_back(&path, before, why).await),
        }
    }

    async fn put(&self, path: &Path, text: Option<String>) -> Result<(), NotStored> {
        let force = self.force;
        at(path, move |path| listener_file::put(path, text.as_deref(), force)).await
    }

    /// Gives the file its former text; why nothing was kept, or that the file is another one now.
    async fn put_back(&self, path: &Path, before: Option<String>, why: NotStored) -> NotStored {
        let now = at(path, listener_file::read).await;
        if now.as_ref().ok() == Some(&before) {
            return why;
        }
        let back = self.put(path, before.clone()).await;
        // Also where the directory is not on the disk yet: what is read now counts.
        let is_back = back.is_ok() || at(path, listener_file::read).await.ok() == Some(before);
        // What ran goes on; whoever reads the configuration again says so if it cannot.
        drop(self.process.reload().await);
        if is_back { why } else { not_back(path, why) }
    }

    /// Where a listener is kept that may be changed here.
    fn kept(plan: &Plan, name: &str) -> Result<PathBuf, NotStored> {
        let listener = find(plan, name).ok_or(NotStored::NoSuchListener)?;
        match (&listener.origin.kind, &listener.origin.path) {
            (OriginKind::Directory, Some(path)) => Ok(path.clone()),
            _ => Err(NotStored::Conflict {
                why: format!("the listener {name} is in {}, not in listeners_dir", place_of(listener)),
                fix: "change it there; the process follows the file".to_owned(),
            }),
        }
    }

    async fn checked(&self, trial: admin::Trial) -> Result<Value, NotStored> {
        let (present, _) = self.present().await?;
        let (name, keys) = match named(trial.keys) {
            Ok(named) => named,
            Err(NotStored::NotValid(wrong)) => return Ok(invalid(&wrong)),
            Err(other) => return Err(other),
        };
        let name = name.or_else(|| trial.replaces.clone()).unwrap_or_else(|| free_name(&present, &keys));
        if trial.replaces.as_ref() != Some(&name) && find(&present, &name).is_some() {
            return Ok(invalid(&[WrongKey {
                key: "name".to_owned(),
                words: format!("there is a listener {name} already"),
                fix: Some("choose another name".to_owned()),
            }]));
        }
        let text = Some(listener_file::text(&keys));
        let plan = match self.plan(Some(Trial { name: name.clone(), text })).await {
            Ok(plan) => plan,
            Err(errors) => return Ok(invalid(&wrong(&errors, &name))),
        };
        let Some(listener) = find(&plan, &name).cloned() else { return Err(NotStored::NoSuchListener) };
        let advice: Vec<&String> =
            plan.warnings.iter().filter(|warning| is_of_file(warning, &name)).collect();
        let advice = json!(advice);
        let alone = Plan { listeners: vec![listener], ..plan };
        let checks = check::online(&alone).await;
        Ok(json!({
            "valid": true,
            "problems": [],
            "advice": advice,
            "queue": queue(&checks),
            "checks": checks.iter().map(checked).collect::<Vec<_>>(),
            "post": posted(&alone, &name, trial.post).await,
        }))
    }

    /// What is written for a listener. The turn is held by the reading itself: it goes on when whoever asked has left.
    async fn shown(&self, name: &str, whole: bool) -> Result<Value, NotStored> {
        let turn = Arc::clone(&self.one_reader).lock_owned().await;
        let (load, explain, name) = (Arc::clone(&self.load), Arc::clone(&self.explain), name.to_owned());
        blocking(move || {
            let _turn = turn;
            written(&load, &explain, &name, whole)
        })
        .await
    }
}

impl ListenerStore for FileStore {
    fn create(&self, keys: Keys) -> BoxFuture<'_, Result<Value, NotStored>> {
        Box::pin(async move {
            let (name, keys) = named(keys)?;
            let _alone = self.one_at_a_time.lock().await;
            let (plan, folder) = self.present().await?;
            let name = name.unwrap_or_else(|| free_name(&plan, &keys));
            if let Some(there) = find(&plan, &name) {
                return Err(NotStored::Conflict {
                    why: format!("there is a listener {name} already, in {}", place_of(there)),
                    fix: format!("choose another name, or change it: PUT /api/v1/listeners/{name}"),
                });
            }
            if plan.listeners.len() >= LISTENERS_MAX {
                return Err(NotStored::Conflict {
                    why: format!("there are {LISTENERS_MAX} listeners already"),
                    fix: "remove some, or run another process".to_owned(),
                });
            }
            let path = folder.join(format!("{name}.json"));
            self.keep(&name, path, Some(listener_file::text(&keys))).await
        })
    }

    fn replace<'a>(&'a self, listener: &'a str, keys: Keys) -> BoxFuture<'a, Result<Value, NotStored>> {
        Box::pin(async move {
            let (name, keys) = named(keys)?;
            if name.is_some_and(|name| name != listener) {
                return Err(NotStored::NotValid(vec![WrongKey {
                    key: "name".to_owned(),
                    words: format!("a listener keeps its name, and this one is {listener}"),
                    fix: Some(
                        "leave the name out, or create another listener and remove this one".to_owned(),
                    ),
                }]));
            }
            let _alone = self.one_at_a_time.lock().await;
            let (plan, _) = self.present().await?;
            let path = Self::kept(&plan, listener)?;
            self.keep(listener, path, Some(listener_file::text(&keys))).await
        })
    }

    fn change<'a>(&'a self, listener: &'a str, edit: Edit) -> BoxFuture<'a, Result<Value, NotStored>> {
        Box::pin(async move {
            let _alone = self.one_at_a_time.lock().await;
            let (plan, _) = self.present().await?;
            let path = Self::kept(&plan, listener)?;
            let text = at(&path, listener_file::read).await?;
            let there = text.as_deref().and_then(config::keys_of).map(named);
            // What a person let it name of this machine was meant for the queue and the endpoint that are there.
            let Some(Ok((_, mut keys))) = there else { return Err(by_hand_alone(&path)) };
            edit(&mut keys);
            let (_, keys) = named(keys)?;
            self.keep(listener, path, Some(listener_file::text(&keys))).await
        })
    }

    fn remove<'a>(&'a self, listener: &'a str) -> BoxFuture<'a, Result<Value, NotStored>> {
        Box::pin(async move {
            let _alone = self.one_at_a_time.lock().await;
            let (plan, _) = self.present().await?;
            let path = Self::kept(&plan, listener)?;
            self.keep(listener, path, None).await
        })
    }

    fn try_out(&self, trial: admin::Trial) -> BoxFuture<'_, Result<Value, NotStored>> {
        Box::pin(self.checked(trial))
    }

    fn written<'a>(&'a self, listener: &'a str, whole: bool) -> BoxFuture<'a, Result<Value, NotStored>> {
        Box::pin(self.shown(listener, whole))
    }

    fn event_listeners<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Vec<EventListener>, NotStored>> {
        Box::pin(async move { Ok(event_listeners::of(&self.valid().await?, user)) })
    }
}

/// Where a listener is written, for people.
fn place_of(listener: &ListenerPlan) -> String {
    match &listener.origin.path {
        Some(path) => format!("{}:{}", path.display(), listener.origin.line),
        None => "flags or variables".to_owned(),
    }
}

/// The problems, those of the listener's own file by key alone.
fn wrong(errors: &ConfigErrors, name: &str) -> Vec<WrongKey> {
    let one = |problem: &config::Problem| {
        let words = match &problem.value {
            Some(value) => format!("{value} {}", problem.rule),
            None => problem.rule.clone(),
        };
        let is_own = matches!(&problem.place, Place::File { path, .. } if is_file_of(path, name));
        let (key, words) = if is_own {
            (problem.key.clone(), words)
        } else {
            (String::new(), format!("{}: {} {words}", problem.place, problem.key))
        };
        WrongKey { key, words, fix: problem.fix.clone() }
    };
    errors.problems().iter().take(config::SHOWN_MAX).map(one).collect()
}

fn is_file_of(path: &str, name: &str) -> bool {
    Path::new(path).file_stem().is_some_and(|stem| stem == name)
}

/// Whether a warning is about the file of this listener: it begins with its place.
fn is_of_file(warning: &str, name: &str) -> bool {
    warning.split_once(": ").is_some_and(|(place, _)| {
        let path = place.split(':').next().unwrap_or_default();
        is_file_of(path, name)
    })
}

fn invalid(wrong: &[WrongKey]) -> Value {
    let one = |one: &WrongKey| json!({ "key": one.key, "words": one.words, "fix": one.fix });
    let problems: Vec<Value> = wrong.iter().map(one).collect();
    json!({
        "valid": false, "problems": problems, "advice": [], "queue": null, "checks": [], "post": null,
    })
}

/// Whether the queue can be read, in words.
fn queue(checks: &[Checked]) -> Value {
    let of_queue: Vec<&Checked> = checks.iter().filter(|check| check.what == What::Queue).collect();
    let words: Vec<&str> = of_queue.iter().map(|check| check.detail.as_str()).collect();
    json!({ "ok": of_queue.iter().all(|check| check.status != Status::Failed), "words": words.join("; ") })
}

fn checked(checked: &Checked) -> Value {
    let status = match checked.status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Failed => "failed",
    };
    json!({ "what": checked.what.label(), "status": status, "detail": checked.detail, "fix": checked.fix })
}

/// What the endpoint makes of a message with this body.
async fn posted(plan: &Plan, name: &str, body: Option<String>) -> Value {
    let Some(body) = body else { return Value::Null };
    let message = test_post::message(body.into());
    match test_post::test_post(plan, Some(name), &[message]).await {
        Ok(tested) => tested.as_json(),
        Err(error) => json!({
            "error": Chain(&error).to_string(),
            "fix": "queuepost check --render shows what becomes of a message",
        }),
    }
}

/// It was not kept, and the file is not as it was.
fn not_back(path: &Path, why: NotStored) -> NotStored {
    let why = match why {
        NotStored::Failed { why, .. } | NotStored::Conflict { why, .. } => why,
        NotStored::NoSuchListener | NotStored::NotValid(_) => "it was not kept".to_owned(),
    };
    let path = path.display();
    NotStored::Failed {
        why: format!("{why}; and {path} could not be put back: it is as it was asked for"),
        fix: format!("look at {path}: the process follows what is there"),
    }
}

/// Its keys cannot be kept by whoever did not write them.
fn by_hand_alone(path: &Path) -> NotStored {
    let path = path.display();
    NotStored::Conflict {
        why: format!("{path} names a file or a variable of this machine, or cannot be read as keys"),
        fix: format!("change it in {path}; the process follows the file"),
    }
}

fn not_followed(refused: Refused) -> NotStored {
    match refused {
        Refused::NoSuchListener => NotStored::NoSuchListener,
        Refused::Invalid { why, fix } | Refused::Wrong { why, fix } | Refused::OfQueue { why, fix } => {
            NotStored::Conflict { why, fix }
        }
    }
}

/// Does something with the file of a listener, on a thread that may block.
async fn at<T: Send + 'static>(
    path: &Path,
    what: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
) -> Result<T, NotStored> {
    let owned = path.to_owned();
    blocking(move || what(&owned)).await.map_err(|error| listener_file::failed(path, &error))
}

/// Runs on a thread that may block.
async fn blocking<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(what).await {
        Ok(done) => done,
        // Nobody cancels it, so it has panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
#[path = "file_store_tests.rs"]
mod tests;
