//! What `claim_check` may say, and with which words the rest is refused.

use super::*;
use crate::config::file::File;
use crate::config::problem::ConfigErrors;

fn of(claim_check: &str) -> Result<ObjectSettings, ConfigErrors> {
    let mut report = Report::default();
    let source =
        format!("listeners:\n- queue: orders\n  url: https://api.example\n  claim_check: {claim_check}\n");
    let Some(file) = File::parse(&source, &"f.yaml".into(), &|_| None, &mut report) else {
        return Err(report.into_errors());
    };
    let settings = file.listeners[0].claim_check.as_ref().and_then(|written| written.settings(&mut report));
    report.finish().map(|_| settings.expect("settings"))
}

#[test]
fn buckets_are_enough_and_everything_can_be_said() {
    let settings = of("{buckets: payloads}").expect("valid");
    assert_eq!(
        (settings.buckets, settings.max_size, settings.deletes),
        (vec!["payloads".to_owned()], 64 * MIB, false)
    );
    let all = "{buckets: [a-1, b.c], max_size: 512KiB, delete_after_success: true, endpoint_url: 'http://127.0.0.1:9000'}";
    let settings = of(all).expect("valid");
    assert_eq!((settings.buckets.len(), settings.max_size, settings.deletes), (2, 512 * 1024, true));
    assert_eq!(settings.address.map(String::from).as_deref(), Some("http://127.0.0.1:9000/"));
}

#[test]
fn everything_else_is_refused_with_its_place() {
    for (written, expected) in [
        ("{}", "f.yaml:4:16: listeners[0].claim_check.buckets is required"),
        (
            "{buckets: ['arn:aws:s3:::payloads']}",
            "claim_check.buckets[0]: arn:aws:s3:::payloads is no name of a bucket",
        ),
        ("{buckets: [payloads], max_size: 64}", "max_size: 64 has no unit; write 512KiB"),
        ("{buckets: [payloads], max_size: 64MB}", "max_size: 64MB is no size"),
        ("{buckets: [payloads], max_size: 3GiB}", "max_size: 3GiB is out of range: 1KiB to 2GiB"),
        ("{buckets: [payloads], delete_after_success: yes}", "yes is none of: true, false"),
        ("{buckets: [payloads], bucket: b}", "claim_check.bucket is not a key"),
        ("{buckets: [payloads], endpoint_url: 'ftp://h'}", "is neither http:// nor https://"),
    ] {
        let text = of(written).expect_err(written).to_string();
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}
