//! Precedence, files and positions.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::endpoint::auth::Auth as Credentials;
use crate::exchange::Verdicts;
use crate::policy::outcome::{Answer, Outcome};
use crate::telemetry::log::Format;

const TWO: &str = "listeners:\n- {queue: a, url: 'https://h/'}\n- {queue: b, url: 'https://h/'}\n";

fn no_env(_: &str) -> Option<String> {
    None
}

fn minimal() -> Overrides {
    let text = |text: &str| Some(text.to_owned());
    Overrides { queue: text("orders"), url: text("https://api.example/run"), ..Overrides::default() }
}

/// A directory of the test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("queuepost-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn flags_alone_are_a_configuration() {
    let plan = load(&minimal(), &no_env, true).expect("valid");
    assert_eq!(plan.listeners[0].listener.name, "orders");
    assert_eq!(plan.listeners[0].target.url.as_str(), "https://api.example/run");
    assert_eq!(plan.log.format, Format::Text);
    assert!(!plan.require_healthy);
    assert_eq!((plan.deadline, plan.warnings), (Duration::from_secs(75), Vec::<String>::new()));
}

#[test]
fn variables_alone_are_a_configuration() {
    let env = |name: &str| {
        let value = match name {
            "QUEUEPOST_QUEUE" => "orders",
            "QUEUEPOST_URL" => "https://api.example",
            "QUEUEPOST_ALGORITHM" => "demo/Hello",
            "QUEUEPOST_ROLE_ARN" => "arn:aws:iam::123456789012:role/consumer",
            "QUEUEPOST_EXTERNAL_ID" => "abc",
            "QUEUEPOST_REGION" => "eu-west-1",
            "QUEUEPOST_PROFILE" => "work",
            "QUEUEPOST_WORKERS" => "3",
            "QUEUEPOST_TIMEOUT" => "1m",
            "QUEUEPOST_SUCCESS" => "200,202-204",
            "QUEUEPOST_THROTTLE_DELAY" => "2m",
            "QUEUEPOST_RECEIVE_WAIT" => "1s",
            "QUEUEPOST_LATENCY_BUDGET" => "50ms",
            "QUEUEPOST_SESSIONS" => "7",
            "QUEUEPOST_RATE" => "4",
            "QUEUEPOST_ADMIN_LISTEN" => "127.0.0.1:1",
            "QUEUEPOST_SHUTDOWN_DEADLINE" => "3m",
            "QUEUEPOST_LOG_FORMAT" => "text",
            "QUEUEPOST_LOG" => "debug",
            _ => "",
        };
        Some(value.to_owned())
    };
    let plan = load(&Overrides::default(), &env, false).expect("valid");
    let (listener, endpoint) = (&plan.listeners[0], &plan.endpoints[0]);
    assert_eq!(listener.target.url.as_str(), "https://api.example/v1/algo/demo/Hello?timeout=45");
    assert!(listener.queue.role.as_ref().is_some_and(|role| role.external_id.as_deref() == Some("abc")));
    assert_eq!(listener.queue.region.as_deref(), Some("eu-west-1"));
    assert_eq!(listener.queue.profile.as_deref(), Some("work"));
    assert_eq!((listener.listener.workers, endpoint.limits.sessions), (3, 7));
    let answer = Answer { status: 203, ..Answer::default() };
    assert_eq!(listener.listener.exchange.verdicts(&answer, &[]), Verdicts::All(Outcome::Success));
    assert_eq!(listener.listener.policy.throttle_delay, Duration::from_mins(2));
    assert_eq!(listener.listener.receiving.wait, Duration::from_secs(1));
    assert_eq!(listener.listener.receiving.latency_budget, Duration::from_millis(50));
    assert_eq!(endpoint.limits.rate.map(|rate| rate.burst.get()), Some(4));
    assert_eq!((plan.admin.all.port(), plan.deadline), (1, Duration::from_mins(3)));
    assert_eq!(
        (plan.log.format, plan.log.filter.as_str()),
        (Format::Text, "warn,aws_config=error,queuepost=debug")
    );
}

#[test]
fn a_flag_is_before_its_variable_before_the_file_before_the_default() {
    let directory = Directory::new("precedence");
    let text = "listeners: [{queue: a, url: 'https://h/', workers: 2, timeout: 5s, receive_wait: 1s}]\n";
    let config = directory.file("one.yaml", text);
    let env = |name: &str| match name {
        "QUEUEPOST_WORKERS" => Some("3".to_owned()),
        "QUEUEPOST_TIMEOUT" => Some("6s".to_owned()),
        "QUEUEPOST_CONFIG" => Some(config.clone()),
        _ => None,
    };
    let overrides = Overrides { workers: Some("4".to_owned()), ..Overrides::default() };
    let plan = load(&overrides, &env, false).expect("valid");
    let listener = &plan.listeners[0].listener;
    assert_eq!(listener.workers, 4);
    assert_eq!(listener.timeout, Duration::from_secs(6));
    assert_eq!(listener.receiving.wait, Duration::from_secs(1));
    assert_eq!(listener.policy.throttle_delay, Duration::from_mins(5));
    let flag_file = Overrides { config: Some(directory.file("two.yaml", TWO)), ..Overrides::default() };
    let only_file = |name: &str| env(name).filter(|_| name == "QUEUEPOST_CONFIG");
    assert_eq!(load(&flag_file, &only_file, false).expect("valid").listeners.len(), 2);
}

#[test]
fn flags_of_a_listener_need_a_file_with_exactly_one() {
    let directory = Directory::new("several");
    let config = directory.file("two.yaml", TWO);
    let overrides = Overrides {
        config: Some(config.clone()),
        workers: Some("1".to_owned()),
        rate: Some("1".to_owned()),
        admin_listen: Some("127.0.0.1:1".to_owned()),
        ..Overrides::default()
    };
    let text = load(&overrides, &no_env, false).expect_err("ambiguous").to_string();
    let rule = "describes one listener, and the file has 2; write it into the file";
    assert_eq!(text, format!("--rate {rule}\n--workers {rule}"));
    let top = Overrides { workers: None, rate: None, ..overrides };
    assert_eq!(load(&top, &no_env, false).expect("valid").admin.all.port(), 1);
}

#[test]
fn flags_of_an_endpoint_change_the_one_its_listener_uses() {
    let directory = Directory::new("endpoint");
    let config = directory.file(
        "one.yaml",
        "listeners: [{queue: a, endpoint: api, path: /run}]\n\
         endpoints: {api: {url: 'https://h', sessions: 3, rate_limit: {per_second: 1, burst: 9}}}\n",
    );
    let header = directory.file("header", "X-Api-Key: s3cr3t\n");
    let overrides = Overrides {
        config: Some(config.clone()),
        sessions: Some("4".to_owned()),
        rate: Some("2".to_owned()),
        auth_header_file: Some(header),
        ..Overrides::default()
    };
    let plan = load(&overrides, &no_env, false).expect("valid");
    let endpoint = &plan.endpoints[0];
    assert_eq!((endpoint.client.name.as_str(), endpoint.limits.sessions), ("api", 4));
    assert_eq!(endpoint.limits.rate.map(|rate| rate.burst.get()), Some(2));
    assert!(endpoint.client.auth.as_ref().is_some_and(|auth| auth.header() == "x-api-key"));
    let url =
        Overrides { config: Some(config), url: Some("https://other/x".to_owned()), ..Overrides::default() };
    let plan = load(&url, &no_env, false).expect("valid");
    assert_eq!(plan.listeners[0].target.url.as_str(), "https://other/x");
    assert_eq!(plan.endpoints[0].client.name, "https://other");
}

#[test]
fn a_relative_path_in_the_file_starts_at_the_file() {
    let directory = Directory::new("relative");
    directory.file("header", "Authorization: Bearer s3cr3t");
    let text = |file: &str| {
        format!(
            "listeners: [{{queue: a, endpoint: api, path: /}}]\n\
             endpoints: {{api: {{url: 'https://h', auth: {{header_file: {file}}}}}}}\n"
        )
    };
    let plan = |file: &str| {
        let config = directory.file("c.yaml", &text(file));
        load(&Overrides { config: Some(config), ..Overrides::default() }, &no_env, false)
    };
    assert!(plan("header").expect("valid").endpoints[0].client.auth.is_some());
    let error = plan("s3cr3t").expect_err("missing").to_string();
    assert!(
        error.contains(
            "c.yaml:2:57: endpoints.api.auth.header_file: REDACTED names a file that cannot be read: there is no"
        ),
        "{error}"
    );
    assert!(!error.contains("s3cr3t"), "{error}");
    assert!(error.contains("a relative path starts at"), "{error}");
    let path = directory.path("orders-auth");
    let error = plan(&path).expect_err("missing").to_string();
    let told = format!("header_file: {path} names a file that cannot be read: there is no such file");
    assert!(error.contains(&told) && !error.contains("a relative path"), "{error}");
}

#[test]
fn what_leads_to_credentials_is_shown_if_it_is_a_path_or_a_variable_and_never_a_secret() {
    let directory = Directory::new("shown");
    let empty = directory.file("s3cr3t", "");
    let env = |name: &str| (name == "b4d_h3ader").then(|| "no header".to_owned());
    let told = |auth: &str| {
        let config = directory.file(
            "c.yaml",
            &format!(
                "listeners: [{{queue: a, endpoint: api, path: /}}]\nendpoints:\n  api:\n    url: https://h\n    {auth}\n"
            ),
        );
        let overrides = Overrides { config: Some(config), ..Overrides::default() };
        load(&overrides, &env, false).expect_err(auth).to_string()
    };
    for (auth, shown) in [
        ("auth: {header_env: ORDERS_AUTH}", "header_env: ORDERS_AUTH names a variable that is not set"),
        ("auth: {header_file: ./orders-auth}", "header_file: ./orders-auth names a file"),
        ("auth: {header_file: secrets/orders-auth}", "a path is shown once its directory exists"),
        (
            "auth: {header_env: ORDERS}",
            "header_env: REDACTED names a variable that is not set; REDACTED, since it",
        ),
        // The file exists, so the text is a name, whatever it looks like.
        ("auth: {header_file: s3cr3t}", "header_file: s3cr3t leads to nothing"),
        ("auth: {header_env: b4d_h3ader}", "header_env: b4d_h3ader leads to no header"),
        ("tls: {cert_file: /no-such/cert.pem, key_file: ./key.pem}", "key_file: ./key.pem cannot be read"),
    ] {
        let text = told(auth);
        assert!(text.contains(shown), "{text}");
    }
    for secret in [
        "hunter2",
        "/h4x0r5h4x0r5/x",
        "hunter2/hUnTeR2",
        "-----BEGIN PRIVATE KEY----- hunter2",
        "HUNTER2ABC3DEF4",
        "HUNTER2",
        "SWORDFISH99",
        "admin/swordfish",
        "hunter2.com",
        "sk_live_abcdefgh/key",
    ] {
        for auth in [
            format!("auth: {{header_env: '{secret}'}}"),
            format!("auth: {{header_file: '{secret}'}}"),
            format!("tls: {{cert_file: /no-such/cert.pem, key_file: '{secret}'}}"),
        ] {
            let text = told(&auth);
            assert!(text.contains("REDACTED") && !text.contains(secret), "{text}");
        }
    }
    let flag = Overrides { auth_header_file: Some(directory.path("auth")), ..minimal() };
    let text = load(&flag, &no_env, false).expect_err("missing").to_string();
    let path = directory.path("auth");
    let told = "names a file that cannot be read: there is no such file";
    assert_eq!(text, format!("--auth-header-file: {path} {told}"));
    std::fs::remove_file(empty).expect("removed");
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read_is_warned_of_with_its_file_and_the_command() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new("exposed");
    let header = directory.file("header", "Authorization: Bearer s3cr3t");
    let warnings = |mode: u32| {
        std::fs::set_permissions(&header, std::fs::Permissions::from_mode(mode)).expect("a mode");
        let timeout = Some("5s".to_owned());
        let overrides = Overrides { auth_header_file: Some(header.clone()), timeout, ..minimal() };
        load(&overrides, &no_env, false).expect("valid").warnings
    };
    assert_eq!(warnings(0o600), Vec::<String>::new());
    let told = warnings(0o644).join("\n");
    assert!(told.starts_with("--auth-header-file names ") && told.contains("(mode 644)"), "{told}");
    assert!(told.ends_with(&format!("chmod 600 {header}")), "{told}");
}

#[test]
fn every_flag_with_a_value_has_a_variable_of_its_name() {
    let variables = variables();
    assert_eq!(variables.len(), 28);
    for (flag, variable) in variables {
        let name = flag.trim_start_matches('-').replace('-', "_").to_uppercase();
        let name = if name == "LOG_LEVEL" { "LOG".to_owned() } else { name };
        assert_eq!(variable, format!("QUEUEPOST_{name}"));
    }
}

#[test]
fn problems_name_the_flag_or_the_variable() {
    let env = |name: &str| (name == "QUEUEPOST_TIMEOUT").then(|| "30".to_owned());
    let overrides =
        Overrides { workers: Some("0".to_owned()), log_format: Some("xml".to_owned()), ..minimal() };
    let text = load(&overrides, &env, false).expect_err("three problems").to_string();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines[0], "--log-format: xml is none of: text, json");
    assert_eq!(lines[1], "--workers: 0 is out of range: 1 to 10,000");
    assert_eq!(lines[2], "QUEUEPOST_TIMEOUT: 30 has no unit; write 30s, 5m or 500ms");
}

#[test]
fn what_is_missing_names_the_flag_to_add() {
    let text = |overrides: &Overrides| load(overrides, &no_env, false).expect_err("incomplete").to_string();
    let nothing = text(&Overrides::default());
    assert_eq!(nothing, "no listener is described: give --config FILE, or --queue and --url");
    let half = Overrides { url: None, ..minimal() };
    assert_eq!(text(&half), "--url is required: where messages are posted to");
    let half = Overrides { queue: None, ..minimal() };
    assert_eq!(text(&half), "--queue is required: the URL, ARN or name of an SQS queue");
}

#[test]
fn a_file_that_cannot_be_read_or_parsed_is_a_problem() {
    let config = |path: String| Overrides { config: Some(path), ..Overrides::default() };
    let error = load(&config("no-such.yaml".to_owned()), &no_env, false).expect_err("missing");
    assert!(error.to_string().starts_with("no-such.yaml: the file cannot be read: "), "{error}");
    let directory = Directory::new("syntax");
    let error =
        load(&config(directory.0.to_string_lossy().into_owned()), &no_env, false).expect_err("no file");
    assert!(error.to_string().ends_with("it is a directory; name the file in it"), "{error}");
    let error = load(&config(directory.file("c.yaml", "listeners: [")), &no_env, false).expect_err("no YAML");
    assert!(error.to_string().contains("not valid YAML"), "{error}");
    assert_eq!(error.problems().len(), 1);
}

#[test]
fn the_admin_address_is_the_flags_then_the_variables_then_the_default() {
    let env = |name: &str| (name == "QUEUEPOST_ADMIN_LISTEN").then(|| "0.0.0.0:1".to_owned());
    let asked = |typed, env| crate::config::admin_address(typed, env).map(|address| address.to_string());
    assert_eq!(asked(Some("[::]:2"), &env).unwrap(), "[::]:2");
    assert_eq!(asked(None, &env).unwrap(), "0.0.0.0:1");
    assert_eq!(asked(None, &|_| None).unwrap(), "127.0.0.1:9464");
    assert!(asked(Some("localhost"), &env).is_err());
}

/// Name and value of the header with a key.
fn key(auth: &Credentials) -> (String, String) {
    let Credentials::ApiKey { header, prefix, key } = auth else { panic!("{auth:?}") };
    (header.to_string(), format!("{prefix}{}", key.known().trim()))
}

#[test]
fn queue_role_algorithm_and_key_are_a_listener() {
    let four = Overrides {
        queue: Some("https://sqs.us-east-1.amazonaws.com/123456789012/jobs".to_owned()),
        role_arn: Some("arn:aws:iam::123456789012:role/consumer".to_owned()),
        algorithm: Some("demo/Hello".to_owned()),
        ..Overrides::default()
    };
    let env = |name: &str| (name == "QUEUEPOST_ALGORITHM_KEY").then(|| "simS3CR3T".to_owned());
    let plan = load(&four, &env, false).unwrap_or_else(|errors| panic!("{errors}"));
    let only = &plan.listeners[0];
    assert_eq!(only.target.url.as_str(), "https://api.algorithmia.com/v1/algo/demo/Hello?timeout=420");
    assert_eq!((plan.endpoints[0].limits.sessions, only.target.timeout.as_secs()), (80, 435));
    let auth = plan.endpoints[0].client.auth.as_ref().expect("credentials");
    assert_eq!(key(auth), ("authorization".to_owned(), "Simple simS3CR3T".to_owned()));
    assert!(!format!("{plan:?} {:?}", explain(&four, &env, false)).contains("S3CR3T"));
    let path = std::env::temp_dir().join(format!("queuepost-{}-algorithm-key", std::process::id()));
    std::fs::write(&path, "\n").expect("a file");
    let file = Overrides { algorithm_key_file: Some(path.display().to_string()), ..four.clone() };
    let text = load(&file, &no_env, false).expect_err("an empty key").to_string();
    std::fs::write(&path, "simKEY\n").expect("a file");
    let plan = load(&file, &env, false);
    std::fs::remove_file(&path).ok();
    assert!(text.starts_with("--algorithm-key-file: ") && text.contains("leads to nothing"), "{text}");
    let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(key(plan.endpoints[0].client.auth.as_ref().expect("credentials")).1, "Simple simKEY");
}

#[test]
fn the_configuration_itself_may_be_in_a_variable_and_is_read_as_a_file_is() {
    let text = TWO.replace("url: 'https://h/'", "url: '${HERE}'");
    let env = |name: &str| match name {
        "QUEUEPOST_CONFIG_TEXT" => Some(text.clone()),
        "HERE" => Some("https://api.example/".to_owned()),
        _ => None,
    };
    let plan = load(&Overrides::default(), &env, false).unwrap_or_else(|errors| panic!("{errors}"));
    let urls: Vec<&str> = plan.listeners.iter().map(|listener| listener.target.url.as_str()).collect();
    assert_eq!(urls, ["https://api.example/"; 2]);

    let bad = |name: &str| env(name).map(|text| text.replace("queue: b", "queue: b, workers: 0"));
    let told = load(&Overrides::default(), &bad, false).expect_err("no workers").to_string();
    assert!(
        told.starts_with("QUEUEPOST_CONFIG_TEXT:3:23: listeners[1].workers: 0 is out of range"),
        "{told}"
    );

    let both = |name: &str| env(name).or_else(|| (name == "QUEUEPOST_CONFIG").then(|| "/a.yaml".to_owned()));
    let told = load(&Overrides::default(), &both, false).expect_err("two sources").to_string();
    assert_eq!(told, "QUEUEPOST_CONFIG is set, and QUEUEPOST_CONFIG_TEXT too; unset one of them");
    let directory = Directory::new("text");
    let flag = Overrides {
        config: Some(directory.file("one.yaml", &TWO.replace("- {queue: b, url: 'https://h/'}\n", ""))),
        ..Overrides::default()
    };
    assert_eq!(load(&flag, &both, false).expect("the flag wins").listeners.len(), 1);
}

#[test]
fn a_header_line_may_be_in_a_variable_which_a_file_given_by_flag_replaces() {
    let env = |name: &str| (name == "QUEUEPOST_AUTH_HEADER").then(|| "X-Key: simS3CR3T".to_owned());
    let line = |overrides: &Overrides| {
        let plan = load(overrides, &env, false).unwrap_or_else(|errors| panic!("{errors}"));
        let Some(Credentials::Line(line)) = &plan.endpoints[0].client.auth else { panic!("{plan:?}") };
        assert!(!format!("{plan:?} {:?}", explain(overrides, &env, false)).contains("S3CR3T"));
        line.known().trim().to_owned()
    };
    assert_eq!(line(&minimal()), "X-Key: simS3CR3T");
    let directory = Directory::new("line");
    let flag = Some(directory.file("auth", "X-Key: other\n"));
    assert_eq!(line(&Overrides { auth_header_file: flag, ..minimal() }), "X-Key: other");
    let empty = |name: &str| (name == "QUEUEPOST_AUTH_HEADER").then(|| " ".to_owned());
    let told = load(&minimal(), &empty, false).expect_err("no header").to_string();
    assert!(told.starts_with("--auth-header-file") || told.starts_with("QUEUEPOST_AUTH_HEADER"), "{told}");
}
