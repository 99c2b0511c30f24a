//! What must hold in every state, and what must be possible at all.

use stateright::{Model as _, Property};

use super::protocol::{Outcome, Protocol};
use super::state::{Entry, Place, Stage, State, Stored, Visibility};

pub const DELETED_AFTER: &str =
    "a message is deleted only after its success, and after what it owes was accepted";
pub const ONE_POST: &str = "no message is posted again by a process that has finished it";
pub const PARK_STAYS: &str = "no park is undone by an extension of its own process";
pub const IN_ORDER: &str = "no message of a group is posted before the one before it is gone";
pub const NOTHING_STUCK: &str = "whatever has happened, there is a next step until every message is gone";

/// All of them, as far as these sizes can show them.
pub fn all(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let mut all = vec![
        Property::always(DELETED_AFTER, |protocol, state: &State| {
            state
                .queue
                .iter()
                .all(|stored| stored.place != Place::Deleted || may_be_deleted(protocol, stored))
        }),
        Property::always(ONE_POST, |_, state: &State| {
            !is_posting(state, |process, message| state.processes[process].finished[message])
        }),
        Property::always(PARK_STAYS, |_, state: &State| {
            (0..state.queue.len()).all(|message| keeps_park(state, message))
        }),
        Property::always(IN_ORDER, |protocol, state: &State| {
            let is_behind =
                |message: usize| state.queue.iter().take(message).any(|before| before.place == Place::Here);
            !(protocol.is_fifo && is_posting(state, |_, message| is_behind(message)))
        }),
        Property::always(NOTHING_STUCK, |protocol, state: &State| {
            let mut steps = Vec::new();
            protocol.actions(state, &mut steps);
            !steps.is_empty() || state.queue.iter().all(|stored| stored.place != Place::Here)
        }),
        Property::sometimes("every message is deleted", |_, state: &State| {
            state.queue.iter().all(|stored| stored.place == Place::Deleted)
        }),
        Property::sometimes("SQS dead-letters a message", |_, state: &State| {
            state.queue.iter().any(|stored| stored.place == Place::DeadLettered)
        }),
        Property::sometimes("a message that is finished becomes visible again", |_, state: &State| {
            (0..state.queue.len()).any(|message| {
                let Stored { place, visibility, .. } = state.queue[message];
                let is_visible = (place, visibility) == (Place::Here, Visibility::Visible);
                is_visible && state.processes.iter().any(|process| process.finished[message])
            })
        }),
        Property::sometimes("both processes have a message in flight", |_, state: &State| {
            let [one, other] = &state.processes;
            one.entries.iter().zip(&other.entries).any(|(one, other)| one.is_some() && other.is_some())
        }),
    ];
    if protocol.extends && protocol.budget.lost > 0 && protocol.outcomes.contains(&Outcome::Throttled) {
        all.push(Property::sometimes("a park is to be sent once more", |_, state: &State| {
            state.processes.iter().any(|process| process.repeats.iter().any(Option::is_some))
        }));
    }
    all
}

fn may_be_deleted(protocol: &Protocol, stored: &Stored) -> bool {
    let is_finished = stored.succeeded || (stored.rejected && stored.copied);
    is_finished && (stored.result || !protocol.has_results)
}

fn any_entry(state: &State, is: impl Fn(usize, usize, &Entry) -> bool) -> bool {
    state.processes.iter().enumerate().any(|(process, works)| {
        let mut entries = works.entries.iter().enumerate();
        entries.any(|(message, entry)| entry.as_ref().is_some_and(|entry| is(process, message, entry)))
    })
}

fn is_posting(state: &State, is_wrong: impl Fn(usize, usize) -> bool) -> bool {
    any_entry(state, |process, message, entry| entry.stage == Stage::Posting && is_wrong(process, message))
}

/// A park that is confirmed, and not about to be sent once more, is what hides the message.
fn keeps_park(state: &State, message: usize) -> bool {
    let Visibility::Lease { undone: Some(by) } = state.queue[message].visibility else { return true };
    let process = &state.processes[by];
    !process.parked[message] || process.repeats[message].is_some()
}
