//! Secrets whose files are replaced, damaged, removed and mended while they are in use.

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
    secret.current().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_when_it_was_replaced_or_written() {
    let file = File::new("replaced", "one\n");
    let secret = file.secret();
    assert_eq!(&*secret.current(), "one", "without the line end");
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
    assert_eq!(&*secret.current(), "one");
    let shared = secret.clone();
    shared.doubt();
    assert_eq!(&*secret.current(), "two");
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
    assert_eq!(&*secret.current(), "one");
    std::fs::remove_file(&link.0).unwrap();
    std::os::unix::fs::symlink(&two.0, &link.0).unwrap();
    assert_eq!(after_a_second(&secret).await, "two", "as Kubernetes renews a mounted Secret");
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
