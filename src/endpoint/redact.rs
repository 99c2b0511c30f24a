//! The beginning of an endpoint's answer, made fit for a log.
//!
//! An answer is text from outside and is escaped as such. Credentials that the endpoint got are removed from
//! it. So are parts of its address that may carry a token. An answer that repeats the beginning of the
//! message ([`super::echo`]) is withheld as a whole, because bodies are not logged.

use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use super::echo::Heard;
use crate::endpoint::auth::{Credentials, FixedHeaders};
use crate::endpoint::sign::Signer;
use crate::escape;
use crate::exchange::Resource;

/// How much of an answer is shown.
const SHOWN_BYTES: usize = 200;
/// How much of an answer is searched: a secret may begin just before the end of the shown part.
pub(super) const LOOKED_AT_BYTES: usize = 8 * 1024;
/// Shortest credential that is searched for: a shorter one would match by chance.
const SECRET_MIN: usize = 4;
/// Shortest path segment that is treated as a token.
pub const PATH_TOKEN_MIN: usize = 16;
/// Replaces a removed secret.
const REDACTED: &str = "REDACTED";
/// Replaces an answer that repeats the message.
const WITHHELD: &str = "withheld: the answer repeats the message";

/// The secrets of an endpoint that a log must not show.
pub(super) struct Secrets {
    /// Parts of the address.
    of_address: Vec<String>,
    /// Their secrets may change, so they are asked for them each time.
    credentials: Arc<Credentials>,
    headers: Arc<FixedHeaders>,
    signer: Arc<Signer>,
}

impl Secrets {
    /// The secrets in one listener's requests.
    pub(super) fn new(
        url: &Url,
        credentials: Arc<Credentials>,
        headers: Arc<FixedHeaders>,
        signer: Arc<Signer>,
    ) -> Self {
        let mut secrets = Vec::new();
        secrets.extend(url.password().map(str::to_owned));
        secrets.extend(url.query().map(str::to_owned));
        secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        let parts = url.path_segments().into_iter().flatten();
        secrets.extend(parts.filter(|part| part.len() >= PATH_TOKEN_MIN).map(str::to_owned));
        Self { of_address: secrets, credentials, headers, signer }
    }

    /// All of them, as they are now.
    fn now(&self) -> Vec<String> {
        let mut secrets = self.of_address.clone();
        secrets.extend(self.credentials.secrets());
        secrets.extend(self.headers.secrets());
        secrets.extend(self.signer.secrets());
        secrets.retain(|secret| secret.len() >= SECRET_MIN);
        // Longer secrets first: one may contain a shorter one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// The beginning of the answer to a request with these contents; `None` if there is nothing to show.
    ///
    /// A path that the request chose is made of the message, so it is taken out too.
    pub(super) fn excerpt(
        &self,
        answer: &[u8],
        contents: &[Bytes],
        resource: Option<&Resource>,
    ) -> Option<String> {
        let heard = Heard::new(&String::from_utf8_lossy(answer));
        if contents.iter().any(|content| heard.repeats(content)) {
            return Some(WITHHELD.to_owned());
        }
        let chosen = resource.into_iter().flat_map(|resource| [Some(resource.path()), resource.query()]);
        self.shown(answer, chosen.flatten().filter(|part| part.len() > 1), SHOWN_BYTES)
    }

    /// The beginning of an answer without secrets and `others`, at most so many bytes of it.
    ///
    /// It may repeat the message, so it is for whoever wrote that.
    pub(super) fn shown<'a>(
        &self,
        answer: &[u8],
        others: impl Iterator<Item = &'a str>,
        most: usize,
    ) -> Option<String> {
        let mut text = String::from_utf8_lossy(answer).into_owned();
        let mut take_out = |secret: &str| {
            if text.contains(secret) {
                text = text.replace(secret, REDACTED);
            }
        };
        others.for_each(&mut take_out);
        self.now().iter().for_each(|secret| take_out(secret));
        let text = text.trim();
        let shown = text.get(..text.floor_char_boundary(most)).unwrap_or_default();
        let more = if shown.len() < text.len() { "…" } else { "" };
        (!shown.is_empty()).then(|| escape::line(shown).into_owned() + more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::auth::{Auth, header_line};
    use crate::secret::Secret;

    const URL: &str = "http://127.0.0.1:8080/hook/T0123456789abcdef0/in?token=swordfish&v=1";

    fn secrets(auth: Option<&'static str>) -> Secrets {
        let line = |value| Secret::fixed(&format!("Authorization: {value}"), header_line).unwrap();
        let auth = auth.map(|value| Auth::Line(line(value)));
        let credentials = Credentials::new::<()>(auth.as_ref(), || Err(())).unwrap();
        let signer = Signer::new(None, crate::limit::clock::Wall::System);
        Secrets::new(&URL.parse().unwrap(), Arc::new(credentials), Arc::default(), Arc::new(signer))
    }

    fn excerpt(answer: &str, request: &'static str) -> Option<String> {
        secrets(None).excerpt(answer.as_bytes(), &[Bytes::from_static(request.as_bytes())], None)
    }

    #[test]
    fn an_answers_beginning_is_shown_on_one_line() {
        let shown = |answer: &str| excerpt(answer, "the message").unwrap();
        assert_eq!(
            shown("{\"error\":\"customer 42 is unknown\"}\n"),
            "{\"error\":\"customer 42 is unknown\"}"
        );
        assert_eq!(shown("one\r\ntwo\x1b[31m\u{9b}"), "one\\u000d\\u000atwo\\u001b[31m\\u009b");
        assert_eq!(shown("abc\u{202e}dcba\u{2066}\u{2028}\u{feff}x"), "abc\\u202edcba\\u2066\\u2028\\ufeffx");
        assert_eq!(shown(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(shown(&"x".repeat(201)), format!("{}…", "x".repeat(200)));
        assert_eq!(
            shown(&format!("{}ä", "x".repeat(199))),
            format!("{}…", "x".repeat(199)),
            "no half character"
        );
        assert_eq!(excerpt(" \n", "the message"), None);
    }

    #[test]
    fn credentials_and_tokens_of_the_address_are_taken_out() {
        let shown = |auth, answer: &str| {
            secrets(Some(auth))
                .excerpt(answer.as_bytes(), &[Bytes::from_static(b"the message")], None)
                .unwrap()
        };
        assert_eq!(
            shown("Bearer s3cr3t", "no such key: s3cr3t (Bearer s3cr3t)"),
            "no such key: REDACTED (REDACTED)"
        );
        assert_eq!(shown("k3y-alone", "bad k3y-alone"), "bad REDACTED");
        // user:pass-word
        let basic = "Basic dXNlcjpwYXNzLXdvcmQ=";
        assert_eq!(
            shown(basic, "dXNlcjpwYXNzLXdvcmQ= user:pass-word pass-word"),
            "REDACTED REDACTED REDACTED"
        );
        let echo = "Cannot POST /hook/T0123456789abcdef0/in?token=swordfish&v=1, token swordfish";
        assert_eq!(shown("Bearer s3cr3t", echo), "Cannot POST /hook/REDACTED/in?REDACTED, token REDACTED");
    }

    #[test]
    fn path_and_query_that_a_message_chose_are_taken_out() {
        let resource = Resource::new("/customers/4111%201111", Some("pin=42")).unwrap();
        let answer = b"no route for POST /customers/4111%201111?pin=42";
        let shown = secrets(None).excerpt(answer, &[Bytes::from_static(b"the message")], Some(&resource));
        assert_eq!(shown.as_deref(), Some("no route for POST REDACTED?REDACTED"));
    }

    #[test]
    fn a_secret_that_begins_in_the_shown_part_and_ends_behind_it_is_taken_out() {
        let answer = format!("{}swordfish", "x".repeat(SHOWN_BYTES - 4));
        assert_eq!(excerpt(&answer, "the message").unwrap(), format!("{}REDA…", "x".repeat(SHOWN_BYTES - 4)));
    }

    #[test]
    fn an_answer_that_repeats_the_message_is_withheld() {
        const MESSAGE: &str = r#"{"customer": 42, "card": "4111 1111 1111 1111"}"#;
        for answer in [
            MESSAGE,
            r#"{"received":{"customer":42,"card":"4111 1111 1111 1111"}}"#,
            r#"{"received":"{\"customer\": 42, \"card\": \"4111 1111 1111 1111\"}"}"#,
            "<pre>{\n  'customer': 42,\n  'card': '4111 1111 1111 1111'\n}</pre>",
        ] {
            assert_eq!(excerpt(answer, MESSAGE).as_deref(), Some(WITHHELD), "{answer}");
        }
        assert_eq!(excerpt("customer 42 is unknown", MESSAGE).as_deref(), Some("customer 42 is unknown"));
        assert_eq!(excerpt("x", "x").as_deref(), Some(WITHHELD));
        assert_eq!(excerpt("x is no order", "x").as_deref(), Some("x is no order"));
        assert_eq!(excerpt("no", "").as_deref(), Some("no"));
        let event = [MESSAGE, "the second of several", "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a"];
        let event: Vec<Bytes> = event.iter().map(|part| Bytes::from_static(part.as_bytes())).collect();
        let of_several = |answer: &str| secrets(None).excerpt(answer.as_bytes(), &event, None);
        for answer in
            ["cannot read: the second of several", "{'receiptHandle': 'AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a'}"]
        {
            assert_eq!(of_several(answer).as_deref(), Some(WITHHELD), "{answer}");
        }
        assert_eq!(of_several("Task timed out").as_deref(), Some("Task timed out"));
    }
}
