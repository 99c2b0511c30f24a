//! Admission: from "in the house" to "may be posted now".
//!
//! A message that holds a worker's permit passes the gate, waits its turn for a session and then for the pace,
//! and looks at the gate once more: it may have closed meanwhile. A wait ends early when the process drains
//! or when the gate has stayed closed for [`GATE_WAIT_MAX`]; then the message is given back.

use std::time::Duration;

use tokio::time::Instant;

use crate::drain::Drain;
use crate::limit::{Claim, EndpointLimits, PaceClaim, Pass, Probe, Seat, Session, Who};

/// Longest wait of a held message at a closed gate, in total.
const GATE_WAIT_MAX: Duration = Duration::from_secs(120);

/// Leave to post.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) session: Session,
    /// Set when this delivery is the gate's probe.
    pub(super) probe: Option<Probe>,
}

/// Why a message is given back instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The process stops.
    Draining,
    /// The gate stays closed for so much longer.
    GateClosed(Duration),
}

/// What one message brings along and has waited so far.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    /// Room claimed before the receive.
    claim: Option<Claim>,
    /// Its place in the pace's line, claimed before the receive.
    pace: Option<PaceClaim>,
    /// The probe its receive was.
    probe: Option<Probe>,
    gate_waited: Duration,
}

impl Ticket {
    /// For a message whose receive claimed room, or was the gate's probe.
    pub(super) fn new(claim: Option<Claim>, pace: Option<PaceClaim>, probe: Option<Probe>) -> Self {
        Self { claim, pace, probe, gate_waited: Duration::ZERO }
    }
}

/// Waits until the message may be posted, or must be given back.
///
/// # Cancel safety
/// Dropping the future gives back all it holds; a claim or probe taken from the ticket is then lost to the
/// next, never leaked.
pub(super) async fn admit(
    ticket: &mut Ticket,
    limits: &EndpointLimits,
    seat: &Seat,
    drain: &Drain,
) -> Result<Admitted, Refused> {
    loop {
        let probe = match ticket.probe.take() {
            Some(probe) => Some(probe),
            None => pass_gate(ticket, limits, drain).await?,
        };
        let session = tokio::select! {
            biased;
            () = drain.draining() => return Err(Refused::Draining),
            session = seat.start(ticket.claim.take()) => session,
        };
        tokio::select! {
            biased;
            () = drain.draining() => return Err(Refused::Draining),
            // Leaves the line to the probe, and takes no start it could not use.
            () = limits.gate.closed(), if probe.is_none() => continue,
            () = limits.pace.start() => {}
        }
        if probe.is_some() || limits.gate.is_open() {
            drop(ticket.pace.take());
            return Ok(Admitted { session, probe });
        }
    }
}

async fn pass_gate(
    ticket: &mut Ticket,
    limits: &EndpointLimits,
    drain: &Drain,
) -> Result<Option<Probe>, Refused> {
    let began = Instant::now();
    let left = GATE_WAIT_MAX.saturating_sub(ticket.gate_waited);
    tokio::select! {
        biased;
        () = drain.draining() => Err(Refused::Draining),
        pass = limits.gate.pass(Who::Delivery) => {
            ticket.gate_waited += began.elapsed();
            match pass {
                Pass::Open => Ok(None),
                Pass::Probe(probe) => Ok(Some(probe)),
            }
        }
        () = tokio::time::sleep(left) => Err(Refused::GateClosed(limits.gate.pause_left())),
    }
}
