//! Each rule: what it accepts, what it refuses, and its text.

use super::*;
use crate::config::queue;

const MINUTE: Duration = Duration::from_mins(1);

fn url(text: &str) -> Url {
    Url::parse(text).expect(text)
}

fn settings(text: &str) -> sqs::Settings {
    let queue = queue::parse(text).expect(text);
    sqs::Settings { queue, region: None, profile: None, role: None, address: None }
}

fn row(action: Action, ranges: &[(u16, u16)]) -> Row {
    Row { status: StatusSet::new(ranges.iter().copied()), action, delay: None }
}

fn text(fault: Result<(), Fault>) -> String {
    format!("{:?}", fault.expect_err("refused"))
}

#[test]
fn a_request_time_out_fits_the_twelve_hours_of_a_receive() {
    for timeout in [TIMEOUT_MIN, MINUTE, TIMEOUT_MAX] {
        assert_eq!(request_fits_twelve_hours(timeout, TIMEOUT_MAX), Ok(()), "{timeout:?}");
    }
    let told = text(request_fits_twelve_hours(TIMEOUT_MAX + Duration::from_millis(1), TIMEOUT_MAX));
    assert!(told.contains("100ms to 11h 59m") && told.contains("12h at most from its receive"), "{told}");
    let told = text(request_fits_twelve_hours(Duration::from_millis(99), TIMEOUT_MAX));
    assert!(told.contains("out of range") && !told.contains("12h"), "{told}");
    let told = text(request_fits_twelve_hours(2 * MINUTE, MINUTE));
    assert!(told.contains("100ms to 1m") && !told.contains("12h"), "{told}");
}

#[test]
fn a_pause_that_the_time_out_pushes_beyond_twelve_hours_is_told_to_be_cut() {
    assert_eq!(pause_fits_after_request(TIMEOUT_MAX, MINUTE), None);
    let told = pause_fits_after_request(TWELVE_HOURS, MINUTE).expect("a warning");
    assert!(told.contains("is 12h:") && told.contains("up to 1m the pause is cut to 11h 58m 55s"), "{told}");
}

#[test]
fn a_deadline_below_the_longest_time_out_and_a_margin_is_told_to_cut_off() {
    assert_eq!(deadline_covers_requests(Duration::from_secs(75), MINUTE), None);
    let told = deadline_covers_requests(Duration::from_secs(74), MINUTE).expect("a warning");
    assert!(told.contains("is 1m 14s") && told.contains("1m 15s is enough"), "{told}");
}

#[test]
fn fewer_sessions_than_a_listener_has_workers_leave_some_without_work() {
    assert_eq!(sessions_cover_workers(8, 8), None);
    let told = sessions_cover_workers(2, 8).expect("a warning");
    assert!(told.contains("is 2, below the 8 workers") && told.contains("6 of them never run"), "{told}");
}

#[test]
fn sessions_beyond_twice_the_workers_are_never_reached() {
    assert_eq!(sessions_are_in_reach(16, 8), None);
    let told = sessions_are_in_reach(17, 8).expect("a warning");
    assert!(told.contains("is 17, but its listeners have 8 workers"), "{told}");
}

#[test]
fn credentials_over_http_are_warned_of_unless_they_stay_near() {
    for far in [
        "http://api.example/x",
        "http://93.184.216.34/",
        "http://100.63.0.1/",
        "http://100.128.0.1/",
        "http://[2001:db8::1]/",
    ] {
        assert!(credentials_are_encrypted(&url(far), true).is_some(), "{far}");
        assert_eq!(credentials_are_encrypted(&url(far), false), None, "{far}");
    }
    let near = [
        "https://api.example/x",
        "http://localhost:8080/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://100.64.0.1/",
        "http://100.127.255.254/",
        "http://orders.default:8080/",
        "http://192.168.0.1/",
        "http://[fd00::1]/",
        "http://orders/",
        "http://orders.shop.svc/",
        "http://orders.svc.cluster.local/",
        "http://host.docker.internal/",
    ];
    for near in near {
        assert_eq!(credentials_are_encrypted(&url(near), true), None, "{near}");
    }
}

#[test]
fn certificates_need_an_https_address() {
    assert_eq!(tls_needs_https(&url("https://h/")), Ok(()));
    assert!(text(tls_needs_https(&url("http://h/"))).contains("has no effect on an http:// address"));
}

#[test]
fn a_client_certificate_needs_its_key() {
    assert!(certificate_and_key_are_a_pair(true, true).is_ok());
    assert!(certificate_and_key_are_a_pair(false, false).is_ok());
    assert!(certificate_and_key_are_a_pair(true, false).is_err());
    assert!(certificate_and_key_are_a_pair(false, true).is_err());
}

#[test]
fn a_region_that_is_not_the_queues_is_warned_of() {
    for queue in [
        "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "arn:aws:sqs:eu-west-1:123456789012:orders",
    ] {
        let queue = settings(queue).queue;
        assert_eq!(region_is_that_of_the_queue("eu-west-1", &queue), None);
        let told = region_is_that_of_the_queue("us-east-1", &queue).expect("a warning");
        assert_eq!(told, "is us-east-1, but the queue is in eu-west-1");
    }
    assert_eq!(region_is_that_of_the_queue("us-east-1", &settings("orders").queue), None);
}

#[test]
fn success_with_429_or_a_failed_server_is_refused() {
    for (low, high) in [(200, 200), (200, 299), (404, 404), (409, 410), (200, 428), (430, 499)] {
        assert_eq!(success_leaves_out_failures(low, high), Ok(()), "{low}-{high}");
    }
    for (low, high, words) in [
        (429, 429, "takes in 429"),
        (200, 499, "status: 429, action: delete"),
        (100, 599, "takes in 429"),
        (503, 503, "status: 503, action: delete"),
        (500, 504, "takes in 5xx"),
        (430, 500, "write 2xx"),
    ] {
        let told = text(success_leaves_out_failures(low, high));
        assert!(told.contains(words) && told.contains("nobody worked on"), "{low}-{high}: {told}");
    }
}

#[test]
fn success_with_redirects_or_a_range_of_refusals_is_warned_of() {
    for (low, high) in [(200, 299), (404, 404), (409, 409), (100, 199)] {
        assert_eq!(success_leaves_out_refusals(low, high), None, "{low}-{high}");
    }
    for (low, high, words) in
        [(302, 302, "redirects"), (200, 399, "redirects"), (200, 404, "redirects"), (400, 410, "single ones")]
    {
        let told = success_leaves_out_refusals(low, high).expect("a warning");
        assert!(told.contains(words), "{low}-{high}: {told}");
    }
}

#[test]
fn a_row_behind_others_with_all_its_statuses_is_dead() {
    let earlier = [row(Action::Park, &[(500, 502)]), row(Action::Defer, &[(503, 599)])];
    assert!(row_is_reached(&row(Action::Delete, &[(500, 599)]), &earlier).is_some());
    assert_eq!(row_is_reached(&row(Action::Delete, &[(499, 499), (500, 599)]), &earlier), None);
    assert_eq!(row_is_reached(&row(Action::Delete, &[(500, 599)]), &[]), None);
}

#[test]
fn a_row_that_keeps_a_success_from_deleting_is_warned_of() {
    let success = StatusSet::new([(200, 299)]);
    for action in [Action::Park, Action::Defer, Action::DeadLetter] {
        let told = row_leaves_success(&row(action, &[(100, 202)]), &success).expect("a warning");
        assert!(told.starts_with("has 200, which is in `success` too"), "{told}");
        assert_eq!(row_leaves_success(&row(action, &[(300, 599)]), &success), None);
    }
    assert_eq!(row_leaves_success(&row(Action::Delete, &[(200, 200)]), &success), None);
}

#[test]
fn a_delay_belongs_to_an_action_that_hides() {
    assert!(delay_is_of_a_pause(Action::Park).is_ok() && delay_is_of_a_pause(Action::Defer).is_ok());
    assert!(delay_is_of_a_pause(Action::Delete).is_err() && delay_is_of_a_pause(Action::DeadLetter).is_err());
}

#[test]
fn a_key_that_adds_to_another_is_refused_without_it() {
    assert_eq!(goes_with("role_arn", true), Ok(()));
    assert!(text(goes_with("role_arn", false)).contains("has no effect without `role_arn`"));
}

#[test]
fn an_algorithm_takes_no_path() {
    assert_eq!(path_is_not_of_an_algorithm(false), Ok(()));
    assert!(text(path_is_not_of_an_algorithm(true)).contains("has its own path"));
}

#[test]
fn a_queue_of_amazons_over_plain_http_is_warned_of() {
    let warned = |url: &str| queue_of_aws_is_https(&QueueRef::Url(url.parse().unwrap())).is_some();
    for url in [
        "http://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "http://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/123456789012/orders",
    ] {
        assert!(warned(url), "{url}");
    }
    for url in
        ["https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "http://localhost:9324/queue/orders"]
    {
        assert!(!warned(url), "{url}");
    }
}
