//! Names that other programs use for keys, and which key to write here instead, if there is one.
//!
//! Users come from `sqsd`, Lambda, a connector or a worker of their own. Only whole words match, in any
//! spelling (`maxRetries`, `max-retries`); `shown` handles typing errors.

/// Endpoint keys that users often write in a listener.
const ENDPOINT_KEYS: [&str; 11] = [
    "adaptive",
    "auth",
    "burst",
    "connecttimeout",
    "persecond",
    "poolidletimeout",
    "ratelimit",
    "retryafterscope",
    "sessions",
    "sign",
    "tls",
];
/// Listener keys that users often write in an endpoint, or at the top.
const LISTENER_KEYS: [&str; 32] = [
    "algorithm",
    "batch",
    "claimcheck",
    "cloudevents",
    "contenttype",
    "endpoint",
    "errorinbody",
    "lambda",
    "latencybudget",
    "listenerowner",
    "messageheaders",
    "nonwork",
    "onresponse",
    "output",
    "path",
    "paused",
    "preset",
    "queue",
    "receivewait",
    "recordanswers",
    "results",
    "retention",
    "retrydelay",
    "success",
    "template",
    "throttledelay",
    "timeout",
    "unwrap",
    "url",
    "useragent",
    "visibilitytimeout",
    "workers",
];
/// Names at the top of other programs' files for what a listener is.
const LISTENERS: [&str; 7] = ["consumers", "input", "inputs", "pipelines", "queues", "sources", "streams"];

const AT_ENDPOINT: &str = "it is a key of an endpoint: write it under `endpoints.NAME`, and in the listener \
                           `endpoint: NAME` and `path` in place of `url`";
const AT_LISTENER: &str = "it is a key of a listener: write it there";
const AT_TOP: &str = "it is a key of a listener: write it under `listeners`, whose entries begin with `- `";
const WORKERS: &str = "write `workers`: most POSTs at once";
const LEASE: &str =
    "write `visibility_timeout`: how long a receive hides a message; it is extended while the POST runs";
const REDRIVE: &str = "there is none: the queue's redrive policy says how often a message is received \
                       (maxReceiveCount) and where it goes then";
const BATCH: &str = "write `batch: {size, window}`: most messages of one POST, and how long they are gathered; receives and \
                     deletes are batched by themselves";
const WINDOW: &str = "write `batch: {window}`: how long messages are gathered for one POST";
const PARTIAL: &str = "write `preset: lambda`, whose `lambda: {partial_failures}` is true";
const WAIT: &str = "write `receive_wait`: the long poll of an idle listener";
const BACKOFF: &str = "write `retry_delay`; without it delays grow from 10s to 15m; `on_response` sets the `delay` of a \
                       status, `throttle_delay` that of a 429";
const METHOD: &str = "there is none: messages are always POSTed";
const CREDENTIALS: &str = "there is none: credentials come from the AWS chain (environment, `profile`, role), and \
                           `role_arn` is assumed with them";

const ECS: &str =
    "there is none: a task of ECS is not told how many there are; write `dns` with a name of Cloud Map";
const AUTH: &str = "write `auth` under `endpoints.NAME`: docs/credentials.md has all kinds";
const RATE: &str = "write `rate_limit: {per_second, burst}` under `endpoints.NAME`";
const TRUST: &str = "certificates are always verified: write `tls: {ca_file}` under `endpoints.NAME` for an authority of your own";
const ALL: &str = "there is none: a message comes with all its attributes";

/// Words in lower case without `_`, and what to do instead.
const WORDS: [(&str, &str); 70] = [
    ("accesskeyid", CREDENTIALS),
    ("apikey", AUTH),
    ("assumerolearn", "write `role_arn`"),
    ("attributenames", ALL),
    ("awsregion", "write `region`"),
    ("backoff", BACKOFF),
    ("basicauth", AUTH),
    ("batchsize", BATCH),
    ("batchwindow", WINDOW),
    ("bearertoken", AUTH),
    ("concurrency", WORKERS),
    ("credentials", CREDENTIALS),
    ("deadletterqueue", REDRIVE),
    ("deadlettertargetarn", REDRIVE),
    ("delayseconds", BACKOFF),
    ("dlq", REDRIVE),
    ("endpointurl", "write `url`"),
    ("errorvisibilitytimeout", BACKOFF),
    ("functionresponsetypes", PARTIAL),
    ("httpconnections", WORKERS),
    ("httpheaders", "write `headers`"),
    ("httppath", "write `url`, or `endpoint` and `path`"),
    ("httptimeout", "write `timeout`: of one POST"),
    ("httpurl", "write `url`"),
    ("inactivitytimeout", "write `timeout`: of one POST"),
    ("insecureskipverify", TRUST),
    ("maxage", "write `retention`: it deletes messages that are older"),
    ("maxattempts", REDRIVE),
    ("maxbatchsize", BATCH),
    ("maxconcurrency", WORKERS),
    ("maximumbatchingwindowinseconds", WINDOW),
    ("maxinflight", WORKERS),
    ("maxmessages", BATCH),
    ("maxnumberofmessages", BATCH),
    ("maxreceivecount", REDRIVE),
    ("maxreceives", REDRIVE),
    ("maxretries", REDRIVE),
    ("maxworkers", WORKERS),
    ("messageattributenames", ALL),
    ("method", METHOD),
    ("mimetype", "write `content_type`"),
    ("parallelism", WORKERS),
    ("password", AUTH),
    ("pollers", WORKERS),
    ("pollinterval", WAIT),
    ("prefetch", WORKERS),
    ("queuearn", "write `queue`"),
    ("queuename", "write `queue`"),
    ("queueurl", "write `queue`"),
    ("requestspersecond", RATE),
    ("requesttimeout", "write `timeout`: of one POST"),
    ("retentionperiod", "write `retention`: it deletes messages that are older"),
    ("retries", REDRIVE),
    ("retry", REDRIVE),
    ("retrybackoff", BACKOFF),
    ("retryinterval", BACKOFF),
    ("rps", RATE),
    ("statuscodes", "write `success`"),
    ("successcodes", "write `success`"),
    ("target", "write `url`"),
    ("threads", WORKERS),
    ("timeoutseconds", "write `timeout`, with a unit: 30s"),
    ("token", AUTH),
    ("username", AUTH),
    ("verifyssl", TRUST),
    ("visibility", LEASE),
    ("visibilitytimeoutseconds", LEASE),
    ("waittime", WAIT),
    ("waittimeseconds", WAIT),
    ("workerqueueurl", "write `queue`"),
];

/// The advice for `name` in the map at `path`.
pub(super) fn hint(path: &str, name: &str) -> Option<String> {
    let word: String = name.chars().filter(|c| !"_-".contains(*c)).map(|c| c.to_ascii_lowercase()).collect();
    let word = word.as_str();
    let (listener, endpoint) = (is_below(path, "listeners["), is_below(path, "endpoints."));
    if path == "fleet" && word == "ecs" {
        return Some(ECS.to_owned());
    }
    let hint = match WORDS.iter().find(|(other, _)| *other == word) {
        Some((_, hint)) if listener || endpoint => hint,
        None if listener && ENDPOINT_KEYS.contains(&word) => AT_ENDPOINT,
        None if endpoint && LISTENER_KEYS.contains(&word) => AT_LISTENER,
        None if path.is_empty() && LISTENER_KEYS.contains(&word) => AT_TOP,
        None if path.is_empty() && LISTENERS.contains(&word) => {
            "write `listeners`: a list of queues and where they go"
        }
        Some(_) | None => return None,
    };
    Some(hint.to_owned())
}

/// Whether the map at `path` is an entry of a list or map with this prefix.
fn is_below(path: &str, start: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| !rest.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_peers_lead_to_the_key_or_to_the_truth() {
        let cases = [
            ("concurrency", "`workers`"),
            ("visibility", "`visibility_timeout`"),
            ("HttpConnections", "`workers`"),
            ("ErrorVisibilityTimeout", "`retry_delay`"),
            ("InactivityTimeout", "`timeout`"),
            ("MimeType", "`content_type`"),
            ("RetentionPeriod", "`retention`"),
            ("max_retries", "redrive policy"),
            ("max-receive-count", "redrive policy"),
            ("batch_size", "`batch: {size, window}`"),
            ("MaximumBatchingWindowInSeconds", "`batch: {window}`"),
            ("FunctionResponseTypes", "`preset: lambda`"),
            ("adaptive", "a key of an endpoint"),
            ("rate_limit", "a key of an endpoint"),
            ("requests_per_second", "`rate_limit: {per_second, burst}`"),
            ("visibilityTimeoutSeconds", "`visibility_timeout`"),
            ("verify_ssl", "always verified"),
            ("http_headers", "`headers`"),
            ("bearer_token", "`auth`"),
            ("maxInFlight", "`workers`"),
            ("WaitTimeSeconds", "`receive_wait`"),
        ];
        for (name, words) in cases {
            let told = hint("listeners[7]", name).unwrap_or_default();
            assert!(told.contains(words), "{name}: {told}");
        }
        assert!(hint("", "queue").unwrap_or_default().contains("under `listeners`"));
        assert!(hint("", "sources").unwrap_or_default().contains("write `listeners`"));
        assert!(hint("endpoints.api", "retry_delay").unwrap_or_default().contains("a key of a listener"));
        assert!(hint("endpoints.api", "workers").unwrap_or_default().contains("a key of a listener"));
        for (path, name) in
            [("listeners[0]", "colour"), ("log", "batch"), ("", "colour"), ("endpoints.api.tls", "path")]
        {
            assert_eq!(hint(path, name), None, "{path} {name}");
        }
    }
}
