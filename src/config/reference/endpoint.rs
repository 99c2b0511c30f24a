//! The keys of an endpoint.

use std::time::Duration;

use crate::config::endpoints::{BURST_MAX, CONNECT_MAX, IDLE_MAX, SESSIONS_MAX, TIME_MIN};
use crate::config::reference::{HEADERS, Key, Kind, SECRET, Shape};
use crate::config::value::{PER_SECOND_MAX, PER_SECOND_MIN};

const fn duration(min: Duration, max: Duration) -> Shape {
    Shape::One(Kind::Duration(min, max))
}

const fn text(form: &'static str) -> Shape {
    Shape::One(Kind::Text(form))
}

/// The keys of `endpoints.NAME`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "url",
        Shape::One(Kind::Address("https://HOST, or https://HOST/PREFIX")),
        "Where the endpoint is. Each listener appends its `path`.",
    )
    .required(),
    Key::new("auth", Shape::OneOf(AUTH), "Credentials of every request: exactly one kind.").page("credentials.md"),
    Key::new("sign", Shape::OneOf(SIGN), "A signature of every request by a shared secret: exactly one kind.").page("signatures.md"),
    Key::new(
        "headers",
        HEADERS,
        "Headers of every request, by name: a text, or where a secret is. Those of a listener replace them.",
    )
    .page("credentials.md#headers"),
    Key::new("sessions", Shape::One(Kind::Whole(1, SESSIONS_MAX)), "Most POSTs at once, over all its listeners.")
        .otherwise("all workers of its listeners")
        .flag("--sessions"),
    Key::new("rate_limit", Shape::Map(RATE_LIMIT), "Most POSTs started in a time, over all its listeners."),
    Key::new(
        "connect_timeout",
        duration(TIME_MIN, CONNECT_MAX),
        "How long connecting may take, TLS included. It takes at most half of the shortest `timeout` of the listeners.",
    )
    .default("5s"),
    Key::new(
        "pool_idle_timeout",
        duration(TIME_MIN, IDLE_MAX),
        "How long an idle connection is kept. It is less where the endpoint announces `Keep-Alive: timeout=`.",
    )
    .default("4s"),
    Key::new(
        "retry_after_scope",
        Shape::One(Kind::Word(&["endpoint", "message"])),
        "What a Retry-After is about: `endpoint` closes the gate until then, `message` only hides the message.",
    )
    .default("endpoint")
    .page("gate.md"),
    Key::new(
        "adaptive",
        Shape::One(Kind::Truth),
        "Send fewer POSTs than `sessions` and `rate_limit` allow, while the endpoint answers that it has too much to do.",
    )
    .default("true")
    .page("limiters.md"),
    Key::new("tls", Shape::Map(TLS), "Certificates: regular files of 1 MiB at most, read at the start.")
        .otherwise("the authorities of the system"),
];

const RATE_LIMIT: &[Key] = &[
    Key::new(
        "per_second",
        Shape::One(Kind::Number(PER_SECOND_MIN, PER_SECOND_MAX)),
        "POSTs started per second; a fraction is allowed.",
    )
    .flag("--rate"),
    Key::new(
        "burst",
        Shape::One(Kind::Whole(1, BURST_MAX)),
        "POSTs that may start at once after a lull. It needs `per_second`.",
    )
    .otherwise("`per_second`, rounded up"),
];

const TLS: &[Key] = &[
    Key::new(
        "ca_file",
        text("path"),
        "Authorities that the endpoint's certificate may be of, as PEM, in place of the system's.",
    ),
    Key::new("cert_file", text("path"), "The client's certificate, as PEM. It needs `key_file`."),
    Key::new("key_file", text("path"), "The key of the client's certificate, as PEM. It needs `cert_file`."),
];

const AUTH: &[Key] = &[
    Key::new(
        "header_file",
        text("path"),
        "A file with a whole header line, such as `Authorization: Bearer …`; 64 KiB at most, no pipe. It is read again when it \
         changes.",
    )
    .flag("--auth-header-file"),
    Key::new("header_env", text("name of a variable"), "An environment variable with a whole header line."),
    Key::new("bearer", Shape::OneOf(SECRET), "A token, sent as `Authorization: Bearer …`."),
    Key::new("basic", Shape::Map(BASIC), "User name and password, sent as `Authorization: Basic …`."),
    Key::new("api_key", Shape::Map(API_KEY), "A key, sent in a header of your choice."),
    Key::new("oauth2", Shape::Map(OAUTH2), "A token fetched from a token server by the client credentials grant.")
        .page("credentials.md#oauth2"),
    Key::new("sigv4", Shape::Map(SIGV4), "A signature with credentials of AWS, for Lambda function URLs and API Gateway.")
        .page("signatures.md#sigv4"),
];

const BASIC: &[Key] = &[
    Key::new("username", text("text without `:`"), "The user.").required(),
    Key::new("password", Shape::OneOf(SECRET), "The password.").required(),
];

const API_KEY: &[Key] = &[
    Key::new("header", text("name of a header"), "The header that carries the key.").required(),
    Key::new("prefix", text("text"), "What stands in the header before the key: `\"Simple \"`."),
    Key::new("file", text("path"), "The file that holds the key, on one line. Write this or `env`.")
        .flag("--algorithm-key-file"),
    Key::new(
        "env",
        text("name of a variable"),
        "The environment variable whose value is the key. Write this or `file`.",
    ),
];

const OAUTH2: &[Key] = &[
    Key::new("token_url", Shape::One(Kind::Address("https://HOST/PATH")), "Where tokens are fetched.")
        .required(),
    Key::new("client_id", text("text"), "The client.").required(),
    Key::new("client_secret", Shape::OneOf(SECRET), "The client's secret.").required(),
    Key::new("scope", Shape::OneOrMore(Kind::Text("scope")), "The scopes that are asked for."),
    Key::new("audience", text("text"), "The audience that is asked for."),
    Key::new(
        "client_auth",
        Shape::One(Kind::Word(&["basic", "body"])),
        "How the client proves itself: id and secret in the `Authorization` header, or in the body.",
    )
    .default("basic"),
];

const SIGV4: &[Key] = &[
    Key::new(
        "service",
        text("name"),
        "The name of the service: `lambda` for a function URL, `execute-api` for API Gateway.",
    )
    .required(),
    Key::new("region", text("region"), "The region in signatures.")
        .otherwise("that of the `url`, else of `AWS_REGION`"),
    Key::new("role_arn", text("ARN of a role"), "A role to assume first."),
    Key::new(
        "external_id",
        text("2 to 1,224 characters"),
        "The external id that the role demands. It needs `role_arn`.",
    ),
    Key::new("profile", text("name"), "A profile of the AWS configuration files."),
];

const SIGN: &[Key] = &[
    Key::new("standard_webhooks", Shape::Map(STANDARD_WEBHOOKS), "The headers of Standard Webhooks."),
    Key::new("hmac", Shape::Map(HMAC), "One header with an HMAC-SHA256 of the body."),
];

const STANDARD_WEBHOOKS: &[Key] = &[Key::new(
    "secrets",
    Shape::List(SECRET),
    "One secret, or the present and the next one. Each is `whsec_…`, or base64.",
)
.required()];

const HMAC: &[Key] = &[
    Key::new("format", Shape::One(Kind::Word(&["github", "simple-sqsd"])), "Whose format the header has.")
        .required(),
    Key::new("header", text("name of a header"), "The header. It is required with `simple-sqsd`.")
        .otherwise("with github: `X-Hub-Signature-256`"),
    Key::new("secret", Shape::OneOf(SECRET), "The shared secret.").required(),
];
