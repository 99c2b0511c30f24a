//! Reads what a token server answers (RFC 6749, sections 5.1 and 5.2). Nothing of an answer is kept but the
//! token, its life, and an error code of the standard's closed list.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::policy::outcome::Step;

/// A token that is valid for longer is used as if it were valid for this long.
const LIFE_MAX: Duration = Duration::from_secs(365 * 86_400);
/// A token that is valid for less is used for this long, so that not every request fetches one.
const LIFE_MIN: Duration = Duration::from_secs(1);
/// Error codes (RFC 6749, section 5.2), and whether they are about the client as such.
const CODES: [(&str, bool); 7] = [
    ("invalid_client", true),
    ("unauthorized_client", true),
    ("access_denied", false),
    ("invalid_grant", false),
    ("invalid_request", false),
    ("invalid_scope", false),
    ("unsupported_grant_type", false),
];

/// A token as it was granted.
#[derive(PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) text: String,
    /// How long it is valid, if the server says so.
    pub(super) life: Option<Duration>,
}

/// Why an answer brings no token: the class, and the rest of a sentence that begins with the server.
pub(super) type Refusal = (Step, String);

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct Error {
    error: String,
}

/// The token in an answer with this status and body.
pub(super) fn read(status: u16, body: &[u8]) -> Result<Granted, Refusal> {
    match status {
        200 => granted(body).map_err(|why| (Step::TokenAnswer, format!("answered 200, but {why}"))),
        429 | 500..=599 => Err((Step::TokenServer, format!("answered {status}"))),
        400..=499 => Err(refused(status, body)),
        _ => Err((Step::TokenAnswer, format!("answered {status}, and no token"))),
    }
}

fn granted(body: &[u8]) -> Result<Granted, &'static str> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "no JSON object of a token")?;
    let text = answer.access_token.ok_or("without access_token")?;
    // RFC 6750, section 2.1: what an Authorization header carries as a token.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its access_token fits in no header");
    }
    // RFC 6749, section 7.1: a client must not use a token of a type that it does not know.
    if !answer.token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("its token_type is not Bearer");
    }
    let seconds = answer.expires_in.as_ref().and_then(seconds);
    Ok(Granted { text, life: seconds.map(|life| Duration::from_secs(life).clamp(LIFE_MIN, LIFE_MAX)) })
}

/// Some servers write the number as a text.
fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number
            .as_u64()
            .or_else(|| Duration::try_from_secs_f64(number.as_f64()?).ok().map(|d| d.as_secs())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn refused(status: u16, body: &[u8]) -> Refusal {
    let code = serde_json::from_slice::<Error>(body).ok().map(|error| error.error);
    match (CODES.iter().find(|(known, _)| code.as_deref() == Some(known)), status) {
        (Some((code, true)), _) => (Step::TokenClient, format!("answered {status} {code}")),
        (Some((code, false)), _) => (Step::TokenRefused, format!("answered {status} {code}")),
        (None, 401) => (Step::TokenClient, "answered 401".to_owned()),
        (None, 400 | 403) => (Step::TokenRefused, format!("answered {status}")),
        (None, _) => (Step::TokenAnswer, format!("answered {status}, and no token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(expires_in: &str) -> Option<u64> {
        let body = format!(r#"{{"access_token":"t0k3n","token_type":"bearer"{expires_in}}}"#);
        read(200, body.as_bytes()).expect("granted").life.map(|life| life.as_secs())
    }

    #[test]
    fn a_token_is_taken_with_its_life_however_that_is_written() {
        assert_eq!(life(""), None);
        assert_eq!(life(r#","expires_in":3600,"scope":"a b""#), Some(3600));
        assert_eq!(life(r#","expires_in":"3599""#), Some(3599));
        assert_eq!(life(r#","expires_in":59.9"#), Some(59));
        assert_eq!(life(r#","expires_in":0"#), Some(1));
        assert_eq!(life(r#","expires_in":99999999999999"#), Some(365 * 86_400));
        assert_eq!([life(r#","expires_in":-1"#), life(r#","expires_in":"soon""#)], [None, None]);
    }

    #[test]
    fn every_refusal_has_its_class_and_nothing_of_the_answer_but_codes_of_the_standard() {
        let of = |status: u16, body: &str| read(status, body.as_bytes()).err().expect("refused");
        let code = |code: &str| format!(r#"{{"error":"{code}","error_description":"s3cr3t"}}"#);
        let cases = [
            (401, code("invalid_client"), Step::TokenClient, "answered 401 invalid_client"),
            (400, code("unauthorized_client"), Step::TokenClient, "answered 400 unauthorized_client"),
            (400, code("invalid_scope"), Step::TokenRefused, "answered 400 invalid_scope"),
            (400, code("s3cr3t"), Step::TokenRefused, "answered 400"),
            (401, "s3cr3t".to_owned(), Step::TokenClient, "answered 401"),
            (403, "s3cr3t".to_owned(), Step::TokenRefused, "answered 403"),
            (404, "s3cr3t".to_owned(), Step::TokenAnswer, "answered 404, and no token"),
            (302, String::new(), Step::TokenAnswer, "answered 302, and no token"),
            (429, String::new(), Step::TokenServer, "answered 429"),
            (503, code("invalid_client"), Step::TokenServer, "answered 503"),
            (200, "s3cr3t".to_owned(), Step::TokenAnswer, "answered 200, but no JSON object of a token"),
            (200, "{}".to_owned(), Step::TokenAnswer, "answered 200, but without access_token"),
            (
                200,
                r#"{"access_token":"a b","token_type":"Bearer"}"#.to_owned(),
                Step::TokenAnswer,
                "answered 200, but its access_token fits in no header",
            ),
            (
                200,
                r#"{"access_token":"s3cr3t","token_type":"mac"}"#.to_owned(),
                Step::TokenAnswer,
                "answered 200, but its token_type is not Bearer",
            ),
        ];
        for (status, body, step, text) in cases {
            assert_eq!(of(status, &body), (step, text.to_owned()), "{status} {body}");
        }
    }
}
