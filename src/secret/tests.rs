//! Secrets whose files are replaced, damaged, removed and mended while they are in use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use super::*;

/// A file of this test alone, removed at its end.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("queuepost-secret-{}-{name}", std::process::id()));
        let file = Self(path);
        file.write(content);
        file
    }

    fn write(&self, content: &str) {
        std::fs::write(&self.0, content).unwrap();
    }

    /// As Kubernetes and careful people do it.
    fn replace(&self, content: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    fn secret(&self) -> Secret {
        Secret::of_file(self.0.clone(), one_line).unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

async fn after_a_second(secret: &Secret) -> String {
    tokio::time::advance(LOOK_EVERY).await;
    secret.current().await.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_when_it_was_replaced_or_written() {
    let file = File::new("replaced", "one\n");
    let secret = file.secret();
    assert_eq!(&*secret.current().await, "one", "without the line end");
    file.replace("two\r\n");
    assert_eq!(after_a_second(&secret).await, "two");
    file.write("six");
    assert_eq!(after_a_second(&secret).await, "six");
    let known: Vec<String> = secret.values().map(|value| value.to_string()).collect();
    assert_eq!(known, ["six", "two"], "an answer may still repeat the one before");
}

#[tokio::test(start_paused = true)]
async fn a_file_is_looked_at_once_a_second_and_at_once_when_its_value_is_doubted() {
    let file = File::new("doubted", "one");
    let secret = file.secret();
    file.replace("two");
    tokio::time::advance(LOOK_EVERY / 2).await;
    assert_eq!(&*secret.current().await, "one");
    let shared = secret.clone();
    shared.doubt();
    assert_eq!(&*secret.current().await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_once_more_after_each_change_and_then_no_more() {
    let file = File::new("settled", "one");
    let secret = file.secret();
    let settled = || secret.state().seen.settled;
    assert!(!settled());
    after_a_second(&secret).await;
    assert!(settled(), "a write right after the first read is found, whatever its stamp");
    file.replace("two");
    after_a_second(&secret).await;
    assert!(!settled());
    after_a_second(&secret).await;
    assert!(settled());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_removed_or_damaged_leaves_the_former_value_until_it_is_mended() {
    let file = File::new("damaged", "one");
    let secret = file.secret();
    std::fs::remove_file(&file.0).unwrap();
    assert_eq!(after_a_second(&secret).await, "one");
    assert_eq!(after_a_second(&secret).await, "one");
    file.replace("two");
    assert_eq!(after_a_second(&secret).await, "two");
    for damaged in ["", "two\nlines", "b\u{e4}d", " spaces "] {
        file.replace(damaged);
        assert_eq!(after_a_second(&secret).await, "two", "{damaged:?}");
    }
    file.replace(&"x".repeat(64 * 1024 + 1));
    assert_eq!(after_a_second(&secret).await, "two");
    file.replace("three");
    assert_eq!(after_a_second(&secret).await, "three");
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_link_that_is_turned_to_another_file_is_followed() {
    let (one, two, link) = (File::new("a", "one"), File::new("b", "two"), File::new("link", "x"));
    std::fs::remove_file(&link.0).unwrap();
    std::os::unix::fs::symlink(&one.0, &link.0).unwrap();
    let secret = link.secret();
    assert_eq!(&*secret.current().await, "one");
    std::fs::remove_file(&link.0).unwrap();
    std::os::unix::fs::symlink(&two.0, &link.0).unwrap();
    assert_eq!(after_a_second(&secret).await, "two", "as Kubernetes renews a mounted Secret");
}

/// A secret whose file system answers a look when the sender says so.
fn on_a_slow_disk(file: &File) -> (Secret, std::sync::mpsc::SyncSender<()>, Arc<AtomicUsize>) {
    let (answers, answer) = std::sync::mpsc::sync_channel(1);
    let (answer, looks) = (Mutex::new(answer), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&looks);
    let look = move |path: &Path, rule: Rule, seen: &Seen| {
        counted.fetch_add(1, Ordering::SeqCst);
        answer.lock().unwrap().recv().unwrap();
        look(path, rule, seen)
    };
    let mut secret = file.secret();
    Arc::get_mut(&mut secret.0).unwrap().look = Box::new(look);
    (secret, answers, looks)
}

#[tokio::test(start_paused = true)]
async fn a_file_system_that_hangs_delays_one_request_for_a_second_and_blocks_no_thread_of_the_runtime() {
    let file = File::new("hangs", "one");
    let (secret, answers, looks) = on_a_slow_disk(&file);
    file.replace("two");
    secret.doubt();
    let mut first = Box::pin(secret.current());
    let waits = std::future::poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending()));
    assert!(waits.await, "for the look");
    assert_eq!(&*secret.current().await, "one", "others do not wait");
    tokio::time::advance(LOOK_WAIT).await;
    assert_eq!(&*first.await, "one");
    assert_eq!(after_a_second(&secret).await, "one", "nobody waits for a look that hangs");
    assert!(secret.state().problem.is_some(), "a warning told of it");
    answers.send(()).unwrap();
    while &*secret.known() != "two" {
        tokio::task::yield_now().await;
    }
    assert_eq!((looks.load(Ordering::SeqCst), secret.state().problem.is_some()), (1, false));
    answers.send(()).unwrap();
    assert_eq!(after_a_second(&secret).await, "two");
}

#[test]
fn secrets_are_equal_if_they_are_written_alike_whatever_their_present_value() {
    let (one, two) = (File::new("equal-one", "same"), File::new("equal-two", "same"));
    let fixed = |text| Secret::fixed(text, one_line).unwrap();
    assert_eq!(one.secret(), one.secret());
    assert_ne!(one.secret(), two.secret(), "one of them may be renewed alone");
    assert_eq!(fixed("same"), fixed("same"));
    assert_ne!(fixed("same"), fixed("other"));
    assert_ne!(fixed("same"), one.secret());
}

#[test]
fn a_secret_is_never_printed_and_no_error_repeats_it() {
    let secret = Secret::fixed("swordfish", one_line).unwrap();
    assert_eq!(format!("{secret:?}"), "REDACTED");
    let error = Secret::fixed("sword\nfish", one_line).unwrap_err();
    assert_eq!(error.to_string(), "it leads to more than one line");
    assert!(!format!("{error:?}").contains("sword"));
    let file = File::new("unfit", "sword\tfish\n");
    let error = Secret::of_file(file.0.clone(), one_line).unwrap_err();
    assert!(matches!(error, SecretError::Unfit(_)) && !format!("{error:?} {error}").contains("sword"));
    let error = Secret::of_file("/nowhere/secret".into(), one_line).unwrap_err();
    assert!(matches!(error, SecretError::Unreadable(_)), "{error:?}");
}

#[cfg(unix)]
#[test]
fn a_pipe_a_device_and_a_file_that_is_too_long_are_refused_and_none_is_waited_for() {
    let directory = std::env::temp_dir().join(format!("queuepost-{}-secret-files", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (pipe, link) = (directory.join("pipe"), directory.join("link"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let with_length = |length: usize| {
        let path = directory.join(length.to_string());
        std::fs::write(&path, "x".repeat(length)).unwrap();
        path
    };
    let (fits, long) = (with_length(64 * 1024), with_length(64 * 1024 + 1));
    std::os::unix::fs::symlink(&fits, &link).unwrap();
    let kind = |path: &Path| match Secret::of_file(path.to_owned(), one_line) {
        Ok(secret) => Ok(secret.known().len()),
        Err(SecretError::Unreadable(error)) => Err(error.kind()),
        Err(SecretError::Unfit(why)) => panic!("{why}"),
    };
    let zero = Path::new("/dev/zero");
    let found = [kind(&pipe), kind(zero), kind(&directory), kind(&long), kind(&fits), kind(&link)];
    std::fs::remove_dir_all(&directory).unwrap();
    let (no_file, too_long) = (Err(ErrorKind::InvalidInput), Err(ErrorKind::FileTooLarge));
    assert_eq!(found, [no_file, no_file, no_file, too_long, Ok(64 * 1024), Ok(64 * 1024)]);
}
