//! What the log says of gates: that one closed, that a probe left it closed, that it opened.
//!
//! Each of the three has one line in ten seconds for each gate. A later line says how a gate stands whose changes had no
//! line. So the last line of the log on a gate is true.

use std::sync::PoisonError;
use std::time::Duration;

use super::EventLog;
use super::repeats::{About, LeftOut};
use crate::limit::{Reason, Transition};

/// Pauses are said in whole seconds, rounded.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

impl EventLog {
    /// A gate has changed: of the endpoint, or of this listener alone (`of` says which).
    pub(crate) fn gate(&self, of: &'static str, transition: Transition) {
        let kind = kind(of, transition);
        let left_out = self.repeats().may_say(About::Gate, kind, None);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = left_out {
            untold.remove(of);
            self.tell(of, transition, &left_out);
        } else {
            untold.insert(of, transition);
        }
    }

    /// Makes up for what was left out of a gate's changes, of one kind.
    pub(crate) fn gate_after_all(&self, overdue: &'static str, left_out: &LeftOut) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last = |(of, transition): &(&&'static str, &Transition)| kind(of, **transition) == overdue;
        let last = untold.iter().find(is_last).map(|(of, transition)| (*of, *transition));
        // What another change has followed is of no more interest.
        if let Some((of, transition)) = last {
            untold.remove(of);
            self.tell(of, transition, left_out);
        }
    }

    fn tell(&self, of: &'static str, transition: Transition, left_out: &LeftOut) {
        let (listener, endpoint, gate) = (self.listener.as_str(), self.endpoint.as_str(), of);
        let left_out = left_out.count();
        match transition {
            Transition::Opened { after, .. } => {
                let closed_seconds = after.as_secs();
                tracing::info!(listener, endpoint, gate, closed_seconds, left_out, "gate open");
            }
            Transition::Closed { reason, pause, by_probe } => {
                let (next_probe_seconds, words) = ((pause + HALF_A_SECOND).as_secs(), reason.words());
                let is_fault = matches!(reason, Reason::Unauthorized | Reason::Misdirected);
                let reason = reason.label();
                if by_probe {
                    tracing::info!(
                        listener,
                        endpoint,
                        gate,
                        reason,
                        next_probe_seconds,
                        left_out,
                        "gate still closed: {words}"
                    );
                } else if is_fault {
                    tracing::error!(
                        listener,
                        endpoint,
                        gate,
                        reason,
                        next_probe_seconds,
                        left_out,
                        "gate closed: {words}"
                    );
                } else {
                    tracing::warn!(
                        listener,
                        endpoint,
                        gate,
                        reason,
                        next_probe_seconds,
                        left_out,
                        "gate closed: {words}"
                    );
                }
            }
        }
    }
}

/// Changes that share a line in ten seconds.
fn kind(of: &str, transition: Transition) -> &'static str {
    match (of == "listener", transition) {
        (true, Transition::Opened { .. }) => "own open",
        (true, Transition::Closed { by_probe: true, .. }) => "own still closed",
        (true, Transition::Closed { by_probe: false, .. }) => "own closed",
        (false, Transition::Opened { .. }) => "open",
        (false, Transition::Closed { by_probe: true, .. }) => "still closed",
        (false, Transition::Closed { by_probe: false, .. }) => "closed",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::limit::clock::Wall;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_that_flaps_has_three_lines_in_ten_seconds_at_most_and_the_last_says_how_it_stands() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let events = EventLog::new("orders", "orders", "api", Wall::System);
        let pause = Duration::from_secs(26);
        let closed = |by_probe| Transition::Closed { reason: Reason::Throttled, pause, by_probe };
        let open = Transition::Opened { after: Duration::from_secs(1), outage: false };
        for second in 0..30 {
            for change in [closed(false), closed(true), open] {
                events.gate("endpoint", change);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
            if second % 10 == 9 {
                events.make_up();
            }
        }
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert!(lines.last().unwrap().contains("gate open"), "{text}");
        assert!(lines[0].contains("gate closed") && lines[0].contains("next_probe_seconds=26"), "{text}");
        assert!(lines.last().unwrap().contains("left_out=10"), "{text}");
    }
}
