//! One attempt of a delivery: shape, post, decide.
//!
//! The exchange makes the request and reads the answer; the table decides on each message. Limits and gates learn here what
//! the POST as a whole came to.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::exchange::{Request, Unshapeable, Verdicts};
use crate::limit::{Circumstances, Probe, Stated};
use crate::message::{Message, MessageId};
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::admit::Admitted;
use crate::pipeline::deliver::{Decided, Delivery};
use crate::pipeline::gates::{evidence, feedback, stated};
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::judge;
use crate::pipeline::sift::Sifted;
use crate::policy::decide::{Decision, Facts, Signal, decide};
use crate::policy::outcome::{Attempt, Outcome};
use crate::ports::BoxFuture;
use crate::telemetry::labels::Stage;

/// Messages that are not posted with the others of their delivery.
#[derive(Default)]
pub(super) struct Left {
    /// They stand behind one of their group that is not posted either, or is not done yet.
    pub(super) behind: Vec<InFlight>,
    /// They go next.
    pub(super) others: Vec<InFlight>,
}

impl Delivery {
    /// Posts the messages and decides on each; those that no request can be made of come last. `left` is what is not posted now.
    pub(super) async fn attempt(&mut self, admitted: Admitted) -> (Vec<Decided>, Left) {
        let mut left = Left::default();
        let (request, misshapen) = self.request(&mut left);
        let mut decided = match request {
            Some(request) => self.deliver(request, admitted).await,
            None => Vec::new(),
        };
        for (message, why) in misshapen {
            self.dispatch.ctx.metrics.delivered(Outcome::Unshapeable, None);
            let posted = Posted { why: Some(why), ..Posted::not(Outcome::Unshapeable) };
            let facts = self.facts(&message, &posted);
            let decision = decide(Outcome::Unshapeable, &facts, &self.dispatch.ctx.settings().policy);
            decided.push((message, posted, decision.disposition));
        }
        (decided, left)
    }

    /// The request that carries the messages; `None` when none is left. Beside it those that no request can be made of, and
    /// why.
    fn request(&mut self, left: &mut Left) -> (Option<Request>, Vec<(InFlight, String)>) {
        let mut misshapen = Vec::new();
        while !self.messages.is_empty() {
            // Shaping again after a hold is cheaper than keeping a copy for every message that needs none.
            let made = {
                let carried: Vec<Cow<'_, Message>> = self.messages.iter().map(InFlight::carried).collect();
                let carried: Vec<&Message> = carried.iter().map(AsRef::as_ref).collect();
                self.dispatch.ctx.settings().exchange.request(&carried)
            };
            match made {
                Ok(request) => {
                    if self.stay.held_since.is_none() && self.stay.waited_out == 0 {
                        let dropped = u64::from(request.headers_dropped);
                        self.dispatch.ctx.metrics.headers_dropped.inc_by(dropped);
                    }
                    return (Some(request), misshapen);
                }
                Err(Unshapeable { why, .. }) if self.messages.len() == 1 => {
                    misshapen.extend(self.messages.pop().map(|message| (message, why)));
                }
                Err(_) => {
                    let found = self.misshapen(left);
                    if found.is_empty() {
                        self.halve(left);
                    }
                    misshapen.extend(found);
                }
            }
        }
        (None, misshapen)
    }

    /// Takes out the messages that no request can be made of. Each is tried alone: to try all again for each bad one would
    /// take the square of their number.
    fn misshapen(&mut self, left: &mut Left) -> Vec<(InFlight, String)> {
        let exchange = Arc::clone(&self.dispatch.ctx.settings().exchange);
        let (found, behind) = self.sift(|message| match exchange.request(&[&message.carried()]) {
            Ok(_) => Sifted::Stays,
            Err(unshapeable) => Sifted::Undone(unshapeable.why),
        });
        left.behind.extend(behind);
        found
    }

    /// Each message has a request, and all together are too much for one: half of them go on.
    fn halve(&mut self, left: &mut Left) {
        let mut later = self.messages.split_off(self.messages.len().div_ceil(2));
        if self.dispatch.ctx.settings().is_fifo() {
            let groups: BTreeSet<_> =
                self.messages.iter().map(|message| message.message.group_id.as_ref()).collect();
            let is_behind = |message: &mut InFlight| groups.contains(&message.message.group_id.as_ref());
            left.behind.extend(later.extract_if(.., is_behind));
        }
        left.others.extend(later);
    }

    /// Posts the request, and tells limits and gates what came of that.
    async fn deliver(&mut self, mut request: Request, admitted: Admitted) -> Vec<Decided> {
        let Admitted { mut session, probes, .. } = admitted;
        let (ctx, limits) = (&self.dispatch.ctx, &self.dispatch.admission.limits);
        self.enter(Stage::Delivering);
        session.starts();
        let first = self.messages.first();
        let traced = first.map(|message| message.trace.post(&limits.name, &mut request.headers));
        let ids: Vec<MessageId> = self.messages.iter().map(|message| message.id().clone()).collect();
        // Its future takes the request over: from here on the task of a delivery needs no room for one.
        let answer = ctx.endpoint.post(request);
        let (posted, verdicts, stated) = self.post(answer, &ids, &probes).await;
        if let (Some(traced), Some(message)) = (traced, first) {
            traced.ended(&message.trace, posted.outcome, posted.seen.status);
        }
        let running = limits.sessions.running();
        let decisions = self.decisions(&posted, &verdicts);
        ctx.metrics.delivered(posted.outcome, posted.took);
        let signal = match (&verdicts, decisions.first()) {
            (Verdicts::All(_), Some((_, decision))) => decision.signal,
            // An endpoint whose answer tells its messages apart did its work.
            (Verdicts::Each(_), _) | (Verdicts::All(_), None) => Signal::Success,
        };
        if let Some(id) = ids.first() {
            let evidence = evidence(posted.outcome, signal, ctx.settings().retry_after_closes_gate, id);
            if let Some(learned) = session.end(feedback(evidence, !probes.is_empty(), stated)) {
                ctx.events.learned(&learned);
            }
            let circumstances = Circumstances {
                limit: limits.sessions.limit(),
                running,
                took: posted.took.unwrap_or_default(),
                spare_receives: ctx.view.spare_receives(),
                throttle_delay: ctx.settings().policy.throttle_delay,
            };
            if posted.outcome != Outcome::Aborted {
                self.dispatch.admission.gates.report(evidence, probes, circumstances);
            }
        }
        let decided =
            |(message, (posted, decision)): (_, (_, Decision))| (message, posted, decision.disposition);
        std::mem::take(&mut self.messages).into_iter().zip(decisions).map(decided).collect()
    }

    /// Posts the messages `ids`, and names what came of it: for the POST as a whole, and of each message. Also what the
    /// answer's rate-limit headers say.
    async fn post(
        &self,
        mut answer: BoxFuture<'_, Attempt>,
        ids: &[MessageId],
        probes: &[Probe],
    ) -> (Posted, Verdicts, Stated) {
        let (ctx, gates) = (&self.dispatch.ctx, &self.dispatch.admission.gates);
        let (started, began) = (Instant::now(), ctx.wall.now());
        let answer = async {
            if !probes.is_empty() {
                let runs_long = started + gates.shared.tuning().taken_after;
                if let Ok(attempt) = timeout_at(runs_long, &mut answer).await {
                    return attempt;
                }
                gates.run_long(probes);
            }
            answer.await
        };
        let attempt = tokio::select! {
            biased;
            attempt = answer => attempt,
            () = ctx.drain.aborting() => {
                return (Posted::not(Outcome::Aborted), Verdicts::All(Outcome::Aborted), Stated::Nothing);
            }
        };
        let took = Some(started.elapsed());
        let (posted, verdicts, quota) = judge::read(attempt, &*ctx.settings().exchange, ids, ctx.wall.now());
        if let Some(status) = posted.seen.status {
            ctx.metrics.responded(status);
        }
        (Posted { started: Some(began), took, together: ids.len(), ..posted }, verdicts, stated(quota))
    }

    /// What the POST came to for each message, and the decision on it.
    fn decisions(&self, posted: &Posted, verdicts: &Verdicts) -> Vec<(Posted, Decision)> {
        let settings = self.dispatch.ctx.settings();
        if judge::splits(self.messages.len(), posted, verdicts) {
            for message in &self.messages {
                self.dispatch.memory.suspect(message.id(), self.messages.len());
            }
        }
        let messages = self.messages.iter();
        let messages: Vec<(&Message, Facts)> =
            messages.map(|message| (&*message.message, self.facts(message, posted))).collect();
        judge::decisions(&messages, (posted, verdicts), &settings.policy, settings.is_fifo())
    }

    /// What a decision on one message rests on.
    pub(super) fn facts(&self, message: &InFlight, posted: &Posted) -> Facts {
        Facts {
            receives: message.message.receive_count,
            final_receive: message.final_receive.is_some(),
            status: posted.seen.status,
            retry_after: posted.retry_after,
            hideable: message.hideable(),
            held: self.stay.held_since.map(|since| since.elapsed()).unwrap_or_default(),
            unit: self.dispatch.ctx.unit(),
        }
    }
}
