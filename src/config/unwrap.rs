//! The keys that say what is taken off messages, and which of them are no work: `unwrap` and `non_work`.

use crate::config::file::Listener;
use crate::config::problem::{Fault, Report};
use crate::config::value;
use crate::exchange::{Envelope, Unwrap};

const ENVELOPES: [(&str, Option<Envelope>); 4] = [
    ("none", None),
    ("sns", Some(Envelope::Sns)),
    ("eventbridge", Some(Envelope::EventBridge)),
    ("s3", Some(Envelope::S3)),
];

/// What a listener takes off its messages, and whether those that are no work are deleted.
pub(super) fn unwrap(written: &Listener, report: &mut Report) -> Unwrap {
    let mut envelopes = Vec::new();
    let items = written.unwrap.as_deref().unwrap_or_default();
    for item in items {
        let Some(word) = report.parse(Some(item), |text| value::one_of(text, &ENVELOPES)) else { continue };
        match word {
            None if items.len() > 1 => {
                report.refuse(item, Fault::new("stands alone").fix("leave it out, or the others"));
            }
            None => {}
            Some(envelope) if envelopes.contains(&envelope) => {
                report.refuse(
                    item,
                    Fault::new("is there twice").fix("name each envelope once, the outermost first"),
                );
            }
            Some(envelope) => envelopes.push(envelope),
        }
    }
    let deletes = |text: &str| value::one_of(text, &[("forward", false), ("delete", true)]);
    let deletes_no_work = report.parse(written.non_work.as_ref(), deletes).unwrap_or_default();
    Unwrap { envelopes, deletes_no_work }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::File;
    use crate::config::problem::ConfigErrors;

    fn of(lines: &str) -> Result<Unwrap, ConfigErrors> {
        let mut report = Report::default();
        let source = format!("listeners:\n- queue: orders\n  url: https://api.example\n{lines}");
        let Some(file) = File::parse(&source, &"f.yaml".into(), &|_| None, &mut report) else {
            return Err(report.into_errors());
        };
        let unwrapped = unwrap(&file.listeners[0], &mut report);
        report.finish().map(|_| unwrapped)
    }

    fn refused(lines: &str) -> String {
        of(lines).expect_err(lines).to_string()
    }

    #[test]
    fn envelopes_are_one_word_or_a_list_in_their_order_and_none_is_the_default() {
        let envelopes = |lines: &str| of(lines).map(|unwrap| unwrap.envelopes);
        assert_eq!(of(""), Ok(Unwrap::default()));
        assert_eq!(envelopes("  unwrap: none\n"), Ok(Vec::new()));
        assert_eq!(envelopes("  unwrap: sns\n"), Ok(vec![Envelope::Sns]));
        assert_eq!(envelopes("  unwrap: [sns, s3]\n"), Ok(vec![Envelope::Sns, Envelope::S3]));
        assert_eq!(envelopes("  unwrap: eventbridge\n"), Ok(vec![Envelope::EventBridge]));
    }

    #[test]
    fn what_is_no_work_is_forwarded_unless_it_says_delete() {
        let deletes = |lines: &str| of(lines).map(|unwrap| unwrap.deletes_no_work);
        assert_eq!((deletes(""), deletes("  non_work: forward\n")), (Ok(false), Ok(false)));
        assert_eq!(deletes("  non_work: delete\n"), Ok(true));
    }

    #[test]
    fn other_words_are_refused_with_the_ones_there_are() {
        let text = refused("  unwrap: [sms, none, s3, s3]\n  non_work: ignore\n");
        for expected in [
            "f.yaml:4:12: listeners[0].unwrap[0]: sms is none of: none, sns, eventbridge, s3; did you mean `sns`?",
            "f.yaml:4:17: listeners[0].unwrap[1]: none stands alone",
            "f.yaml:4:27: listeners[0].unwrap[3]: s3 is there twice",
            "f.yaml:5:13: listeners[0].non_work: ignore is none of: forward, delete",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}
