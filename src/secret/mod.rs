//! A secret: the value of a variable, or the content of a file.
//!
//! A file is read again when it changes, so that a renewed secret needs no restart. Whoever uses the secret
//! asks for its present value; a file is looked at then, once a second at most, and at once after
//! [`Secret::doubt`]. A look is one `stat`, on a thread for blocking calls. Whoever asks waits a second for it at most. While a
//! file system hangs, such as a network's, no further look begins, and the former value stays.
//! A new content that cannot be read or that breaks the secret's rule is not used: the former value stays,
//! and one warning tells of it. Who lets others in by a secret asks for it [`Secret::while_usable`]. No value is ever printed.
//! Two secrets are equal if they are written alike: the same file, or the same value of a variable.

pub mod regular_file;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Longest file with a secret, in bytes; servers accept headers of about 8 KiB.
const LENGTH_MAX: u64 = 64 * 1024;
/// How often a file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a request waits for a look, at most.
const LOOK_WAIT: Duration = Duration::from_secs(1);

/// What becomes of the secret while its file cannot be used.
const FORMER_STAYS: &str = "the former secret stays";
/// The same of a secret that lets others in.
const LETS_NOBODY_IN: &str = "nobody is let in by it meanwhile";

/// Whether a text may be the secret. The error ends a sentence that begins with "leads to".
pub type Rule = fn(&str) -> Result<(), &'static str>;

/// A secret; clones share its present value.
#[derive(Clone)]
pub struct Secret(Arc<Shared>);

struct Shared {
    source: Source,
    rule: Rule,
    look: Box<Look>,
    /// What the warning says of a content that is not used.
    otherwise: &'static str,
    /// The right to look at the file.
    turn: Arc<Semaphore>,
    state: Mutex<State>,
}

/// The content of a file that may have changed since it was seen, and what is known of it now.
type Look = dyn Fn(&Path, Rule, &Seen) -> Option<(Seen, Result<String, SecretError>)> + Send + Sync;

#[derive(PartialEq, Eq, Hash)]
enum Source {
    Fixed(Arc<str>),
    File(PathBuf),
}

struct State {
    value: Arc<str>,
    /// The value before: an answer may still repeat it.
    former: Option<Arc<str>>,
    /// When the file is looked at next.
    look_at: Instant,
    seen: Seen,
    /// Why the present content of the file is not used.
    problem: Option<String>,
}

/// What is known of the file since it was last read.
#[derive(Clone, Default)]
struct Seen {
    stamp: Option<Stamp>,
    /// Whether the file was read again after its last change. A change right after a read may leave the
    /// stamp as it was, because file systems count time in steps.
    settled: bool,
}

/// Changes when the file is written or replaced.
#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    changed: (i64, i64),
    file: (u64, u64),
}

/// Why a text or a file is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read, or is not text in UTF-8 (`InvalidData`).
    #[error("it cannot be read: {0}")]
    Unreadable(Error),
    /// The content breaks the rule.
    #[error("it leads to {0}")]
    Unfit(&'static str),
}

impl Secret {
    /// A secret that never changes: the value of a variable.
    pub fn fixed(value: &str, rule: Rule) -> Result<Self, SecretError> {
        let value: Arc<str> = fit(value, rule)?.into();
        let seen = Seen { stamp: None, settled: true };
        Ok(Self::new(Source::Fixed(Arc::clone(&value)), (rule, FORMER_STAYS), value, seen))
    }

    /// The content of a regular file of at most 64 KiB, without line ends behind it.
    pub fn of_file(path: PathBuf, rule: Rule) -> Result<Self, SecretError> {
        Self::read(path, rule, FORMER_STAYS)
    }

    /// The same of a secret that lets others in: whoever takes the file away takes the secret back. Ask for
    /// [`Secret::while_usable`].
    pub fn of_key_file(path: PathBuf, rule: Rule) -> Result<Self, SecretError> {
        Self::read(path, rule, LETS_NOBODY_IN)
    }

    fn read(path: PathBuf, rule: Rule, otherwise: &'static str) -> Result<Self, SecretError> {
        let stamp = stamp(&path).map_err(SecretError::Unreadable)?;
        let value = read(&path, rule)?.into();
        let seen = Seen { stamp: Some(stamp), settled: false };
        Ok(Self::new(Source::File(path), (rule, otherwise), value, seen))
    }

    fn new(source: Source, (rule, otherwise): (Rule, &'static str), value: Arc<str>, seen: Seen) -> Self {
        let look_at = Instant::now() + LOOK_EVERY;
        let state = State { value, former: None, look_at, seen, problem: None };
        let turn = Arc::new(Semaphore::new(1));
        Self(Arc::new(Shared {
            source,
            rule,
            look: Box::new(look),
            otherwise,
            turn,
            state: Mutex::new(state),
        }))
    }

    /// The value that was read last.
    pub fn known(&self) -> Arc<str> {
        Arc::clone(&self.state().value)
    }

    /// The present value.
    ///
    /// # Cancel safety
    /// A look goes on, and what it finds is used.
    pub async fn current(&self) -> Arc<str> {
        let Source::File(path) = &self.0.source else { return self.known() };
        let (seen, turn) = {
            let mut state = self.state();
            let now = Instant::now();
            if now < state.look_at {
                return Arc::clone(&state.value);
            }
            // Others use the present value meanwhile.
            let Ok(turn) = Arc::clone(&self.0.turn).try_acquire_owned() else {
                return Arc::clone(&state.value);
            };
            state.look_at = now + LOOK_EVERY;
            (state.seen.clone(), turn)
        };
        let shared = Arc::clone(&self.0);
        let looks = tokio::task::spawn_blocking(move || shared.look(&seen, turn));
        if timeout(LOOK_WAIT, looks).await.is_err() {
            let hangs = Error::new(ErrorKind::TimedOut, "the file system does not answer");
            let mut state = self.state();
            // What the look finds is news, even if the file is as it was.
            state.seen = Seen::default();
            state.take(path, Err(SecretError::Unreadable(hangs)), self.0.otherwise);
        }
        self.known()
    }

    /// The present value, if the file holds one now.
    ///
    /// # Errors
    /// Why the file cannot be used.
    pub async fn while_usable(&self) -> Result<Arc<str>, String> {
        let value = self.current().await;
        self.state().problem.clone().map_or(Ok(value), Err)
    }

    /// Looks at the file before the next use, because the value was refused.
    pub fn doubt(&self) {
        self.state().look_at = Instant::now();
    }

    /// The values that a log must not repeat: the present one, and the one before.
    pub fn values(&self) -> impl Iterator<Item = Arc<str>> {
        let state = self.state();
        std::iter::once(Arc::clone(&state.value)).chain(state.former.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Looks at the file, and uses what it finds. Blocks for as long as the file system takes.
    fn look(&self, seen: &Seen, turn: OwnedSemaphorePermit) {
        let Source::File(path) = &self.source else { return };
        let found = (self.look)(path, self.rule, seen);
        if let Some((seen, content)) = found {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.seen = seen;
            state.take(path, content, self.otherwise);
        }
        drop(turn);
    }
}

impl State {
    /// Uses a new content, or tells once why not.
    fn take(&mut self, path: &Path, content: Result<String, SecretError>, otherwise: &str) {
        let file = path.display().to_string();
        match content {
            Ok(value) => {
                let mended = self.problem.take().is_some();
                if *value != *self.value {
                    self.former = Some(std::mem::replace(&mut self.value, value.into()));
                    tracing::info!(file, "the secret in a file has changed, the new one is used");
                } else if mended {
                    tracing::info!(file, "the file of a secret can be used again");
                }
            }
            Err(error) => {
                let problem = error.to_string();
                if self.problem.as_ref() != Some(&problem) {
                    let fix = "write the secret into the file again; no restart is needed";
                    let error = problem.as_str();
                    tracing::warn!(file, error, fix, "the file of a secret cannot be used, {otherwise}");
                    self.problem = Some(problem);
                }
            }
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Secret {}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.source.hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

/// The rule of most secrets: one line of visible characters of ASCII, as headers carry them.
pub fn one_line(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("nothing: it is empty");
    }
    if text.contains(['\r', '\n']) {
        return Err("more than one line");
    }
    let fits = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
    if fits { Ok(()) } else { Err("characters that no header carries, or spaces at an end") }
}

/// The content of a file that may have changed since it was `seen`, and what is known of it now.
fn look(path: &Path, rule: Rule, seen: &Seen) -> Option<(Seen, Result<String, SecretError>)> {
    // The stamp is older than the content. So a write between the two is found at the next look.
    let stamp = match stamp(path) {
        Ok(stamp) => stamp,
        Err(error) => return Some((Seen::default(), Err(SecretError::Unreadable(error)))),
    };
    let same = seen.stamp.as_ref() == Some(&stamp);
    if same && seen.settled {
        return None;
    }
    let content = read(path, rule);
    let settled = same && !matches!(content, Err(SecretError::Unreadable(_)));
    Some((Seen { stamp: Some(stamp), settled }, content))
}

fn read(path: &Path, rule: Rule) -> Result<String, SecretError> {
    let bytes = regular_file::read(path, LENGTH_MAX).map_err(SecretError::Unreadable)?;
    let no_text = || Error::new(ErrorKind::InvalidData, "it is not text in UTF-8");
    let text = String::from_utf8(bytes).map_err(|_| SecretError::Unreadable(no_text()))?;
    fit(&text, rule).map(str::to_owned)
}

/// The secret in a text: the text without line ends behind it.
fn fit(text: &str, rule: Rule) -> Result<&str, SecretError> {
    let text = text.trim_end_matches(['\r', '\n']);
    rule(text).map_err(SecretError::Unfit)?;
    Ok(text)
}

#[cfg(unix)]
fn stamp(path: &Path) -> std::io::Result<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let of = std::fs::metadata(path)?;
    // The time of the last change of rights or content; a copied file may keep an old time of modification.
    let changed = (of.ctime(), of.ctime_nsec());
    Ok(Stamp { modified: of.modified().ok(), length: of.len(), changed, file: (of.dev(), of.ino()) })
}

#[cfg(not(unix))]
fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let of = std::fs::metadata(path)?;
    Ok(Stamp { modified: of.modified().ok(), length: of.len(), changed: (0, 0), file: (0, 0) })
}

#[cfg(test)]
mod tests;
