//! The key `lambda`: messages are sent as the event that AWS Lambda makes of messages of SQS.

use crate::config::env::Lookup;
use crate::config::fields::Fields;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::queue::parse as parse_queue;
use crate::config::{queue_arn, value};
use crate::exchange;
use crate::sqs::QueueRef;

/// `listeners[].lambda`.
#[derive(Debug)]
pub(super) struct Lambda {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) partial_failures: Option<Written>,
    pub(super) source_arn: Option<Written>,
}

impl Lambda {
    /// Nothing is written yet.
    pub(super) fn empty(key: String, place: Place) -> Self {
        Self { key, place, partial_failures: None, source_arn: None }
    }

    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let lambda = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            partial_failures: fields.text("partial_failures"),
            source_arn: fields.text("source_arn"),
        };
        fields.finish();
        lambda
    }

    /// The shape of requests with messages of `queue`; `region` is that of the listener.
    pub(super) fn shape(
        &self,
        queue: &QueueRef,
        region: Option<&str>,
        env: Lookup<'_>,
        report: &mut Report,
    ) -> exchange::Lambda {
        let truth = |text: &str| value::one_of(text, &[("true", true), ("false", false)]);
        let partial_failures = report.parse(self.partial_failures.as_ref(), truth).unwrap_or(true);
        let source_arn = |text: &str| match parse_queue(text)? {
            QueueRef::Arn { region, .. } => Ok((region, text.to_owned())),
            QueueRef::Url(_) | QueueRef::Name(_) => {
                Err(Fault::new("is no ARN of a queue").fix("write arn:aws:sqs:REGION:ACCOUNT:NAME"))
            }
        };
        let written = report.parse(self.source_arn.as_ref(), source_arn);
        let (region, source_arn) = written.unwrap_or_else(|| queue_arn::region_and_arn(queue, region, env));
        exchange::Lambda { source_arn, region, partial_failures }
    }
}
