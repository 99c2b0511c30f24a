//! The key `claim_check`: from which buckets the bodies of messages are fetched, and how long they may be.
//!
//! A message names bucket and key, so the buckets must be named here: else whoever may send to the queue would choose what
//! is read with the listener's credentials.

use url::Url;

use crate::config::fields::Fields;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::value;
use crate::sqs::ObjectSettings;

const MIB: usize = 1024 * 1024;
const MAX_SIZE: usize = 64 * MIB;
/// Longest body of the SQS extended client (Amazon SQS developer guide, "Managing large messages").
const MAX_SIZE_MAX: usize = 2048 * MIB;

/// `claim_check`, as written.
#[derive(Debug)]
pub(super) struct ClaimCheck {
    key: String,
    place: Place,
    buckets: Option<Vec<Written>>,
    max_size: Option<Written>,
    delete_after_success: Option<Written>,
    endpoint_url: Option<Written>,
}

impl ClaimCheck {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let claim_check = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            buckets: fields.texts("buckets"),
            max_size: fields.text("max_size"),
            delete_after_success: fields.text("delete_after_success"),
            endpoint_url: fields.address("endpoint_url"),
        };
        fields.finish();
        claim_check
    }

    /// Its keys, each with what is written there.
    pub(super) fn written(&self) -> [(&'static str, Vec<&Written>); 4] {
        [
            ("buckets", self.buckets.iter().flatten().collect()),
            ("max_size", self.max_size.iter().collect()),
            ("delete_after_success", self.delete_after_success.iter().collect()),
            ("endpoint_url", self.endpoint_url.iter().collect()),
        ]
    }

    /// The settings; `None` when something was refused.
    pub(super) fn settings(&self, report: &mut Report) -> Option<ObjectSettings> {
        if !cfg!(feature = "s3") {
            let fault = Fault::new("needs the cargo feature s3, which this build lacks");
            report.refuse_key(&self.place, &self.key, fault.fix("build with --features s3"));
        }
        if self.buckets.is_none() && !report.mentions(&format!("{}.buckets", self.key)) {
            let fault = Fault::new("is required: the buckets that messages may name");
            report.refuse_key(
                &self.place,
                &format!("{}.buckets", self.key),
                fault.fix("write buckets: [NAME]"),
            );
        }
        let written = self.buckets.as_deref().unwrap_or_default();
        let buckets: Vec<String> =
            written.iter().filter_map(|name| report.parse(Some(name), bucket)).collect();
        let truth = |text: &str| value::one_of(text, &[("true", true), ("false", false)]);
        let max_size = report.parse(self.max_size.as_ref(), size).unwrap_or(MAX_SIZE);
        let deletes = report.parse(self.delete_after_success.as_ref(), truth).unwrap_or_default();
        let address: Option<Url> = report.parse(self.endpoint_url.as_ref(), value::base_url);
        (buckets.len() == written.len()).then_some(ObjectSettings { buckets, max_size, deletes, address })
    }
}

/// The name of a bucket (Amazon S3 user guide, "General purpose bucket naming rules").
fn bucket(text: &str) -> Result<String, Fault> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let is_name = (3..=63).contains(&bytes.len())
        && bytes.iter().copied().all(is_inner)
        && is_end(bytes.first())
        && is_end(bytes.last());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(Fault::new("is no name of a bucket").fix("write the name alone, no ARN or URL"))
    }
}

/// A size such as `64MiB`.
fn size(text: &str) -> Result<usize, Fault> {
    const EXAMPLE: &str = "write 512KiB, 64MiB or 1GiB";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "KiB" => 1024,
        "MiB" => MIB,
        "GiB" => 1024 * MIB,
        "" => return Err(Fault::new("has no unit").fix(EXAMPLE)),
        _ => return Err(Fault::new("is no size").fix(EXAMPLE)),
    };
    let number: usize = number.parse().map_err(|_| Fault::new("is no size").fix(EXAMPLE))?;
    let size = number.saturating_mul(unit);
    if (1024..=MAX_SIZE_MAX).contains(&size) {
        Ok(size)
    } else {
        Err(Fault::new("is out of range: 1KiB to 2GiB"))
    }
}

#[cfg(test)]
#[cfg(feature = "s3")]
#[path = "claim_check_tests.rs"]
mod tests;
