//! What the fuzzer feeds to credentials: answers of token servers, and secrets as a person may write them.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{Auth, Credentials, header_line, password, token_answer};
use crate::exchange::is_of_client;
use crate::secret::{Secret, one_line};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// What a refusal says: a status, and a code of the standard or a sentence of ours.
const REFUSAL_MAX: usize = 80;

/// A token fits in a header and lives for a while; a refusal repeats nothing of the answer.
pub(in crate::endpoint) fn token_answer(status: &[u8], answer: &[u8]) {
    let status = std::str::from_utf8(status).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(200);
    match token_answer::read(status, answer) {
        Ok(granted) => {
            assert_eq!(status, 200);
            assert!(HeaderValue::from_str(&format!("Bearer {}", granted.text)).is_ok());
            assert!(granted.life.is_none_or(|life| (Duration::from_secs(1)..=YEAR).contains(&life)));
        }
        Err((_, text)) => {
            let begins = format!("answered {status}");
            assert!(text.starts_with(&begins) && text.len() <= REFUSAL_MAX, "{text}");
        }
    }
}

/// A secret that its rule accepts makes a header of its own, and is known as a secret.
pub(in crate::endpoint) async fn secrets(text: &str) {
    let one_line = Secret::fixed(text, one_line).ok();
    let username = "user".to_owned();
    let all = [
        Secret::fixed(text, header_line).ok().map(Auth::Line),
        one_line.map(Auth::Bearer),
        Secret::fixed(text, password).ok().map(|password| Auth::Basic { username, password }),
    ];
    for auth in all.into_iter().flatten() {
        let Ok(credentials) = Credentials::new::<()>(Some(&auth), || Err(())) else { continue };
        let mut headers = HeaderMap::new();
        let added = credentials.add(&mut headers).await;
        assert!(added.is_ok(), "accepted, and fits in no header: {text:?}");
        let Some((name, value)) = headers.iter().next() else { unreachable!("no header of {text:?}") };
        assert!(value.is_sensitive() && !is_of_client(name), "{name}");
        assert!(!credentials.secrets().is_empty(), "{text:?} may come into a log");
    }
}
