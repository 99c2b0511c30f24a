//! Who is let in, with a token's file that changes, and what bodies are read.

use std::path::PathBuf;

use super::*;
use crate::secret::one_line;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A file with a token, removed at the end of its test.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(name: &str) -> Self {
        let file = Self(std::env::temp_dir().join(format!("queuepost-token-{}-{name}", std::process::id())));
        file.replace(TOKEN);
        file
    }

    fn replace(&self, token: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, format!("{token}\n")).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    fn guard(&self) -> Guard {
        Guard::new(Some(Secret::of_key_file(self.0.clone(), one_line).unwrap()))
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn with(token: &str) -> HeaderMap {
    headers(&[("authorization", &format!("Bearer {token}"))])
}

async fn status(guard: &Guard, headers: &HeaderMap) -> u16 {
    guard.admit(headers).await.map_or_else(|problem| problem.status.as_u16(), |()| 200)
}

#[tokio::test(start_paused = true)]
async fn only_the_whole_token_is_let_in() {
    let file = TokenFile::new("whole");
    for (lines, wanted) in [
        (with(TOKEN), 200),
        (headers(&[("authorization", &format!("bEARER   {TOKEN}"))]), 200),
        (with(&TOKEN[..31]), 401),
        (with(&format!("{TOKEN}0")), 401),
        (with("0123456789abcdef0123456789abcdeF"), 401),
        (with(""), 401),
        (headers(&[]), 401),
        (headers(&[("authorization", TOKEN)]), 401),
        (headers(&[("authorization", &format!("Basic {TOKEN}"))]), 401),
        (headers(&[("authorization", &format!("Bearer {TOKEN}")), ("authorization", "Bearer x")]), 401),
        (headers(&[("authorization", &format!("Bearer {TOKEN}")), ("origin", "http://evil.example")]), 403),
        (headers(&[("authorization", &format!("Bearer {TOKEN}")), ("sec-fetch-site", "cross-site")]), 403),
    ] {
        assert_eq!(status(&file.guard(), &lines).await, wanted, "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_of_its_own_it_lets_nobody_in_and_says_how() {
    let problem = Guard::new(None).admit(&with(TOKEN)).await.unwrap_err();
    assert_eq!(problem.status, StatusCode::FORBIDDEN);
    assert!(problem.fix.contains("admin.allow_changes: true"), "{problem:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_let_in_at_once_and_the_former_one_no_more() {
    let file = TokenFile::new("renewed");
    let guard = file.guard();
    assert_eq!(status(&guard, &with(TOKEN)).await, 200);
    let new = "fedcba9876543210fedcba9876543210";
    file.replace(new);
    assert_eq!(status(&guard, &with(new)).await, 200);
    assert_eq!(status(&guard, &with(TOKEN)).await, 401);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_replaced_counts_no_more_and_one_that_was_taken_away_lets_in_nobody() {
    let file = TokenFile::new("gone");
    let guard = file.guard();
    let other = "fedcba9876543210fedcba9876543210";
    file.replace(other);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!([status(&guard, &with(TOKEN)).await, status(&guard, &with(other)).await], [401, 200]);
    std::fs::remove_file(&file.0).unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    let problem = guard.admit(&with(TOKEN)).await.unwrap_err();
    assert_eq!(problem.status, StatusCode::UNAUTHORIZED);
    assert_eq!((problem.error.as_str(), problem.fix.as_str()), (UNUSABLE, UNUSABLE_FIX));
    file.replace(TOKEN);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(status(&guard, &with(TOKEN)).await, 200);
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_are_soon_told_to_wait_and_the_right_one_is_let_in_meanwhile() {
    let file = TokenFile::new("guessed");
    let guard = file.guard();
    for attempt in 0..8 {
        let wanted = if attempt < 5 { 401 } else { 429 };
        assert_eq!(status(&guard, &with("wrong")).await, wanted, "{attempt}");
    }
    assert_eq!(status(&guard, &with(TOKEN)).await, 200);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!([status(&guard, &with("wrong")).await, status(&guard, &with("wrong")).await], [401, 429]);
}

#[tokio::test(start_paused = true)]
async fn guesses_do_not_make_it_read_the_file_and_a_new_token_counts_within_a_second() {
    let file = TokenFile::new("unread");
    let guard = file.guard();
    for _ in 0..5 {
        assert_eq!(status(&guard, &with("wrong")).await, 401);
    }
    let new = "fedcba9876543210fedcba9876543210";
    file.replace(new);
    // It was not looked at: the former token still counts.
    assert_eq!([status(&guard, &with(new)).await, status(&guard, &with(TOKEN)).await], [429, 200]);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!([status(&guard, &with(new)).await, status(&guard, &with(TOKEN)).await], [200, 401]);
}

#[tokio::test(start_paused = true)]
async fn twenty_changes_are_let_in_at_once_and_ten_a_second() {
    let file = TokenFile::new("flood");
    let guard = file.guard();
    let mut let_in = 0;
    for _ in 0..40 {
        let_in += usize::from(status(&guard, &with(TOKEN)).await == 200);
    }
    assert_eq!(let_in, 20);
    let problem = guard.admit(&with(TOKEN)).await.unwrap_err();
    assert!(problem.wait.is_some_and(|wait| wait <= Duration::from_millis(100)), "{problem:?}");
}

#[tokio::test]
async fn a_body_is_bounded_and_is_json_where_one_is_needed() {
    let guard = Guard::new(None);
    let json = headers(&[("content-type", "application/json; charset=utf-8")]);
    let body = async |takes, headers: &HeaderMap, bytes: usize| {
        let read = guard.body(takes, headers, Body::from(vec![b'x'; bytes])).await;
        read.map_or_else(|problem| problem.status.as_u16(), |_| 200)
    };
    assert_eq!(body(Takes::Values, &headers(&[]), 1).await, 415);
    assert_eq!(body(Takes::Values, &headers(&[("content-type", "text/plain")]), 1).await, 415);
    assert_eq!(body(Takes::Values, &json, SHORT_MAX).await, 200);
    assert_eq!(body(Takes::Values, &json, SHORT_MAX + 1).await, 413);
    assert_eq!(body(Takes::Message, &json, MESSAGE_MAX).await, 200);
    assert_eq!(body(Takes::Message, &json, MESSAGE_MAX + 1).await, 413);
    assert_eq!(body(Takes::Nothing, &headers(&[]), 0).await, 200);
}
