//! The key `results`: which queues get the results of messages, and how these are worded.
//!
//! A result queue is called as the listener's own queue is, with its role and profile. A bare name is a queue beside
//! it: same server, region and account. Templates are read as they stand: `${VAR}` is not replaced in them.

use std::sync::Arc;

use crate::config::consumers;
use crate::config::fields::Fields;
use crate::config::plan::{ResultPlan, ResultsPlan};
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::queue::parse as parse_queue;
use crate::config::template::tell;
use crate::config::{rules, value};
use crate::exchange::Unwrap;
use crate::exchange::results::{Form, Format, Wording};
use crate::exchange::template::{Flaw, ResultTemplates};
use crate::sqs::{self, QueueRef};

/// `results`, as written.
#[derive(Debug)]
pub(super) struct Results {
    key: String,
    place: Place,
    pub(super) success: Option<ResultKeys>,
    pub(super) failure: Option<ResultKeys>,
}

/// `results.success` or `results.failure`, as written.
#[derive(Debug)]
pub(super) struct ResultKeys {
    key: String,
    place: Place,
    pub(super) queue: Option<Written>,
    pub(super) compress: Option<Written>,
    pub(super) format: Option<Written>,
    pub(super) template: Option<Written>,
    pub(super) group_id: Option<Written>,
    pub(super) deduplication_id: Option<Written>,
    /// Of failures alone.
    pub(super) every_try: Option<Written>,
}

/// What the results of a listener are made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// Name of the listener; `None` when it was refused.
    pub(super) listener: Option<&'a str>,
    /// Its queue; `None` when it was refused.
    pub(super) queue: Option<&'a sqs::Settings>,
    /// What it takes off its messages.
    pub(super) unwrap: &'a Unwrap,
}

/// Adds a template under its key.
type Add = fn(&mut ResultTemplates, &str, &str) -> Result<(), Vec<Flaw>>;

impl Results {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let results = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            success: fields.map("success", |fields| ResultKeys::read(fields, false)),
            failure: fields.map("failure", |fields| ResultKeys::read(fields, true)),
        };
        fields.finish();
        results
    }

    /// The result queues; those with a problem are left out, and reported.
    pub(super) fn plan(&self, source: Source<'_>, report: &mut Report) -> ResultsPlan {
        if self.success.is_none() && self.failure.is_none() && !report.mentions(&self.key) {
            let fault = Fault::new("has no queue")
                .fix("write `success: {queue: NAME}` or `failure: {queue: NAME}` below it");
            report.refuse_key(&self.place, &self.key, fault);
        }
        let mut plan = |keys: &Option<ResultKeys>| keys.as_ref().and_then(|keys| keys.plan(source, report));
        ResultsPlan { success: plan(&self.success), failure: plan(&self.failure) }
    }
}

impl ResultKeys {
    fn read(mut fields: Fields<'_>, is_failure: bool) -> Self {
        let keys = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            queue: fields.text("queue"),
            compress: fields.text("compress"),
            format: fields.text("format"),
            template: fields.verbatim("template"),
            group_id: fields.verbatim("group_id"),
            deduplication_id: fields.verbatim("deduplication_id"),
            every_try: if is_failure { fields.text("every_try") } else { None },
        };
        fields.finish();
        keys
    }

    fn plan(&self, source: Source<'_>, report: &mut Report) -> Option<ResultPlan> {
        let truth = |text: &str| value::one_of(text, &[("true", true), ("false", false)]);
        let compresses = report.parse(self.compress.as_ref(), truth).unwrap_or_default();
        let every_try = report.parse(self.every_try.as_ref(), truth).unwrap_or_default();
        let format = self.format(report);
        let queue = self.queue(source.queue, format, report);
        let is_fifo = queue.as_ref().is_some_and(|queue| queue.queue.is_fifo());
        if queue.is_some() && !is_fifo {
            let fault = Fault::new("has no effect: the result queue is no FIFO queue");
            report.require(self.deduplication_id.as_ref(), Err(fault.fix("remove it")));
        }
        let wording = Wording {
            format,
            templates: self.templates(report),
            compresses,
            is_fifo,
            every_try,
            unwrap: source.unwrap.clone(),
        };
        let of = source.queue.map_or("", |queue| queue.queue.name());
        let form = Arc::new(Form::new(source.listener.unwrap_or_default(), of, wording));
        Some(ResultPlan { queue: queue?, form, every_try })
    }

    /// The format; a template of the user's stands before that of a preset.
    fn format(&self, report: &mut Report) -> Format {
        let by_hand = |format: &&Written| !matches!(format.place, Place::Preset(_));
        if self.template.is_some() {
            let fault = Fault::new("has no effect beside `template`").fix("keep one of them");
            report.require(self.format.as_ref().filter(by_hand), Err(fault));
            return Format::default();
        }
        let formats = [("json", Format::Json), ("matillion", Format::Matillion)];
        report.parse(self.format.as_ref(), |text| value::one_of(text, &formats)).unwrap_or_default()
    }

    fn queue(
        &self,
        own: Option<&sqs::Settings>,
        format: Format,
        report: &mut Report,
    ) -> Option<sqs::Settings> {
        let key = format!("{}.queue", self.key);
        if self.queue.is_none() && !report.mentions(&key) {
            let fault = Fault::new("is required: the URL, ARN or name of the queue for results");
            report.refuse_key(&self.place, &key, fault);
        }
        let written = self.queue.as_ref();
        let queue = report.parse(written, parse_queue)?;
        report.advise(written, rules::queue_of_aws_is_https(&queue));
        if format == Format::Matillion && queue.is_fifo() {
            let fault = Fault::new("is a FIFO queue, and Matillion allows no FIFO result queues");
            report.require(written, Err(fault.fix("name a standard queue, or write `format: json`")));
            return None;
        }
        let own = own?;
        let settings = settings(queue, own);
        if consumers::is_same(&settings, own) {
            let fault = Fault::new("is the listener's own queue: each result would be posted in its turn");
            report.require(written, Err(fault.fix("name another queue")));
            return None;
        }
        Some(settings)
    }

    fn templates(&self, report: &mut Report) -> ResultTemplates {
        let mut templates = ResultTemplates::default();
        // A key below `listeners[0]`, for the reader of a log: `results.success.template`.
        let place = self.key.find("results.").unwrap_or_default();
        let key = |name: &str| format!("{}.{name}", self.key.get(place..).unwrap_or(&self.key));
        let all: [(&str, &Option<Written>, Add); 3] = [
            ("template", &self.template, ResultTemplates::text),
            ("group_id", &self.group_id, ResultTemplates::group_id),
            ("deduplication_id", &self.deduplication_id, ResultTemplates::deduplication_id),
        ];
        for (name, written, add) in all {
            let Some((written, source)) = written.as_ref().and_then(|one| Some((one, one.text.as_deref()?)))
            else {
                continue;
            };
            if source.trim().is_empty() {
                report
                    .refuse(written, Fault::new("is empty").fix("write a text or a template, or remove it"));
            } else {
                tell(written, add(&mut templates, &key(name), source), report);
            }
        }
        templates
    }
}

/// A result queue, called as the listener's own one is.
fn settings(queue: QueueRef, own: &sqs::Settings) -> sqs::Settings {
    let queue = match queue {
        QueueRef::Name(name) => beside(&own.queue, name),
        QueueRef::Url(_) | QueueRef::Arn { .. } => queue,
    };
    let region = own.region.clone().filter(|_| sqs::region(&queue).is_none());
    sqs::Settings { queue, region, ..own.clone() }
}

/// The queue `name` of the same server, region and account as `own`.
fn beside(own: &QueueRef, name: String) -> QueueRef {
    match own {
        QueueRef::Url(url) => {
            let mut url = url.clone();
            if let Ok(mut parts) = url.path_segments_mut() {
                parts.pop().push(&name);
            }
            QueueRef::Url(url)
        }
        QueueRef::Arn { region, account, .. } => {
            QueueRef::Arn { region: region.clone(), account: account.clone(), name }
        }
        QueueRef::Name(_) => QueueRef::Name(name),
    }
}

#[cfg(test)]
#[path = "results_tests.rs"]
mod tests;
