//! Signatures as each standard's own library verifies them, and that no secret is printed or served.

use std::time::Duration;

use serde_json::{Value, json};

use super::lines::Script;
use super::{node, python};
use crate::e2e::process::{Queuepost, until};
use crate::e2e::servers::QueueServer;

const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND: &str = "whsec_c2Vjb25kLXNlY3JldC1vZi10aGlydHktdHdvLWJ5dGVzIQ==";
const PLANTED: &str = "pl4nted-s3cret-of-an-hmac";
const TOKEN: &str = "FwoGZXIvYXdzEPL4ntedT0ken";
const BODY: &str = "{\"größe\": 7}\n";

/// A file of one test, removed with it.
struct File(String);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let path = format!("{}/{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// The binary with one listener whose endpoint has these keys.
struct Signing {
    queues: QueueServer,
    bridge: Queuepost,
    _config: File,
}

impl Signing {
    async fn start(name: &str, url: &str, path: &str, keys: &str, env: &[(&str, &str)]) -> Self {
        let queues = QueueServer::start().await;
        let queue = queues.queue("orders", 10);
        let config = format!(
            "endpoints:\n  api:\n    url: {url}\n    {keys}\nlisteners:\n  - queue: '{queue}'\n    endpoint: api\n    \
             path: '{path}'\n    receive_wait: 1s\nadmin: {{listen: 127.0.0.1:0}}\nlog: {{format: json, level: debug}}\n"
        );
        let config = File::new(&format!("{name}.yaml"), &config);
        let mut bridge = Queuepost::start(&["run", "--config", &config.0], env);
        bridge.find_admin().await;
        Self { queues, bridge, _config: config }
    }

    /// What the receiver says of a message.
    async fn post(&self, receiver: &mut Script) -> Value {
        self.queues.send("orders", BODY);
        let seen = receiver.next().await;
        assert_eq!(seen.get("error"), None, "{seen}");
        seen
    }

    /// Ends the process; none of `secrets` may be in what it served or printed.
    async fn end(mut self, secrets: &[&str]) -> String {
        let mut texts = String::new();
        for path in ["/metrics", "/api/v1/status", "/readyz?verbose"] {
            let (status, text) = self.bridge.admin(path).await;
            assert!(status == 200 || path.starts_with("/readyz"), "{path}: {status}");
            texts.push_str(&text);
        }
        let ended = self.bridge.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        texts.push_str(&ended.output);
        for secret in secrets {
            assert!(!texts.contains(secret), "{secret} in {texts}");
        }
        texts
    }
}

#[tokio::test]
async fn each_of_two_active_secrets_verifies_a_standard_webhook_alone_and_a_new_one_needs_no_restart() {
    let Some(python) = python("Standard Webhooks") else { return };
    let mut both =
        Script::start(&python, "receiver.py", &[("WEBHOOK_SECRETS", &format!("{FIRST} {SECOND}"))]).await;
    let file = File::new("webhook-secret", &format!("{FIRST}\n"));
    let keys = format!("sign: {{standard_webhooks: {{secrets: [{{file: '{}'}}, {{env: SECOND}}]}}}}", file.0);
    let signing = Signing::start("webhooks", &both.url, "/hook?a=b", &keys, &[("SECOND", SECOND)]).await;
    let seen = signing.post(&mut both).await;
    assert_eq!(seen["verified"], json!(["standard webhooks 0", "standard webhooks 1"]), "{seen}");
    assert_eq!(seen["headers"]["webhook-id"], seen["headers"]["idempotency-key"]);

    let third = FIRST.replace("MfKQ", "AAAA");
    std::fs::write(&file.0, "no secret of webhooks").unwrap();
    until_after(&signing, &mut both, |seen| seen.contains("the former secret stays")).await;
    std::fs::write(&file.0, &third).unwrap();
    until_after(&signing, &mut both, |seen| seen.contains("the secret in a file has changed")).await;
    let seen = signing.post_unverified(&mut both).await;
    let error = seen["error"].as_str().unwrap_or_default();
    assert!(error.contains("No matching signature"), "the first secret signs no longer: {seen}");
    let plain = |secret: &str| secret.trim_start_matches("whsec_").to_owned();
    let bare = [plain(FIRST), plain(SECOND), plain(&third)];
    signing.end(&bare.each_ref().map(String::as_str)).await;
}

impl Signing {
    async fn post_unverified(&self, receiver: &mut Script) -> Value {
        self.queues.send("orders", BODY);
        receiver.next().await
    }
}

/// Posts until the log says something: a file is looked at when it is used, once a second at most.
async fn until_after(signing: &Signing, receiver: &mut Script, said: impl Fn(&str) -> bool) {
    let end = tokio::time::Instant::now() + crate::e2e::process::PATIENCE;
    while !said(&signing.bridge.output()) {
        assert!(tokio::time::Instant::now() < end, "{}", signing.bridge.output());
        signing.post_unverified(receiver).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_github_signature_is_verified_by_githubs_library() {
    let Some(packages) = node("GitHub's signature") else { return };
    let env = [
        ("PACKAGES", packages.to_str().unwrap()),
        ("SECRET", PLANTED),
        ("PATH", &std::env::var("PATH").unwrap()),
    ];
    let mut github = Script::start("node".as_ref(), "github.mjs", &env).await;
    let keys = "sign: {hmac: {format: github, secret: {env: HOOK_SECRET}}}";
    let signing = Signing::start("github", &github.url, "/", keys, &[("HOOK_SECRET", PLANTED)]).await;
    let seen = signing.post(&mut github).await;
    assert_eq!(
        (&seen["verified"], &seen["altered"], &seen["body"]),
        (&json!(true), &json!(false), &json!(BODY))
    );
    signing.end(&[PLANTED]).await;
}

#[tokio::test]
async fn a_simple_sqsd_signature_is_over_method_address_and_body() {
    let Some(python) = python("simple-sqsd's signature") else { return };
    let mut receiver = Script::start(&python, "receiver.py", &[("SIMPLE_SQSD_SECRET", PLANTED)]).await;
    let keys = "sign: {hmac: {format: simple-sqsd, header: X-Sqsd-Signature, secret: {env: HOOK_SECRET}}}";
    let signing = Signing::start(
        "simple-sqsd",
        &receiver.url,
        "/work/a%20b?x=1&y=%2F",
        keys,
        &[("HOOK_SECRET", PLANTED)],
    )
    .await;
    let seen = signing.post(&mut receiver).await;
    assert_eq!(seen["verified"], json!(["simple-sqsd"]), "{seen}");
    signing.end(&[PLANTED]).await;
}

#[tokio::test]
async fn botocore_makes_the_same_sigv4_signature_with_and_without_a_session_token() {
    let Some(python) = python("SigV4") else { return };
    for (service, token) in [("lambda", Some(TOKEN)), ("execute-api", None), ("my-service", None)] {
        let mut env = vec![
            ("AWS_ACCESS_KEY_ID", "AKIDPLANTEDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "pl4nted/SecretAccessKey"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        env.extend(token.map(|token| ("AWS_SESSION_TOKEN", token)));
        let verify = [&env[..], &[("SIGV4_SERVICE", service), ("ANSWER", "500")]].concat();
        let mut receiver = Script::start(&python, "receiver.py", &verify).await;
        let keys = format!("auth: {{sigv4: {{service: {service}}}}}");
        let name = format!("sigv4-{service}");
        let signing = Signing::start(&name, &receiver.url, "/a%20b/c?y=2&x=%2F1", &keys, &env).await;
        let seen = signing.post(&mut receiver).await;
        assert_eq!(seen["verified"], json!(["sigv4"]), "{seen}");
        let authorization = seen["headers"]["authorization"].as_str().unwrap();
        assert!(authorization.contains(&format!("/eu-central-1/{service}/aws4_request")), "{authorization}");
        // The receiver repeats all headers in its answer, which the log shows.
        signing.bridge.until_line("you sent").await;
        let printed = signing.end(&["pl4nted/SecretAccessKey", TOKEN, "AKIDPLANTEDEXAMPLE"]).await;
        assert!(printed.contains("you sent"), "{printed}");
    }
}

#[tokio::test]
async fn renewed_credentials_sign_the_next_request_and_a_failed_renewal_posts_nothing() {
    let Some(python) = python("renewed credentials of SigV4") else { return };
    let mut receiver = Script::start(&python, "receiver.py", &[("ANSWER", "200")]).await;
    let process = |key: &str, seconds: u64| {
        let expiry =
            humantime::format_rfc3339_seconds(std::time::SystemTime::now() + Duration::from_secs(seconds));
        format!(
            r#"{{"Version":1,"AccessKeyId":"{key}","SecretAccessKey":"s","SessionToken":"t","Expiration":"{expiry}"}}"#
        )
    };
    let answer = File::new("sigv4-process", &process("AKIDFIRST", 6));
    let profile = File::new("sigv4-config", &format!("[default]\ncredential_process = cat {}\n", answer.0));
    let env = [
        ("AWS_CONFIG_FILE", profile.0.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let keys = "auth: {sigv4: {service: lambda}}";
    let signing = Signing::start("sigv4-renewed", &receiver.url, "/", keys, &env).await;
    let key = |seen: &Value| {
        seen["headers"]["authorization"].as_str().unwrap().split(['=', '/']).nth(1).unwrap().to_owned()
    };
    assert_eq!(key(&signing.post_unverified(&mut receiver).await), "AKIDFIRST");
    std::fs::write(&answer.0, process("AKIDSECOND", 3_600)).unwrap();
    let end = tokio::time::Instant::now() + crate::e2e::process::PATIENCE;
    while key(&signing.post_unverified(&mut receiver).await) != "AKIDSECOND" {
        assert!(tokio::time::Instant::now() < end, "{}", signing.bridge.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    signing.end(&[]).await;

    let missing =
        [("AWS_CONFIG_FILE", "/nowhere"), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"), env[1], env[2]];
    let signing = Signing::start("sigv4-missing", &receiver.url, "/", keys, &missing).await;
    signing.queues.send("orders", BODY);
    signing.bridge.until_line("aws_credentials").await;
    let held = until(|| (signing.queues.census("orders") == (0, 1, 0)).then_some(())).await;
    assert!(held.is_some(), "{:?}", signing.queues.census("orders"));
    assert_eq!(signing.queues.receive_counts("orders"), [1]);
    signing.end(&[]).await;
}

#[tokio::test]
async fn what_is_wrong_with_signatures_is_told_at_once_and_in_place() {
    let file = File::new("bad-webhook-secret", "whsec_short");
    let config = format!(
        "endpoints:\n  a:\n    url: http://127.0.0.1:1\n    sign:\n      standard_webhooks:\n        secrets:\n          \
         - file: '{}'\n          - env: PLANTED\n  b:\n    url: http://127.0.0.1:2\n    sign: {{hmac: {{format: simple-sqsd}}}}\n  \
         c:\n    url: http://127.0.0.1:3\n    sign: {{}}\n  d:\n    url: http://127.0.0.1:4\n    auth: {{sigv4: {{service: Lambda}}}}\n\
         listeners:\n  - {{queue: q, endpoint: a, path: /}}\n",
        file.0
    );
    let config = File::new("bad-signatures.yaml", &config);
    let env = [("PLANTED", PLANTED)];
    let ended = Queuepost::start(&["check", "--offline", "--config", &config.0], &env).ended().await;
    assert_eq!(ended.code, Some(78), "{}", ended.output);
    for line in [
        "endpoints.a.sign.standard_webhooks.secrets[0].file",
        "endpoints.a.sign.standard_webhooks.secrets[1].env",
        "no secret of Standard Webhooks",
        "endpoints.b.sign.hmac.header is required with the format simple-sqsd",
        "SQSD_HTTP_HMAC_HEADER",
        "endpoints.b.sign.hmac.secret is required",
        "endpoints.c.sign needs one of: standard_webhooks, hmac",
        "endpoints.d.auth.sigv4.service: Lambda is no name of a service",
        "endpoints.d.auth.sigv4.region is required",
    ] {
        assert!(ended.output.contains(line), "{line} not in {}", ended.output);
    }
    assert!(!ended.output.contains(PLANTED) && !ended.output.contains("whsec_short"), "{}", ended.output);
}
