//! Every rule: what it refuses, and with which text.

use bytes::Bytes;

use super::*;
use crate::config::firsts::comparisons;
use crate::config::presets;
use crate::config::problem::ConfigErrors;
use crate::endpoint::auth::Auth;
use crate::exchange::Verdicts;
use crate::policy::decide::Action;
use crate::policy::outcome::{Answer, Body, Outcome};

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";

fn env(name: &str) -> Option<String> {
    match name {
        "HOST" => Some("api.example".to_owned()),
        "COUNT" => Some("s3cr3t".to_owned()),
        "HEADER" => Some("Authorization: Bearer s3cr3t".to_owned()),
        _ => None,
    }
}

fn checked(source: &str) -> Result<Plan, ConfigErrors> {
    let mut report = Report::default();
    let Some(mut file) = File::parse(source, &"f.yaml".into(), &env, &mut report) else {
        return Err(report.into_errors());
    };
    presets::apply(&mut file, &mut report);
    let plan = plan(&file, &env, false, false, &mut report);
    report.finish().map(|warnings| Plan { warnings, ..plan })
}

/// The plan of a file, or its problems.
fn good(source: &str) -> Plan {
    checked(source).unwrap_or_else(|errors| panic!("{source}\n{errors}"))
}

/// The problems of a file, one per line.
fn bad(source: &str) -> String {
    let errors = checked(source).map(|plan| format!("accepted: {plan:?}")).expect_err(source);
    errors.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// All that is printed of the problems of a file.
fn printed(source: &str) -> String {
    checked(source).map(|plan| format!("accepted: {plan:?}")).expect_err(source).to_string()
}

fn indented(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| ["    ", line, "\n"]).collect()
}

/// A file with one listener that has `lines` beside its queue and address.
fn listener(lines: &[&str]) -> String {
    let lines = indented(lines);
    format!("listeners:\n  - queue: {QUEUE}\n    url: https://api.example/run\n{lines}")
}

/// A file with a listener and its endpoint, which has `lines` beside its address.
fn endpoint(lines: &[&str]) -> String {
    let lines = indented(lines);
    format!(
        "listeners:\n  - {{queue: {QUEUE}, endpoint: api, path: /run}}\n\
         endpoints:\n  api:\n    url: https://api.example\n{lines}"
    )
}

/// The only problem of a file, without its place.
fn only_problem(source: &str) -> String {
    let text = bad(source);
    assert_eq!(text.lines().count(), 1, "{text}");
    let (place, problem) = text.split_once(": ").expect("a place");
    assert!(place.starts_with("f.yaml"), "{text}");
    problem.to_owned()
}

/// The statuses that a listener takes for success.
fn statuses_of_success(listener: &ListenerPlan) -> Vec<u16> {
    let answer = |status| Answer { status, ..Answer::default() };
    let verdicts = |status| listener.listener.exchange.verdicts(&answer(status), &[]);
    (100..600).filter(|status| verdicts(*status) == Verdicts::All(Outcome::Success)).collect()
}

fn fails_for_an_error_in_the_body(listener: &ListenerPlan) -> bool {
    let body = Body { kept: Bytes::from_static(br#"{"error":"no"}"#), is_whole: true };
    let answer = Answer { status: 200, body, ..Answer::default() };
    listener.listener.exchange.verdicts(&answer, &[]) == Verdicts::All(Outcome::AlgorithmError)
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let plan = good(&listener(&[]));
    let [only] = plan.listeners.as_slice() else { panic!("{plan:?}") };
    assert_eq!(only.listener.name, "orders");
    assert_eq!(only.listener.queue_name, "orders");
    assert_eq!(only.listener.workers, 16);
    assert_eq!(only.listener.timeout, Duration::from_mins(1));
    assert_eq!(only.target.timeout, Duration::from_mins(1));
    assert_eq!(only.target.url.as_str(), "https://api.example/run");
    assert_eq!(only.listener.receiving.wait, Duration::from_secs(20));
    assert_eq!(statuses_of_success(only), [200]);
    assert_eq!(only.listener.policy.throttle_delay, Duration::from_mins(5));
    assert!(only.listener.policy.rows.is_empty() && !fails_for_an_error_in_the_body(only));
    assert!(only.listener.retry_after_closes_gate);
    assert!(only.queue.region.is_none() && only.queue.role.is_none() && only.queue.address.is_none());
    let [endpoint] = plan.endpoints.as_slice() else { panic!("{plan:?}") };
    assert_eq!(endpoint.client.name, "https://api.example");
    assert_eq!(endpoint.client.connect_timeout, Duration::from_secs(5));
    assert_eq!(endpoint.client.pool_idle_timeout, Duration::from_secs(4));
    assert_eq!((endpoint.client.pool_size, endpoint.limits.sessions, endpoint.limits.rate), (16, 16, None));
    assert_eq!((plan.admin.all.to_string(), plan.admin.metrics), ("127.0.0.1:9464".to_owned(), None));
    assert_eq!(plan.deadline, Duration::from_secs(75));
    assert_eq!(plan.log, log::Settings { format: log::Format::Json, filter: log::DEFAULT_FILTER.to_owned() });
}

#[test]
fn every_key_reaches_its_place() {
    let plan = good(
        "listeners:\n\
         - name: first\n  queue: arn:aws:sqs:eu-west-1:123456789012:orders\n  endpoint: api\n  path: /run?a=b\n\
         \x20 role_arn: arn:aws:iam::123456789012:role/consumer\n  external_id: '0123'\n  region: eu-west-1\n\
         \x20 profile: work\n  workers: 3\n  timeout: 90s\n  success: [200, 202-204]\n  throttle_delay: 1m\n\
         \x20 receive_wait: 5s\n  error_in_body: permanent\n  on_response:\n\
         \x20   - {status: [5xx, 409], action: park, delay: 30s}\n    - {status: 410, action: delete}\n\
         endpoints:\n  api:\n    url: https://${HOST}:8443/v1/\n    auth: {header_env: HEADER}\n    sessions: 4\n\
         \x20   rate_limit: {per_second: 2.5, burst: 7}\n    connect_timeout: 1s\n    pool_idle_timeout: 2s\n\
         \x20   retry_after_scope: message\n    adaptive: false\n\
         admin: {listen: '0.0.0.0:9000'}\nshutdown: {deadline: 2m}\nlog: {format: text, level: debug}\n",
    );
    let [only] = plan.listeners.as_slice() else { panic!("{plan:?}") };
    assert_eq!((only.listener.name.as_str(), only.listener.workers), ("first", 3));
    assert_eq!(only.target.url.as_str(), "https://api.example:8443/v1/run?a=b");
    let role = Role {
        arn: "arn:aws:iam::123456789012:role/consumer".to_owned(),
        external_id: Some("0123".to_owned()),
    };
    assert_eq!(only.queue.role.as_ref(), Some(&role));
    assert_eq!(only.queue.region.as_deref(), Some("eu-west-1"));
    assert_eq!(only.queue.profile.as_deref(), Some("work"));
    let policy = &only.listener.policy;
    assert_eq!(statuses_of_success(only), [200, 202, 203, 204]);
    assert_eq!(policy.throttle_delay, Duration::from_mins(1));
    assert!(fails_for_an_error_in_the_body(only) && !only.listener.retry_after_closes_gate);
    let [park, delete] = policy.rows.as_slice() else { panic!("{policy:?}") };
    assert_eq!((park.action, park.delay), (Action::Park, Some(Duration::from_secs(30))));
    assert_eq!(park.status, StatusSet::new([(500, 599), (409, 409)]));
    assert_eq!((delete.action, delete.delay), (Action::Delete, None));
    let [endpoint] = plan.endpoints.as_slice() else { panic!("{plan:?}") };
    assert_eq!((endpoint.client.name.as_str(), endpoint.limits.sessions), ("api", 4));
    assert!(!endpoint.limits.adaptive);
    let rate = endpoint.limits.rate.expect("a rate");
    assert_eq!((rate.interval, rate.burst.get()), (Duration::from_millis(400), 7));
    assert!(matches!(endpoint.client.auth, Some(Auth::Line(_))));
    assert_eq!(
        (plan.admin.all.to_string(), plan.deadline),
        ("0.0.0.0:9000".to_owned(), Duration::from_mins(2))
    );
    assert_eq!(plan.log.filter, "warn,aws_config=error,queuepost=debug");
    assert_eq!(plan.warnings, Vec::<String>::new());
}

#[test]
fn an_algorithm_has_its_path_time_out_and_sessions() {
    let algorithm = |lines: &str| {
        format!("listeners:\n  - {{queue: q, url: https://api.example, algorithm: demo/Hello{lines}}}\n")
    };
    let address = |lines: &str| String::from(good(&algorithm(lines)).listeners.remove(0).target.url);
    let plan = good(&algorithm(""));
    assert_eq!(address(""), "https://api.example/v1/algo/demo/Hello?timeout=420");
    assert_eq!(plan.listeners[0].target.timeout, Duration::from_secs(435));
    assert_eq!((plan.endpoints[0].limits.sessions, plan.endpoints[0].client.pool_size), (80, 80));
    assert_eq!(address("/1.0.0, timeout: 5s"), "https://api.example/v1/algo/demo/Hello/1.0.0?timeout=1");
    assert_eq!(address(", output: void"), "https://api.example/v1/algo/demo/Hello?timeout=420&output=void");
    assert!(
        bad(&algorithm(", timeout: 1h"))
            .contains("listeners[0].timeout: 1h is out of range: 100ms to 50m 15s")
    );
    assert!(bad(&algorithm(", path: /x")).contains("listeners[0].path: /x is not allowed with `algorithm`"));
    assert!(bad(&algorithm("/a/b")).contains("listeners[0].algorithm: demo/Hello/a/b is no algorithm"));
    assert!(bad(&listener(&["output: void"])).contains("has no effect without `algorithm`"));
}

#[test]
fn each_rule_of_a_listener_is_one_problem_with_its_key() {
    let cases = [
        ("workers: 0", "listeners[0].workers: 0 is out of range: 1 to 10,000"),
        ("workers: 10001", "listeners[0].workers: 10001 is out of range: 1 to 10,000"),
        ("workers: many", "listeners[0].workers: many is not a number: 1 to 10,000"),
        ("workers: [1]", "listeners[0].workers must be a single value"),
        ("timeout: 30", "listeners[0].timeout: 30 has no unit; write 30s, 5m or 500ms"),
        ("timeout: 99ms", "listeners[0].timeout: 99ms is out of range: 100ms to 11h 59m"),
        (
            "timeout: 12h",
            "timeout: 12h is out of range: 100ms to 11h 59m; SQS hides a message for 12h at most",
        ),
        ("throttle_delay: 0s", "listeners[0].throttle_delay: 0s is out of range: 1s to 12h"),
        ("receive_wait: 21s", "listeners[0].receive_wait: 21s is out of range: 0s to 20s"),
        ("receive_wait: 1500ms", "listeners[0].receive_wait: 1500ms is not in whole seconds"),
        ("success: []", "listeners[0].success must not be empty"),
        ("success: [299-200]", "listeners[0].success[0]: 299-200 is a range whose end is below its start"),
        ("success: 99", "listeners[0].success: 99 is out of range: 100 to 599"),
        (
            "name: Orders",
            "listeners[0].name: Orders is not a name: 1 to 63 lower-case letters, digits and `-`",
        ),
        ("record_answers: never", "record_answers: never is none of: true, false"),
        ("error_in_body: sucess", "is none of: permanent, success; did you mean `success`?"),
        ("role_arn: consumer", "listeners[0].role_arn: consumer is no role ARN"),
        ("external_id: abc", "listeners[0].external_id: REDACTED has no effect without `role_arn`"),
        ("external_id: a", "listeners[0].external_id: REDACTED is"),
        ("region: Ireland", "listeners[0].region: Ireland is no region; write eu-west-1"),
        ("endpoint: api", "listeners[0].endpoint: api is not allowed beside `url`; keep one of them"),
        ("path: /x", "listeners[0].path: /x has no effect beside `url`"),
        ("worker: 3", "listeners[0].worker is not a key of the configuration; did you mean `workers`?"),
        ("on_response: {status: 5xx}", "listeners[0].on_response must be a list"),
        ("on_response: [{action: park}]", "listeners[0].on_response[0].status is required"),
        ("on_response: [{status: 429}]", "listeners[0].on_response[0].action is required"),
        ("on_response: [{status: 429, action: drop}]", "is none of: delete, park, defer, dead_letter"),
        (
            "on_response: [{status: 7xx, action: park}]",
            "on_response[0].status: 7xx is out of range: 100 to 599",
        ),
        ("on_response: [{status: 429, action: park, delay: 0s}]", "delay: 0s is out of range: 1s to 12h"),
        ("on_response: [{status: 429, action: delete, delay: 5s}]", "only `park` and `defer` have a delay"),
    ];
    for (line, expected) in cases {
        let problem = only_problem(&listener(&[line]));
        assert!(problem.contains(expected), "{line}: {problem}");
    }
    assert!(good(&listener(&["timeout: 11h 59m"])).listeners.len() == 1);
}

#[test]
fn each_rule_of_an_endpoint_is_one_problem_with_its_key() {
    let cases = [
        ("sessions: 0", "endpoints.api.sessions: 0 is out of range: 1 to 1,000,000"),
        ("rate_limit: {per_second: 0}", "endpoints.api.rate_limit.per_second: 0 is out of range"),
        ("rate_limit: {per_second: 1, burst: 0}", "endpoints.api.rate_limit.burst: 0 is out of range"),
        ("rate_limit: {burst: 2}", "endpoints.api.rate_limit.burst: 2 has no effect without `per_second`"),
        ("connect_timeout: 5", "endpoints.api.connect_timeout: 5 has no unit"),
        ("pool_idle_timeout: 0s", "endpoints.api.pool_idle_timeout: 0s is out of range"),
        ("retry_after_scope: all", "endpoints.api.retry_after_scope: all is none of: endpoint, message"),
        ("adaptive: maybe", "endpoints.api.adaptive: maybe is none of: true, false"),
        ("auth: a", "endpoints.api.auth must be a map of keys and values"),
        ("auth: {}", "endpoints.api.auth needs one of: header_file, header_env, bearer, basic"),
        (
            "auth: {header_env: HEADER, header_file: x}",
            "endpoints.api.auth has header_file and header_env together; keep one",
        ),
        ("tls: {cert_file: Cargo.toml}", "endpoints.api.tls needs `cert_file` and `key_file` together"),
        ("tls: {ca_file: no-such.pem}", "endpoints.api.tls.ca_file: no-such.pem cannot be read: "),
        ("timeout: 5s", "endpoints.api.timeout is not a key of the configuration"),
    ];
    for (line, expected) in cases {
        let problem = only_problem(&endpoint(&[line]));
        assert!(problem.contains(expected), "{line}: {problem}");
    }
    let http = endpoint(&["tls: {ca_file: Cargo.toml}"]).replace("https://api", "http://api");
    assert!(only_problem(&http).contains("endpoints.api.tls has no effect on an http:// address"));
    let named = endpoint(&[]).replace("api:", "API:").replace("endpoint: api", "endpoint: API");
    assert!(only_problem(&named).contains("endpoints.API: API is not a name"));
}

#[test]
fn each_rule_of_the_top_is_one_problem_with_its_key() {
    let cases = [
        (
            "admin: {listen: '127.0.0.1:1', metrics_listen: '127.0.0.1:1'}",
            "admin.metrics_listen: 127.0.0.1:1 is the address of `admin.listen`",
        ),
        ("admin: {listen: localhost}", "admin.listen: localhost is no IP address and port to listen on"),
        ("admin: '0.0.0.0:1'", "admin must be a map of keys and values"),
        ("shutdown: {deadline: 500ms}", "shutdown.deadline: 500ms is out of range: 1s to 12h"),
        ("log: {format: xml}", "log.format: xml is none of: text, json"),
        ("log: {level: loud}", "log.level: loud is no log filter; write error, warn, info"),
        ("endpoints: [a]", "endpoints must be a map of keys and values"),
        ("endpoints: {api: 'https://h'}", "endpoints.api must be a map of keys and values"),
        ("logs: {level: info}", "logs is not a key of the configuration; did you mean `log`?"),
    ];
    for (line, expected) in cases {
        let problem = only_problem(&format!("{}{line}\n", listener(&[])));
        assert!(problem.contains(expected), "{line}: {problem}");
    }
    let problem = only_problem("");
    assert!(
        problem.starts_with("listeners is required: a list with at least one listener; write `lis"),
        "{problem}"
    );
    let problem = only_problem("listner: []");
    assert_eq!(problem, "listner is not a key of the configuration; did you mean `listeners`?");
    assert_eq!(only_problem("listeners: {queue: a}"), "listeners must be a list: one `- ` for each");
    assert_eq!(only_problem("listeners: [a]"), "listeners[0] must be a map of keys and values");
    assert_eq!(only_problem("[a]"), "must be a map of keys and values");
    assert!(only_problem("listeners: []").starts_with("listeners is required: a list with at least one"));
}

#[test]
fn queue_and_address_are_required_and_checked() {
    let problem = |lines: &str| bad(&format!("listeners:\n  - {{name: a{lines}}}\n"));
    let text = problem("");
    assert!(text.contains("f.yaml:2:5: listeners[0].queue is required"), "{text}");
    assert!(text.contains("f.yaml:2:5: listeners[0].url is required"), "{text}");
    let text = problem(", queue: orders.fif, endpoint: api, path: /");
    assert!(text.contains("is no queue: a name has"), "{text}");
    assert!(text.contains("listeners[0].endpoint: api is not under `endpoints`"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    let pathless = endpoint(&[]).replace(", path: /run", "");
    assert_eq!(
        only_problem(&pathless),
        "listeners[0].path is required with `endpoint`; write / for the endpoint itself"
    );
    assert!(only_problem(&endpoint(&[]).replace("/run", "run")).contains("path: run must start with `/`"));
    assert!(
        only_problem(&endpoint(&[]).replace("endpoint: api", "endpoint: apo"))
            .contains("did you mean `api`?")
    );
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_file() {
    let text = bad(
        "shutdown: {dead_line: 1}\nlisteners:\n  - queue: ${QUEUE}\n    url: ftp://x\n    workers: 0\n    \
         timeout: 30\n  - {queue: a, url: 'https://u:s3cr3t@h/', colour: red}\nlog: 5\n",
    );
    let places: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    let expected = ["1:12:", "3:12:", "4:10:", "5:14:", "6:14:", "7:21:", "7:44:", "8:6:"];
    let expected: Vec<String> = expected.iter().map(|place| format!("f.yaml:{place}")).collect();
    assert_eq!(places, expected, "{text}");
    assert!(text.contains("listeners[0].queue: ${QUEUE} names a variable that is not set: QUEUE"), "{text}");
}

#[test]
fn secrets_are_in_no_problem_no_warning_and_no_debug_output() {
    let secret = "s3cr3t";
    let files = [
        endpoint(&["auth: 'Authorization: Bearer s3cr3t'"]),
        endpoint(&["auth: {header: 'Authorization: Bearer s3cr3t'}"]),
        endpoint(&["auth: {header_env: 'Bearer s3cr3t'}"]),
        endpoint(&["auth: {header_env: s3cr3t}"]),
        endpoint(&["auth: {header_file: 's3cr3t'}"]),
        endpoint(&["auth: {header_env: COUNT}"]),
        endpoint(&["sessions: ${COUNT}"]),
        endpoint(&["connect_timeout: ${COUNT}", "rate_limit: {per_second: '${COUNT}', burst: '${COUNT}'}"]),
        listener(&["external_id: s3cr3t!", "role_arn: arn:aws:iam::123456789012:role/x"]),
        listener(&["workers: ${COUNT}", "success: ['${COUNT}']", "name: ${COUNT}!"]),
        endpoint(&["auth: {bearer: s3cr3t} # s3cr3t"]),
        endpoint(&["auth:", "  bearer: s3cr3t"]),
        endpoint(&["auth: {'Bearer s3cr3t'}"]),
        endpoint(&["auth: {s3cr3t}"]),
        endpoint(&["auth: {header_env: 's3cr3t${'}"]),
        endpoint(&["auth: {header_env: [s3cr3t]}"]),
        endpoint(&["token: s3cr3t", "s3cr3t!: 1"]),
        endpoint(&["auth: {bearer: s3cr3t", "sessions: 1"]),
        endpoint(&["auth: 's3cr3t", "sessions: 1"]),
        endpoint(&["auth: s3cr3t: s3cr3t"]),
        endpoint(&["s3cr3t\u{21}", "sessions: 1"]),
        listener(&["workers: 0 # s3cr3t"]),
        "listeners: [{queue: a, url: 'https://u:s3cr3t@h/?s3cr3t', workers: 0, token: 's3, cr3t: s3cr3t'}]\n"
            .to_owned(),
        listener(&[]).replace("https://api.example/run", "key:s3cr3t@api.example/s3cr3t?s3cr3t"),
        endpoint(&[]).replace("/run", "run?token=s3cr3t"),
        listener(&[]).replace("https://api.example/run", "https://key:s3cr3t@api.example:70000/"),
        listener(&[]).replace("https://api.example/run", "https://key:s3cr3t@api.example/"),
        listener(&[]).replace("https://api.example/run", "https://api.example/?s3cr3t#a"),
        listener(&[]).replace(QUEUE, "key:s3cr3t@sqs.eu-west-1.amazonaws.com/1/q"),
        listener(&[]).replace(QUEUE, "https://key:s3cr3t@sqs.eu-west-1.amazonaws.com/1/q"),
    ];
    for file in files {
        let text = printed(&file);
        assert!(!text.contains(secret), "{file}\n{text}");
        assert!(!format!("{:?}", checked(&file)).contains(secret), "{file}");
    }
    let plan = good(&endpoint(&["auth: {header_env: HEADER}"]));
    assert!(plan.endpoints[0].client.auth.is_some());
    assert!(!format!("{plan:?}").contains(secret));
}

#[test]
fn listener_names_are_unique() {
    let two = |first: &str, second: &str| {
        format!("listeners:\n  - {{url: 'https://h/', {first}}}\n  - {{url: 'https://h/', {second}}}\n")
    };
    let problem = only_problem(&two("queue: orders", "queue: Orders"));
    assert_eq!(problem, "listeners[1].name is not unique: `orders` is listeners[0]; set another `name`");
    let problem = only_problem(&two("queue: a, name: x", "queue: b, name: x"));
    assert!(problem.starts_with("listeners[1].name: x is not unique"), "{problem}");
    assert!(only_problem(&two("queue: ___", "queue: b")).contains("listeners[0].name is required"));
}

#[test]
fn a_queue_written_as_url_and_as_arn_is_one_problem_that_needs_no_second_round() {
    let two = |more: &str| {
        format!(
            "listeners:\n  - {{queue: '{QUEUE}', url: 'https://h/'}}\n  \
             - {{queue: 'arn:aws:sqs:eu-west-1:123456789012:orders', url: 'https://h/'{more}}}\n"
        )
    };
    for more in ["", ", name: other"] {
        let problem = only_problem(&two(more));
        assert!(problem.starts_with("listeners[1].queue: arn:aws:sqs:"), "{problem}");
        assert!(problem.ends_with("remove this listener and raise `workers` of listeners[0]"), "{problem}");
    }
}

#[test]
fn the_words_of_other_programs_are_answered_at_their_key() {
    let problem = only_problem(&listener(&["max_retries: 3"]));
    assert!(
        problem.starts_with(
            "listeners[0].max_retries is not a key of the configuration; there is none: the queue's"
        ),
        "{problem}"
    );
    let problem = only_problem(&listener(&["adaptive: false"]));
    assert!(problem.contains("write it under `endpoints.NAME`"), "{problem}");
    let problem = only_problem(&listener(&["wrokers: 3"]));
    assert!(problem.ends_with("did you mean `workers`?"), "{problem}");
}

/// A file of different listeners, each with an endpoint or an address of its own.
fn many(count: usize) -> String {
    let listener = |index: usize| {
        let target = match index % 2 {
            0 => format!("endpoint: e{index}, path: /"),
            _ => format!("url: 'https://u{index}/'"),
        };
        format!("  - {{queue: 'http://localhost:9324/0/q{index}', {target}}}\n")
    };
    let endpoint = |index: usize| format!("  e{index}: {{url: 'https://h{index}'}}\n");
    let listeners: String = (0..count).map(listener).collect();
    let endpoints: String = (0..count).step_by(2).map(endpoint).collect();
    format!("listeners:\n{listeners}endpoints:\n{endpoints}")
}

#[test]
fn a_listener_costs_a_few_comparisons_however_many_others_there_are() {
    for count in [100, 1_000] {
        let source = many(count);
        let compared = comparisons(|| assert_eq!(good(&source).listeners.len(), count));
        assert!(compared <= 4 * count, "{compared} comparisons for {count} listeners");
        let copies = source.replace("q1'", "q3'");
        assert!(copies != source && comparisons(|| drop(checked(&copies))) <= 5 * count);
    }
}

#[test]
fn a_deadline_nobody_wrote_covers_the_largest_time_out_as_far_as_fargate_waits() {
    for (timeout, deadline) in
        [("1s", 25), ("10s", 25), ("60s", 75), ("95s", 110), ("2m", 110), ("11h59m", 110)]
    {
        let plan = good(&listener(&[&format!("timeout: {timeout}")]));
        let warned = plan.warnings.iter().any(|warning| warning.contains("deadline"));
        assert_eq!((plan.deadline, warned), (Duration::from_secs(deadline), false), "{timeout}");
    }
}

#[test]
fn the_line_of_the_file_stands_under_its_problem() {
    let text = printed(&listener(&["workers: 0", "worker: 3 # three"]));
    let expected = "\
f.yaml:4:14: listeners[0].workers: 0 is out of range: 1 to 10,000
    4 |     workers: 0
      |              ^
f.yaml:5:5: listeners[0].worker is not a key of the configuration; did you mean `workers`?
    5 |     worker: …
      |     ^";
    assert_eq!(text, expected);
    assert_eq!(printed("").lines().count(), 1);
}

#[test]
fn two_listeners_on_one_queue_go_to_different_places() {
    let second = |lines: &str| format!("{}  - {{queue: {QUEUE}, name: again, {lines}}}\n", listener(&[]));
    let problem = only_problem(&second("url: 'https://api.example/run'"));
    assert!(
        problem.contains(
            "listeners[1].queue: https://sqs.eu-west-1.amazonaws.com/… is the queue of listeners[0] too"
        ),
        "{problem}"
    );
    assert!(problem.contains("raise `workers` of listeners[0]"), "{problem}");
    // A canary: other credentials, or another address.
    let keyed = "endpoints:\n  api: {url: 'https://api.example', auth: {header_env: HEADER}}\n";
    let with_credentials = second("endpoint: api, path: /run") + keyed;
    for other in [with_credentials, second("url: 'https://h/'")] {
        let text = good(&other).warnings.join("\n");
        assert!(text.contains("listeners[1].queue is the queue of listeners[0] too: each message"), "{text}");
    }
}

#[test]
fn sessions_alone_are_not_measured_by_the_default_of_workers() {
    let text = good(&endpoint(&["sessions: 2"])).warnings.join("\n");
    assert!(!text.contains("sessions"), "{text}");
    let written = endpoint(&["sessions: 2"]).replace("endpoint: api", "workers: 16, endpoint: api");
    let text = good(&written).warnings.join("\n");
    assert!(text.contains("endpoints.api.sessions is 2, below the 16 workers"), "{text}");
}

#[test]
fn values_that_do_not_fit_together_are_refused_or_warned_of_at_their_key() {
    let warning = |source: &str| good(source).warnings.join("\n");
    for (line, expected) in [
        ("throttle_delay: 12h", "f.yaml:4:21: listeners[0].throttle_delay is 12h: SQS counts 12h"),
        (
            "on_response: [{status: 503, action: park, delay: 12h}]",
            "listeners[0].on_response[0].delay is 12h",
        ),
        (
            "on_response: [{status: 200, action: park}]",
            "listeners[0].on_response[0] has 200, which is in `success`",
        ),
        ("success: 200-399", "f.yaml:4:14: listeners[0].success takes in redirects"),
    ] {
        let text = warning(&listener(&[line]));
        assert!(text.contains(expected), "{line}: {text}");
    }
    let rows = "on_response: [{status: 5xx, action: park}, {status: 503, action: delete}]";
    assert!(warning(&listener(&[rows])).contains("f.yaml:4:48: listeners[0].on_response[1] never applies"));
    let problem = only_problem(&listener(&["success: [200, 400-499]"]));
    assert!(problem.starts_with("listeners[0].success[1]: 400-499 takes in 429"), "{problem}");
    let text = warning(&endpoint(&["sessions: 33"]));
    assert!(text.contains("endpoints.api.sessions is 33, but its listeners have 16 workers"), "{text}");
    let clear = endpoint(&["auth: {header_env: HEADER}"]).replace("https://", "http://");
    let text = warning(&clear.replace("http://sqs", "https://sqs"));
    assert!(text.contains("endpoints.api sends the credentials of `auth` unencrypted"), "{text}");
    let many = "listeners:\n  - {queue: q, url: 'https://h', algorithm: a/b, workers: 81}\n";
    assert!(warning(many).contains("listeners[0].sessions is 80, below the 81 workers"), "{}", warning(many));
}

#[test]
fn equal_origin_and_credentials_share_one_endpoint() {
    let plan = good(
        "listeners:\n\
         - {queue: a, url: 'https://one.example/a', workers: 2}\n\
         - {queue: b, url: 'https://one.example:443/b', workers: 3}\n\
         - {queue: c, url: 'http://one.example/', workers: 4}\n\
         - {queue: d, url: 'https://two.example/d', workers: 5}\n\
         - {queue: e, endpoint: two, path: /e, workers: 6}\n\
         - {queue: f, endpoint: keyed, path: /f, workers: 7}\n\
         endpoints:\n  unused: {url: 'https://three.example'}\n  two: {url: 'https://two.example/v1'}\n\
         \x20 keyed: {url: 'https://two.example', auth: {header_env: HEADER}}\n",
    );
    let endpoints: Vec<(&str, usize)> =
        plan.endpoints.iter().map(|e| (e.client.name.as_str(), e.limits.sessions)).collect();
    let expected = [("two", 11), ("keyed", 7), ("https://one.example", 5), ("http://one.example", 4)];
    assert_eq!(endpoints, expected);
    let of = |listener: &ListenerPlan| plan.endpoints[listener.endpoint].client.name.as_str();
    let names: Vec<&str> = plan.listeners.iter().map(of).collect();
    let expected =
        ["https://one.example", "https://one.example", "http://one.example", "two", "two", "keyed"];
    assert_eq!(names, expected);
    assert_eq!(plan.listeners[4].target.url.as_str(), "https://two.example/v1/e");
    let unused = "f.yaml:9:3: endpoints.unused is not used by any listener";
    assert!(plan.warnings.iter().any(|warning| warning == unused), "{:?}", plan.warnings);
}

#[test]
fn two_named_endpoints_that_would_share_their_caps_are_refused() {
    let problem = only_problem(
        &endpoint(&[]).replace("endpoints:\n", "endpoints:\n  b: {url: 'https://api.example/b'}\n"),
    );
    assert!(
        problem.starts_with(
            "endpoints.api has the same scheme, host, port, auth, sign and tls as `endpoints.b`"
        ),
        "{problem}"
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let warning = |source: &str| good(source).warnings.join("\n");
    assert!(
        warning(&listener(&["region: us-east-1"]))
            .contains("listeners[0].region is us-east-1, but the queue is in eu-west-1")
    );
    let text = warning(&format!("{}shutdown: {{deadline: 25s}}\n", listener(&["timeout: 2m"])));
    assert!(
        text.contains("shutdown.deadline is 25s, below the largest time-out + 15s")
            && text.contains("2m 15s is enough"),
        "{text}"
    );
    assert_eq!(warning(&listener(&["timeout: 10s"])), "");
    let keyed = format!(
        "{}    timeout: 5s\nendpoints:\n  api: {{url: 'https://api.example', auth: {{header_env: HEADER}}}}\n",
        listener(&[])
    );
    let text = warning(&keyed);
    assert!(
        text.contains("listeners[0].url goes to the host of endpoint `api` without its credentials"),
        "{text}"
    );
}

#[test]
fn a_rate_has_a_burst_of_its_seconds_rounded_up() {
    let burst = |rate: &str| {
        let plan = good(&endpoint(&[&format!("rate_limit: {{per_second: {rate}}}")]));
        plan.endpoints[0].limits.rate.map(|rate| (rate.interval, rate.burst.get()))
    };
    assert_eq!(burst("0.5"), Some((Duration::from_secs(2), 1)));
    assert_eq!(burst("10"), Some((Duration::from_millis(100), 10)));
    assert_eq!(burst("10.1").map(|(_, burst)| burst), Some(11));
}

#[test]
fn connecting_takes_at_most_half_of_the_shortest_time_out() {
    let connect = |timeout: &str| {
        good(&listener(&[&format!("timeout: {timeout}")])).endpoints.remove(0).client.connect_timeout
    };
    assert_eq!(connect("60s"), Duration::from_secs(5));
    assert_eq!(connect("2s"), Duration::from_secs(1));
}

#[test]
fn misspelt_endpoints_of_thousands_cost_a_bounded_number_of_comparisons() {
    use std::fmt::Write as _;
    let mut source = String::from("listeners:\n");
    for number in 0..2000 {
        writeln!(source, "- {{queue: q{number}, endpoint: x{number}, path: /}}").expect("a string");
    }
    source.push_str("endpoints:\n");
    for number in 0..2000 {
        writeln!(source, "  e{number}: {{url: 'https://h{number}.example'}}").expect("a string");
    }
    let count = || crate::config::shown::COMPARISONS.with(std::cell::Cell::get);
    let before = count();
    let mut report = Report::default();
    let file = File::parse(&source, &"f".into(), &|_| None, &mut report).expect("YAML");
    drop(plan(&file, &|_| None, false, false, &mut report));
    let errors = report.finish().expect_err("no such endpoints");
    let suggested = errors.problems().iter().filter(|problem| problem.fix.is_some()).count();
    assert!((1..100).contains(&suggested), "{suggested} have a suggestion");
    assert!(count() - before <= 20_000, "{} comparisons", count() - before);
    assert_eq!(errors.problems().len(), 2000);
    let shown = errors.to_string();
    assert!(shown.contains("and 1800 more;") && shown.lines().count() <= 601, "{shown}");
}
