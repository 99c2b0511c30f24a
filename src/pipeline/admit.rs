//! Admission: from "in flight" to "may be posted now".
//!
//! A message that holds a worker's permit passes the gates, waits its turn for a session and then for the pace,
//! and looks at the gates once more: one may have closed meanwhile. A wait ends early when the process drains or
//! when a gate has stayed closed for longer than the message can wait; then the message is released.

use std::time::Duration;

use tokio::time::Instant;

use crate::drain::Drain;
use crate::limit::{Claim, EndpointLimits, PaceClaim, Rank, Seat, Session};
use crate::pipeline::gates::{Gates, Probes};

/// Leave to post.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) session: Session,
    /// Of the gates this delivery probes.
    pub(super) probes: Probes,
}

/// Why a message is released instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The process stops.
    Draining,
    /// A gate stays closed for so much longer.
    GateClosed(Duration),
}

impl Refused {
    /// Why, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Draining => "the process is stopping",
            Self::GateClosed(_) => "the gate stayed closed",
        }
    }
}

/// How a message waits at closed gates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Its place among those that may probe.
    pub(super) rank: Rank,
    /// In total.
    pub(super) longest: Duration,
    /// And no later than this: SQS hides it no longer. A successor in its group may have come hours ago.
    pub(super) until: Instant,
}

/// What one message brings along and has waited so far.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    /// Room claimed before the receive.
    claim: Option<Claim>,
    /// Its place in the pace's line, claimed before the receive.
    pace: Option<PaceClaim>,
    /// The probes its receive was.
    probes: Probes,
    gate_waited: Duration,
}

impl Ticket {
    /// For a message whose receive claimed room, or was a probe.
    pub(super) fn new(claim: Option<Claim>, pace: Option<PaceClaim>, probes: Probes) -> Self {
        Self { claim, pace, probes, gate_waited: Duration::ZERO }
    }
}

/// Whatever has to agree before a listener's message is posted: the gates, and the limits of its endpoint.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) gates: Gates,
    pub(super) limits: EndpointLimits,
    /// The listener's share of the endpoint's sessions.
    pub(super) share: Seat,
}

impl Admission {
    /// Waits until the message may be posted, or must be released.
    ///
    /// # Cancel safety
    /// Dropping the future releases all it holds; what was taken from the ticket is then lost to the next, never
    /// leaked.
    pub(super) async fn admit(
        &self,
        ticket: &mut Ticket,
        patience: Patience,
        drain: &Drain,
    ) -> Result<Admitted, Refused> {
        loop {
            if !self.gates.let_through(&ticket.probes) {
                // Room and a place in line are for those that can start.
                ticket.claim = None;
                ticket.pace = None;
                self.pass_gates(ticket, patience, drain).await?;
            }
            let session = tokio::select! {
                biased;
                () = drain.draining() => return Err(Refused::Draining),
                session = self.share.start(ticket.claim.take()) => session,
            };
            tokio::select! {
                biased;
                () = drain.draining() => return Err(Refused::Draining),
                // Leaves the line to the probe, and takes no start it could not use.
                () = self.gates.closed(&ticket.probes) => continue,
                () = self.limits.pace.start() => {}
            }
            if self.gates.let_through(&ticket.probes) {
                ticket.pace = None;
                return Ok(Admitted { session, probes: std::mem::take(&mut ticket.probes) });
            }
        }
    }

    async fn pass_gates(
        &self,
        ticket: &mut Ticket,
        patience: Patience,
        drain: &Drain,
    ) -> Result<(), Refused> {
        let began = Instant::now();
        let left = patience.longest.saturating_sub(ticket.gate_waited);
        let end = patience.until.min(began + left);
        tokio::select! {
            biased;
            () = drain.draining() => Err(Refused::Draining),
            () = self.gates.pass(patience.rank, &mut ticket.probes) => {
                ticket.gate_waited += began.elapsed();
                Ok(())
            }
            () = tokio::time::sleep_until(end) => Err(Refused::GateClosed(self.gates.pause_left())),
        }
    }
}
