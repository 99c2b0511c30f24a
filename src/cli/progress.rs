//! One line that says how far a command has come: on a terminal it is written over, elsewhere now and then anew.

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::terminal::{begin_line, complain};

/// Characters of the bar.
const WIDTH: u64 = 30;
/// Time between two lines where there is no terminal.
const LINES_EVERY: Duration = Duration::from_secs(10);

/// How far a command has come.
pub(super) struct Progress {
    /// What is done to messages: `moved`.
    verb: &'static str,
    total: Option<u64>,
    on_terminal: bool,
    shown: usize,
    last_line: Instant,
}

impl Progress {
    pub(super) fn new(verb: &'static str, total: Option<u64>) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        Self { verb, total, on_terminal, shown: 0, last_line: Instant::now() }
    }

    /// Shows that `done` messages are done.
    pub(super) fn show(&mut self, done: u64) {
        if self.on_terminal {
            self.clear();
            let line = line(self.verb, done, self.total);
            begin_line(&line);
            self.shown = line.chars().count();
        } else if self.last_line.elapsed() >= LINES_EVERY {
            self.last_line = Instant::now();
            complain(&line(self.verb, done, self.total));
        }
    }

    /// Removes the line, so that other output may follow.
    pub(super) fn clear(&mut self) {
        if self.shown > 0 {
            begin_line(&" ".repeat(self.shown));
            begin_line("");
            self.shown = 0;
        }
    }
}

fn line(verb: &str, done: u64, total: Option<u64>) -> String {
    let Some(total) = total.filter(|&total| total > 0) else { return format!("{done} {verb}") };
    let full = done.min(total).saturating_mul(WIDTH).checked_div(total).unwrap_or_default();
    let bar: String = (0..WIDTH).map(|at| if at < full { '#' } else { '.' }).collect();
    format!("[{bar}] {done} of about {total} {verb}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_end_and_not_longer_when_there_was_more_than_thought() {
        assert_eq!(line("moved", 7, None), "7 moved");
        assert_eq!(
            line("moved", 15, Some(30)),
            format!("[{}{}] 15 of about 30 moved", "#".repeat(15), ".".repeat(15))
        );
        assert_eq!(line("moved", 40, Some(30)), format!("[{}] 40 of about 30 moved", "#".repeat(30)));
    }
}
