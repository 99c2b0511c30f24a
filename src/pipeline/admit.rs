//! Admission: from "in flight" to "may be posted now".
//!
//! A delivery passes the gates and waits its turn for a session, which the rate allows to start. It leaves that line when a
//! gate closes meanwhile. A wait ends early when the process drains, or when a gate stays closed longer than the
//! messages can wait. Then they are released.
//!
//! What a receive needs is reserved beforehand as one [`Reservation`]: sessions, or the right to probe a gate. Each of its
//! deliveries takes its part.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::drain::Drain;
use crate::limit::{Claims, EndpointLimits, FullReceive, Membership, Probe, Rank, Session};
use crate::pipeline::gates::Gates;

/// Pause before a message on its final receive asks again whether its listener still stands by.
const AGAIN: Duration = Duration::from_secs(1);

/// Leave to post.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) session: Session,
    /// Of the gates this delivery probes.
    pub(super) probes: Vec<Probe>,
    /// How long it waited at gates.
    pub(super) at_gates: Duration,
}

/// Why a message is released instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The listener stops, alone or with the process.
    Draining,
    /// The listener stands by: what it could do is other processes' share.
    StandingBy,
    /// A gate stays closed for so much longer.
    GateClosed(Duration),
}

impl Refused {
    /// Why, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Draining => "the listener is stopping",
            Self::StandingBy => "the listener stands by",
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

/// What a receive has reserved at the endpoint for the deliveries it may bring, or one of these.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    /// Room for their sessions and starts.
    claims: Option<Claims>,
    /// The probes that the receive is; its first delivery has them.
    pub(super) probes: Vec<Probe>,
}

impl Reservation {
    /// Gives the room back; the delivery then waits for a session like one without a reservation.
    pub(super) fn free_room(&mut self) {
        self.claims = None;
    }

    /// The part of the next delivery.
    pub(super) fn take(&mut self) -> Self {
        Self { claims: self.claims.as_mut().and_then(Claims::take), probes: std::mem::take(&mut self.probes) }
    }

    /// Deliveries that there is room for.
    pub(super) fn deliveries(&self) -> usize {
        self.claims.as_ref().map_or(0, Claims::len)
    }
}

/// All that has to agree before a listener's messages are posted: sessions and rate of its endpoint, and both gates.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) gates: Gates,
    pub(super) limits: EndpointLimits,
    /// The listener's place among those that share the sessions.
    pub(super) membership: Membership,
}

impl Admission {
    /// Reserves room for 1 to `most` deliveries, and waits until there is enough. Without a `receive` that brings them nothing
    /// runs ahead.
    ///
    /// # Cancel safety
    /// Dropping the future reserves nothing.
    pub(super) async fn reserve(&self, most: usize, receive: Option<FullReceive>) -> Reservation {
        let claims = Some(self.membership.claim(most, receive).await);
        Reservation { claims, probes: Vec::new() }
    }

    /// Waits until the message may be posted, or must be released.
    ///
    /// # Cancel safety
    /// Dropping the future releases all it holds; what was taken from the reservation is free.
    pub(super) async fn admit(
        &self,
        reservation: &mut Reservation,
        patience: Patience,
        drain: &Drain,
    ) -> Result<Admitted, Refused> {
        // Pinned here, so that the task of a delivery has room for it once and not twice.
        let pass = pin!(self.pass(reservation, patience));
        let admitted = drain.unless_draining(pass).await;
        admitted.unwrap_or(Err(Refused::Draining))
    }

    /// The listener stands by: the message is released. One on its final receive would be dead-lettered for that, so it
    /// waits for the share to come back.
    async fn stand_by(&self, patience: Patience) -> Result<(), Refused> {
        if patience.rank != Rank::FinalReceive || Instant::now() + AGAIN >= patience.until {
            return Err(Refused::StandingBy);
        }
        tokio::time::sleep(AGAIN).await;
        Ok(())
    }

    async fn pass(&self, reservation: &mut Reservation, patience: Patience) -> Result<Admitted, Refused> {
        let mut at_gates = Duration::ZERO;
        loop {
            if !self.gates.let_through(&reservation.probes) {
                // Room is for those that can start.
                reservation.claims = None;
                let began = Instant::now();
                let end = patience.until.min(began + patience.longest.saturating_sub(at_gates));
                let passing = Box::pin(self.gates.pass(patience.rank, &mut reservation.probes));
                if tokio::time::timeout_at(end, passing).await.is_err() {
                    return Err(Refused::GateClosed(self.gates.pause_left()));
                }
                at_gates += began.elapsed();
            }
            tokio::select! {
                biased;
                // Leaves the line to the probe.
                () = self.gates.closed(&reservation.probes) => {}
                session = self.membership.start(reservation.claims.take()) => {
                    let Some(session) = session else {
                        self.stand_by(patience).await?;
                        continue;
                    };
                    let probes = std::mem::take(&mut reservation.probes);
                    return Ok(Admitted { session, probes, at_gates });
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "admit_tests.rs"]
mod tests;
