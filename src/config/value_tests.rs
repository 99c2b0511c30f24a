//! Single values: which texts are accepted and which are refused.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn texts<T: std::fmt::Debug>(parse: impl Fn(&str) -> Result<T, Fault>, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(parse(text).is_ok(), "{text:?}: {:?}", parse(text));
    }
    for text in bad {
        assert!(parse(text).is_err(), "{text:?}: {:?}", parse(text));
    }
}

#[test]
fn durations_have_a_unit_and_a_range() {
    let parse = |text: &str| duration(text, SECOND, TWELVE_HOURS);
    assert_eq!(parse("5m"), Ok(Duration::from_mins(5)));
    assert_eq!(parse("1h30m"), Ok(Duration::from_mins(90)));
    assert_eq!(parse("1500ms"), Ok(Duration::from_millis(1_500)));
    assert_eq!(parse("30"), Err(Fault::new("has no unit").fix("write 30s, 5m or 500ms")));
    assert_eq!(parse("0s"), Err(Fault::new("is out of range: 1s to 12h")));
    texts(parse, &["1s", "12h"], &["", "0", "999ms", "12h 1ms", "soon", "-5s", "5 apples"]);
}

#[test]
fn whole_numbers_have_a_range() {
    let parse = |text: &str| whole(text, 1, 10_000);
    assert_eq!(parse("16"), Ok(16));
    assert_eq!(parse("0"), Err(Fault::new("is out of range: 1 to 10,000")));
    texts(parse, &["1", "10000"], &["", "-1", "10001", "1.5", "many", "99999999999"]);
    assert_eq!(grouped(1_000_000), "1,000,000");
    assert_eq!(grouped(999), "999");
}

#[test]
fn a_rate_is_a_number_above_zero() {
    texts(per_second, &["0.5", "1", "2e3", "1000000"], &["", "0", "-1", "NaN", "inf", "1e7", "1/s"]);
}

#[test]
fn statuses_are_codes_ranges_and_classes() {
    let statuses = |text: &str| statuses(text, "write 200");
    assert_eq!(statuses("200, 202-204"), Ok(vec![(200, 200), (202, 204)]));
    assert_eq!(statuses("2xx,500"), Ok(vec![(200, 299), (500, 500)]));
    let bad = [
        "", "99", "600", "299-200", "200-", "OK", "200,", "200-700", "70000", "0xx", "6xx", "xx", "99xx",
        "2XX",
    ];
    texts(statuses, &["100-599", "200", "1xx", "5xx,429"], &bad);
}

#[test]
fn a_media_type_and_a_header_value_are_visible_ascii() {
    texts(
        media_type,
        &["application/json", "text/plain; charset=utf-8"],
        &["", "json", "a/", "/b", "a b/c", "a/b\nc: d", "a/b; ü"],
    );
    texts(header_value, &["aws-sqsd/3.0.4", "a b (c)"], &["", " a", "a\r\nb: c", "ä", &"x".repeat(257)]);
}

#[test]
fn an_address_is_http_without_credentials_or_fragment() {
    let good = ["http://localhost:8080", "https://h.example/a/b?c=d", "http://[::1]:80/"];
    let bad =
        ["", "h.example", "ftp://h.example/", "https://", "https://h/#a", "https://u@h/", "https://u:p@h/"];
    texts(http_url, &good, &bad);
    texts(base_url, &["https://h.example/prefix"], &["https://h.example/?a=b"]);
}

#[test]
fn a_path_is_put_below_the_prefix_of_its_endpoint() {
    let below = |base: &str, path: &str| below(&http_url(base)?, path).map(String::from);
    assert_eq!(below("https://h", "/run?a=b"), Ok("https://h/run?a=b".to_owned()));
    assert_eq!(below("https://h/api/", "/run"), Ok("https://h/api/run".to_owned()));
    assert_eq!(below("https://h/api", "/"), Ok("https://h/api/".to_owned()));
    assert!(below("https://h", "run").is_err());
    assert!(below("https://h", "/run#a").is_err());
}

#[test]
fn names_are_lower_case_letters_digits_and_dashes() {
    texts(name, &["a", "orders-2", &"a".repeat(63)], &["", "A", "a_b", "a.b", &"a".repeat(64)]);
    assert_eq!(name_from_queue("Orders_EU"), "orders-eu");
    assert_eq!(name_from_queue("__x__"), "x");
    assert_eq!(name_from_queue("___"), "");
    let long = format!("{}_{}", "a".repeat(62), "b".repeat(10));
    assert_eq!(name_from_queue(&long), "a".repeat(62));
}

#[test]
fn a_role_is_an_iam_role_arn() {
    let good = ["arn:aws:iam::123456789012:role/consumer", "arn:aws-us-gov:iam::123456789012:role/a/b@c"];
    let bad = [
        "",
        "consumer",
        "arn:aws:iam::123456789012:user/consumer",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::12:role/consumer",
        "arn:aws:iam:eu-west-1:123456789012:role/consumer",
        "arn:aws:iam::123456789012:role/a b",
    ];
    texts(role_arn, &good, &bad);
    texts(external_id, &["ab", "a+=,.@:/-_", &"x".repeat(1_224)], &["", "a", "a b", &"x".repeat(1_225)]);
    texts(region, &["eu-west-1"], &["", "EU", "eu west"]);
    texts(profile, &["my profile"], &["", "a\nb"]);
}

#[test]
fn one_of_a_few_words_suggests_the_nearest() {
    let parse = |text: &str| one_of(text, &[("text", 1), ("json", 2)]);
    assert_eq!(parse("json"), Ok(2));
    assert_eq!(parse("yaml"), Err(Fault::new("is none of: text, json")));
    for slip in ["jso", "jsno"] {
        let fault = Fault::new("is none of: text, json").fix("did you mean `json`?");
        assert_eq!(parse(slip), Err(fault), "{slip}");
    }
}

#[test]
fn the_admin_port_listens_on_an_address_with_a_port() {
    texts(socket_address, &["127.0.0.1:9464", "[::]:0"], &["", "localhost:9464", ":9464", "127.0.0.1"]);
}
