//! Tells the terminal how a piece of work goes: lines on standard error, ids on standard output, and a bar.

use crate::cli::progress::Progress;
use crate::cli::{complain, complain_of, print_lines};
use crate::hands::Report;
use crate::ports::QueueError;

/// The terminal, with a bar once messages are moved.
#[derive(Default)]
pub(super) struct Told(Option<Progress>);

impl Told {
    /// Removes the bar, so that other output may follow.
    pub(super) fn clear(&mut self) {
        if let Some(progress) = &mut self.0 {
            progress.clear();
        }
    }
}

impl Report for Told {
    fn say(&mut self, words: &str) {
        self.clear();
        complain(&words);
    }

    fn fail(&mut self, error: &QueueError) {
        self.clear();
        complain_of(error);
    }

    fn begin(&mut self, _by_hand: bool, total: u64) {
        self.clear();
        self.0 = Some(Progress::new("moved", Some(total)));
    }

    fn count(&mut self, moved: u64, _failed: u64) {
        if let Some(progress) = &mut self.0 {
            progress.show(moved);
        }
    }

    fn moved(&mut self, new: &str, old: &str) {
        self.clear();
        print_lines([format!("{new} {old}").as_str()]).ok();
    }
}
