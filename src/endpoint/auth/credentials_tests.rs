//! What each kind of credentials puts into a request, and takes out of logs.

use super::*;
use crate::secret::one_line;

fn secret(text: &str, rule: crate::secret::Rule) -> Secret {
    Secret::fixed(text, rule).unwrap()
}

fn credentials(auth: &Auth) -> Credentials {
    Credentials::new::<()>(Some(auth), || Err(())).unwrap()
}

async fn sent(auth: &Auth) -> Vec<(String, String)> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    credentials(auth).add(&mut headers).await.unwrap();
    headers.remove("content-type");
    assert!(headers.values().all(HeaderValue::is_sensitive));
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn kinds() -> [(Auth, &'static str, &'static str); 5] {
    let api_key = Auth::ApiKey {
        header: AUTHORIZATION,
        prefix: "Simple ".to_owned(),
        key: secret("simAbc123", one_line),
    };
    [
        (Auth::Line(secret("X-Key:  swordfish ", header_line)), "x-key", "swordfish"),
        (Auth::Bearer(secret("mF_9.B5f-4.1JqM", one_line)), "authorization", "Bearer mF_9.B5f-4.1JqM"),
        // RFC 7617, section 2.
        (
            Auth::Basic { username: "Aladdin".to_owned(), password: secret("open sesame", password) },
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (
            // RFC 7617, section 2.1.
            Auth::Basic { username: "test".to_owned(), password: secret("123\u{a3}", password) },
            "authorization",
            "Basic dGVzdDoxMjPCow==",
        ),
        (api_key, "authorization", "Simple simAbc123"),
    ]
}

#[tokio::test]
async fn each_kind_sets_its_header() {
    for (auth, name, value) in kinds() {
        assert_eq!(sent(&auth).await, [(name.to_owned(), value.to_owned())]);
        assert_eq!(auth.header(), name);
    }
}

#[test]
fn nothing_secret_is_printed_and_all_of_it_is_taken_out_of_answers() {
    for (auth, _, value) in kinds() {
        let credentials = credentials(&auth);
        let printed = format!("{auth:?} {credentials:?}");
        for secret in credentials.secrets() {
            assert!(!printed.contains(&secret), "{printed}");
        }
        let words: Vec<&str> = value.split(' ').collect();
        let last = words.last().unwrap();
        assert!(credentials.secrets().iter().any(|secret| secret == last), "{last}");
    }
    let (auth, ..) = &kinds()[2];
    for text in ["Aladdin:open sesame", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="] {
        assert!(credentials(auth).secrets().iter().any(|secret| secret == text), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_has_the_file_looked_at_before_the_next_request() {
    let path = std::env::temp_dir().join(format!("queuepost-{}-doubted-bearer", std::process::id()));
    std::fs::write(&path, "old-token").unwrap();
    let auth = Auth::Bearer(Secret::of_file(path.clone(), one_line).unwrap());
    let credentials = credentials(&auth);
    let mut headers = HeaderMap::new();
    let used = credentials.add(&mut headers).await.unwrap();
    std::fs::write(&path, "new-token").unwrap();
    credentials.answered(used, 200);
    credentials.add(&mut headers).await.unwrap();
    assert_eq!(headers[AUTHORIZATION], "Bearer old-token");
    credentials.answered(used, 401);
    credentials.add(&mut headers).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(headers[AUTHORIZATION], "Bearer new-token");
    assert_eq!(credentials.secrets(), ["new-token", "old-token"]);
}

#[test]
fn a_line_becomes_a_header() {
    for line in
        ["Authorization: Bearer s3cr3t", "authorization:Bearer s3cr3t", "Authorization:  Bearer s3cr3t "]
    {
        let (name, value) = parse(line).expect(line);
        assert_eq!((name.as_str(), value.as_bytes()), ("authorization", &b"Bearer s3cr3t"[..]));
        assert!(value.is_sensitive());
    }
}

#[test]
fn anything_else_is_refused_without_being_repeated() {
    for line in
        ["", "s3cr3t", "A: s3cr3t\nB: s3cr3t", "s3 cr3t: x", "X-Key:", "X-Key: s3cr3t\u{7f}", "Host: s3cr3t"]
    {
        let why = header_line(line).expect_err(line);
        assert!(!why.contains("cr3t"), "{why}");
    }
    for text in ["", "two\nlines", "b\u{7}ll"] {
        assert!(password(text).is_err(), "{text:?}");
    }
}
