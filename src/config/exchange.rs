//! The keys that say how messages become requests, and which answers are a success.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::env::Lookup;
use crate::config::file::Listener;
use crate::config::lambda::Lambda;
use crate::config::plan::EventListenerPlan;
use crate::config::problem::{Fault, Report};
use crate::config::{rules, value};
use crate::exchange::template::{Base, Parts, Templated, TemplatedBatch};
use crate::exchange::{
    Algorithm, ContentType, Exchange, Look, Properties, Raw, Several, Shape, Single, Success, Unwrap,
};
use crate::policy::outcome::StatusSet;
use crate::sqs::QueueRef;

/// How much earlier than our timeout the algorithm's server must answer.
const ALGORITHM_MARGIN: Duration = Duration::from_secs(15);

/// The checked parts of an exchange.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) look: Look,
    pub(super) success: Success,
    pub(super) templates: Option<Parts>,
    pub(super) unwrap: Unwrap,
    /// Most messages of a request.
    pub(super) most: usize,
}

/// The exchange of a listener that posts to `url`; `None` when its templates do not fit the address.
pub(super) fn exchange(
    written: &Listener,
    name: &str,
    queue: &QueueRef,
    url: &Url,
    made: Made,
    env: Lookup<'_>,
    report: &mut Report,
) -> Option<Arc<dyn Exchange>> {
    let Made { look, success, templates, unwrap, most } = made;
    if let Some(lambda) = &written.lambda {
        stands_alone(lambda, written, report);
        handles_are_encrypted(written, url, report);
        let region = written.region.as_ref().and_then(|region| region.text.as_deref());
        let shape = lambda.shape(queue, region, env, report);
        return Some(Arc::new(Several::new(shape, success, most, unwrap)));
    }
    let shape: Box<dyn Shape> = match &written.cloudevents {
        Some(cloudevents) => {
            for key in [&written.message_headers, &written.user_agent, &written.content_type] {
                let fault = Fault::new("has no effect beside `cloudevents`, which says how a request looks");
                report.require(key.as_ref(), Err(fault.fix("keep one of them")));
            }
            let shape = cloudevents.shape(written.algorithm.is_some(), queue, report);
            if most > 1 {
                return Some(Arc::new(Several::new(shape, success, most, unwrap)));
            }
            Box::new(shape)
        }
        None => Box::new(Raw::new(name, queue.name()).with(look.clone())),
    };
    let Some(mut parts) = templates else {
        return Some(Arc::new(Single::new(shape, success).unwrapping(unwrap)));
    };
    if matches!(look.content_type, ContentType::Fixed(_)) {
        parts.keep_content_type();
    }
    let base = Base { path: url.path().to_owned(), query: url.query().map(str::to_owned) };
    let made: Result<Arc<dyn Exchange>, String> = if most > 1 {
        let shape = TemplatedBatch::new(parts, look, base, name, queue.name());
        shape.map(|shape| -> Arc<dyn Exchange> { Arc::new(Several::new(shape, success, most, unwrap)) })
    } else {
        let shape = Templated::new(shape, parts, base, name, queue.name());
        shape.map(|shape| -> Arc<dyn Exchange> { Arc::new(Single::new(shape, success).unwrapping(unwrap)) })
    };
    let refused = |why: String| {
        let fault = Fault::new(format!("cannot be added to the listener's address: {why}"));
        report.refuse_key(&written.place, &written.key_of("template"), fault);
    };
    made.map_err(refused).ok()
}

/// The event says how a request looks, so what else says so is refused.
fn stands_alone(lambda: &Lambda, listener: &Listener, report: &mut Report) {
    for key in [&listener.message_headers, &listener.user_agent, &listener.content_type] {
        let fault = Fault::new("has no effect beside `lambda`, which says how a request looks");
        report.require(key.as_ref(), Err(fault.fix("keep one of them")));
    }
    let others = [
        ("algorithm", listener.algorithm.is_some()),
        ("cloudevents", listener.cloudevents.is_some()),
        ("template", listener.template.is_written()),
    ];
    for (name, _) in others.into_iter().filter(|(_, is_written)| *is_written) {
        let fault = Fault::new(format!("is not allowed beside `{name}`: each says how a request looks"));
        report.refuse_key(&lambda.place, &lambda.key, fault.fix("keep one of them"));
    }
}

/// A record has the receipt handle of its message, and somebody on the way may use it.
fn handles_are_encrypted(written: &Listener, url: &Url, report: &mut Report) {
    let address = written.url.as_ref().or(written.endpoint.as_ref());
    report.advise(address, rules::receipt_handles_are_encrypted(url));
}

/// The templates of a listener.
pub(super) fn templates(written: &Listener, is_batch: bool, report: &mut Report) -> Option<Parts> {
    written.template.compile(written.algorithm.is_some(), is_batch, report)
}

/// What all requests of a listener to `url` have in common.
pub(super) fn look(written: &Listener, url: Option<&Url>, report: &mut Report) -> Look {
    let default = Look::default();
    let path = url.map_or("/", Url::path).to_owned();
    let properties = |text: &str| {
        let words = [("queuepost", 0), ("sqsd", 1), ("none", 2)];
        Ok(match value::one_of(text, &words)? {
            0 => Properties::Queuepost,
            1 => Properties::Sqsd { path },
            _ => Properties::None,
        })
    };
    let content_type = |text: &str| match text {
        "auto" => Ok(ContentType::Auto),
        "algorithmia" => Ok(ContentType::Algorithmia),
        fixed => value::media_type(fixed).map(ContentType::Fixed),
    };
    Look {
        properties: report.parse(written.message_headers.as_ref(), properties).unwrap_or(default.properties),
        user_agent: report
            .parse(written.user_agent.as_ref(), value::header_value)
            .unwrap_or(default.user_agent),
        content_type: report
            .parse(written.content_type.as_ref(), content_type)
            .unwrap_or(default.content_type),
    }
}

/// Which answers mean that the work is done.
pub(super) fn success(written: &Listener, report: &mut Report) -> Success {
    let default = Success::default();
    let errors = |text: &str| value::one_of(text, &[("permanent", true), ("success", false)]);
    let statuses = success_statuses(written, report).unwrap_or(default.statuses);
    let error_in_body = report.parse(written.error_in_body.as_ref(), errors);
    let error_in_body_is_failure = error_in_body.unwrap_or(default.error_in_body_is_failure);
    Success { statuses, error_in_body_is_failure }
}

/// Whether people may see the beginning of an answer.
pub(super) fn records_answers(written: &Listener, report: &mut Report) -> bool {
    let truth = |text: &str| value::one_of(text, &[("true", true), ("false", false)]);
    report.parse(written.record_answers.as_ref(), truth).unwrap_or(true)
}

fn success_statuses(written: &Listener, report: &mut Report) -> Option<StatusSet> {
    let mut all = Vec::new();
    for item in written.success.as_deref()? {
        let ranges = |text: &str| {
            let ranges = value::statuses(text, "write 200, 200-299 or 2xx")?;
            ranges.iter().try_for_each(|&(low, high)| rules::success_leaves_out_failures(low, high))?;
            Ok(ranges)
        };
        for (low, high) in report.parse(Some(item), ranges).unwrap_or_default() {
            report.advise(Some(item), rules::success_leaves_out_refusals(low, high));
            all.push((low, high));
        }
    }
    Some(StatusSet::new(all))
}

/// Path and query of the algorithm's call, or the listener's `path`.
pub(super) fn algorithm_path(written: &Listener, timeout: Duration, report: &mut Report) -> Option<String> {
    let algorithm = report.parse(written.algorithm.as_ref(), |text| {
        text.parse::<Algorithm>().map_err(|_| {
            Fault::new("is no algorithm: OWNER/NAME or OWNER/NAME/VERSION")
                .fix("VERSION is a version number (1.2.0), a 40-digit hash or latestPrivate")
        })
    });
    let void = report.parse(written.output.as_ref(), |text| value::one_of(text, &[("void", "&output=void")]));
    let is_algorithm = written.algorithm.is_some();
    report.require(written.output.as_ref(), rules::goes_with("algorithm", is_algorithm));
    report.require(written.path.as_ref(), rules::path_is_not_of_an_algorithm(is_algorithm));
    algorithm.map(|algorithm| algorithm.path_and_query(server_time(timeout)) + void.unwrap_or_default())
}

/// How long the algorithm's server may take, so that its answer arrives in time.
fn server_time(timeout: Duration) -> Duration {
    timeout.saturating_sub(ALGORITHM_MARGIN).max(Duration::from_secs(1))
}

/// Whose event listener it is; the algorithm is checked elsewhere.
pub(super) fn event_listener(
    written: &Listener,
    timeout: Duration,
    report: &mut Report,
) -> Option<EventListenerPlan> {
    let owner = report.parse(written.owner.as_ref(), value::user)?;
    let is_algorithm = written.algorithm.is_some();
    report.require(written.owner.as_ref(), rules::goes_with("algorithm", is_algorithm));
    let algorithm = written.algorithm.as_ref()?.text.as_ref()?.parse().ok()?;
    Some(EventListenerPlan { owner, algorithm, timeout: server_time(timeout) })
}
