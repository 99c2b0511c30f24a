//! Every kind of credentials and every rule of `auth` and `headers`: what reaches the plan, and what is
//! refused with which text.

use crate::config::check::plan;
use crate::config::file::File;
use crate::config::plan::Plan;
use crate::config::problem::Report;
use crate::endpoint::auth::{Auth, ClientAuth};

const SECRET: &str = "sw0rdfish-in-a-variable";

fn env(name: &str) -> Option<String> {
    match name {
        "TOKEN" | "OTHER_TOKEN" => Some(SECRET.to_owned()),
        "HEADER" => Some(format!("X-Key: {SECRET}")),
        "WEBHOOK" => Some("whsec_c3cwcmRmaXNoLWluLWEtdmFyaWFibGUtMTIzNDU2Nw==".to_owned()),
        "BAD_TOKEN" => Some(format!("{SECRET}\n{SECRET}")),
        _ => None,
    }
}

fn checked(source: &str) -> Result<Plan, String> {
    let mut report = Report::default();
    let file = File::parse(source, &"f.yaml".into(), &env, &mut report).expect("YAML");
    let plan = plan(&file, &env, false, false, &mut report);
    match report.finish() {
        Ok(warnings) => Ok(Plan { warnings, ..plan }),
        Err(errors) => {
            let printed = errors.to_string();
            assert!(
                !printed.contains("sw0rdfish") && !format!("{errors:?}").contains("sw0rdfish"),
                "{printed}"
            );
            Err(errors.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn with(lines: &str) -> String {
    format!(
        "listeners: [{{queue: orders, endpoint: api, path: /}}]\nendpoints:\n  api:\n    url: https://api.example\n    {lines}\n"
    )
}

fn good(lines: &str) -> Plan {
    let plan = checked(&with(lines)).unwrap_or_else(|errors| panic!("{lines}\n{errors}"));
    assert!(!format!("{plan:?}").contains("sw0rdfish"), "{plan:?}");
    plan
}

fn auth(lines: &str) -> Auth {
    good(&format!("auth: {lines}")).endpoints[0].client.auth.clone().expect("credentials")
}

#[test]
fn each_kind_of_credentials_reaches_the_plan() {
    let Auth::Bearer(token) = auth("{bearer: {env: TOKEN}}") else { panic!("no bearer") };
    assert_eq!(&*token.known(), SECRET);
    let Auth::Basic { username, password } = auth("{basic: {username: ops, password: {env: TOKEN}}}") else {
        panic!("no basic")
    };
    assert_eq!((username.as_str(), &*password.known()), ("ops", SECRET));
    let api_key = auth("{api_key: {header: Authorization, prefix: 'Simple ', env: TOKEN}}");
    let Auth::ApiKey { header, prefix, key } = api_key else { panic!("no key") };
    assert_eq!((header.as_str(), prefix.as_str(), &*key.known()), ("authorization", "Simple ", SECRET));
    let Auth::ApiKey { prefix, .. } = auth("{api_key: {header: X-Api-Key, env: TOKEN}}") else {
        panic!("no key")
    };
    assert_eq!(prefix, "");
    assert!(matches!(auth("{header_env: HEADER}"), Auth::Line(_)));
}

#[test]
fn the_keys_of_oauth2_reach_the_plan() {
    let least = "token_url: 'https://login.example/token', client_id: queuepost, client_secret: {env: TOKEN}";
    let Auth::OAuth2(oauth2) = auth(&format!("{{oauth2: {{{least}}}}}")) else { panic!("no oauth2") };
    assert_eq!(
        (oauth2.token_url.as_str(), oauth2.client_id.as_str()),
        ("https://login.example/token", "queuepost")
    );
    assert_eq!((oauth2.scope, oauth2.audience, oauth2.client_auth), (None, None, ClientAuth::Basic));
    for scope in ["[a, b:c]", "a b:c"] {
        let more = format!("scope: {scope}, audience: https://api.example/, client_auth: body");
        let Auth::OAuth2(oauth2) = auth(&format!("{{oauth2: {{{least}, {more}}}}}")) else {
            panic!("no oauth2")
        };
        assert_eq!(oauth2.scope.as_deref(), Some("a b:c"));
        assert_eq!(oauth2.audience.as_deref(), Some("https://api.example/"));
        assert_eq!(oauth2.client_auth, ClientAuth::Body);
    }
    let clear = least.replace("https", "http");
    let warnings = good(&format!("auth: {{oauth2: {{{clear}}}}}")).warnings.join("\n");
    assert!(warnings.contains("oauth2.token_url sends the credentials of `auth` unencrypted"), "{warnings}");
}

#[test]
fn each_rule_of_credentials_is_one_problem_with_its_key() {
    let oauth2 = |more: &str| {
        format!(
            "auth: {{oauth2: {{token_url: 'https://h/', client_id: q, client_secret: {{env: TOKEN}}, {more}}}}}"
        )
    };
    let cases = [
        ("auth: {bearer: sw0rdfish}".to_owned(), "auth.bearer must be a map of keys and values"),
        ("auth: {bearer: {}}".to_owned(), "auth.bearer needs one of `file` and `env`"),
        (
            "auth: {bearer: {env: TOKEN, file: x}}".to_owned(),
            "auth.bearer has both `file` and `env`; keep one",
        ),
        ("auth: {bearer: {value: sw0rdfish}}".to_owned(), "auth.bearer.value is not a key"),
        (
            "auth: {bearer: {env: NO_TOKEN}}".to_owned(),
            "bearer.env: NO_TOKEN names a variable that is not set",
        ),
        ("auth: {bearer: {env: BAD_TOKEN}}".to_owned(), "bearer.env: BAD_TOKEN leads to more than one line"),
        (
            "auth: {bearer: {env: TOKEN}, header_env: HEADER}".to_owned(),
            "auth has header_env and bearer together",
        ),
        ("auth: {basic: {username: ops}}".to_owned(), "auth.basic.password is required"),
        ("auth: {basic: {password: {env: TOKEN}}}".to_owned(), "auth.basic.username is required"),
        ("auth: {basic: {username: 'a:sw0rdfish', password: {env: TOKEN}}}".to_owned(), "is no user name"),
        ("auth: {api_key: {env: TOKEN}}".to_owned(), "auth.api_key.header is required"),
        (
            "auth: {api_key: {header: Host, env: TOKEN}}".to_owned(),
            "is a header that the HTTP client sets itself",
        ),
        ("auth: {api_key: {header: X-Key}}".to_owned(), "auth.api_key needs one of `file` and `env`"),
        (
            "auth: {oauth2: {client_id: q, client_secret: {env: TOKEN}}}".to_owned(),
            "oauth2.token_url is required",
        ),
        (oauth2("client_auth: jwt"), "oauth2.client_auth: jwt is none of: basic, body"),
        (oauth2("scope: ''"), "oauth2.scope: \"\" is no scope"),
        (oauth2("realm: x"), "oauth2.realm is not a key"),
    ];
    for (lines, expected) in cases {
        let problems = checked(&with(&lines)).expect_err(&lines);
        assert!(problems.lines().count() == 1 && problems.contains(expected), "{lines}: {problems}");
    }
}

#[test]
fn each_rule_of_headers_is_one_problem_with_its_key() {
    let cases = [
        (
            "headers: {Content-Length: 3}",
            "headers.Content-Length: Content-Length is a header that the HTTP client",
        ),
        ("headers: {'X Key': a}", "is no name of a header; write letters, digits"),
        ("headers: {X-A: a, x-a: b}", "headers.x-a: x-a is there twice"),
        ("headers: {X-A: \"sw0rdfish\\n\"}", "headers.X-A: REDACTED is no value of a header"),
        ("headers: {X-A: ''}", "is no value of a header"),
        ("headers: {X-A: {text: sw0rdfish}}", "headers.X-A.text is not a key"),
        ("headers: {X-A: [a]}", "headers.X-A must be a text, or `{file: …}` or `{env: …}` for a secret"),
        ("headers: [a]", "headers must be a map of keys and values"),
        (
            "headers: {x-key: a}\n    auth: {header_env: HEADER}",
            "is the header that the endpoint's `auth` sets",
        ),
        (
            "headers: {Webhook-Id: a}\n    sign: {standard_webhooks: {secrets: [{env: WEBHOOK}]}}",
            "headers.Webhook-Id: Webhook-Id is the header that the endpoint's `sign` sets; keep one of them",
        ),
        (
            "headers: {x-hub-signature-256: a}\n    sign: {hmac: {format: github, secret: {env: TOKEN}}}",
            "is the header that the endpoint's `sign` sets",
        ),
    ];
    for (lines, expected) in cases {
        let problems = checked(&with(lines)).expect_err(lines);
        assert!(problems.lines().count() == 1 && problems.contains(expected), "{lines}: {problems}");
    }
    let of_listener = with("sign: {hmac: {format: github, secret: {env: TOKEN}}}")
        .replace("path: /", "path: /, headers: {X-Hub-Signature-256: x}");
    let problems = checked(&of_listener).expect_err("both");
    assert!(problems.contains("listeners[0].headers.X-Hub-Signature-256"), "{problems}");
    let of_listener =
        with("auth: {bearer: {env: TOKEN}}").replace("path: /", "path: /, headers: {authorization: x}");
    let problems = checked(&of_listener).expect_err("both");
    assert!(
        problems.contains("listeners[0].headers.authorization: authorization is the header that"),
        "{problems}"
    );
}

#[test]
fn a_listener_has_the_headers_of_the_endpoint_that_it_names_and_its_own() {
    let names = |plan: &Plan, index: usize| {
        let names: Vec<String> =
            plan.listeners[index].target.headers.names().map(ToString::to_string).collect();
        names.join(" ")
    };
    let both = with("headers: {X-One: a, X-Two: '${TOKEN}'}").replace(
        "path: /}]",
        "path: /, headers: {X-Three: {env: TOKEN}}}, {queue: b, url: 'https://api.example/b'}]",
    );
    let plan = checked(&both).expect("valid");
    assert_eq!((names(&plan, 0).as_str(), names(&plan, 1).as_str()), ("x-one x-two x-three", ""));
    assert!(!format!("{plan:?}").contains("sw0rdfish"), "{plan:?}");
}

#[test]
fn endpoints_are_one_if_their_credentials_are_written_alike() {
    let two = |one: &str, other: &str| {
        let source = format!(
            "listeners: [{{queue: a, endpoint: one, path: /}}, {{queue: b, endpoint: two, path: /}}]\n\
             endpoints:\n  one: {{url: 'https://h', auth: {{{one}}}}}\n  two: {{url: 'https://h', auth: {{{other}}}}}\n"
        );
        checked(&source).map(|plan| plan.endpoints.len())
    };
    let same = two("bearer: {env: TOKEN}", "bearer: {env: TOKEN}").expect_err("one endpoint");
    assert!(
        same.contains("has the same scheme, host, port, auth, sign and tls as `endpoints.one`"),
        "{same}"
    );
    assert!(two("bearer: {env: TOKEN}", "bearer: {env: OTHER_TOKEN}").is_err(), "the same value");
    assert_eq!(two("bearer: {env: TOKEN}", "header_env: HEADER"), Ok(2));
    let folder = std::env::temp_dir().join(format!("queuepost-{}-identity", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::write(&path, SECRET).expect("a file");
        format!("bearer: {{file: {}}}", path.display())
    };
    let (one, other) = (file("one"), file("other"));
    let (same, different) = (two(&one, &one), two(&one, &other));
    std::fs::remove_dir_all(&folder).ok();
    assert!(same.is_err());
    assert_eq!(different, Ok(2), "each may be renewed alone");
}
