//! The goals, checked against the rows of queuepost with default settings.

use crate::outage::{Behaviour, Variant};
use crate::outage::{FULL_SPEED_MOST, IN_VAIN_MOST, Load, Refusal, USEFUL_LEAST};
use crate::page::{backlog, percent, seconds};
use crate::runs::Row;

/// A goal and its result.
pub struct Goal {
    pub text: String,
    pub holds: bool,
    /// The worst row.
    pub worst: String,
}

/// All goals.
pub fn all(rows: &[Row]) -> Vec<Goal> {
    let ours = || rows.iter().filter(|row| row.variant == Variant::Ours && is_plain(row.load));
    let poisoned = rows
        .iter()
        .filter(|row| row.variant == Variant::Ours && row.load.is_batched() && row.scenario.poison);
    let many = || ours().filter(|row| !row.load.is_small());
    let patient = many().filter(|row| !asks_for_long(row));
    // A stream at a shrunken endpoint counts as small load: each process posts at least one at a time.
    let throttled =
        many().filter(|row| row.scenario.refusal == Refusal::Throttled && row.load != Load::Steady);
    let ending = many().filter(|row| row.scenario.after > 0 && has_backlog_at_the_end(row));
    let least = percent(USEFUL_LEAST);
    vec![
        goal(
            "no healthy message dead-lettered, for every backlog from 100 on".to_owned(),
            ours().filter(|row| row.load != Load::Backlog(1)),
            most_dead,
            |dead| dead < 0.5,
            |dead| format!("{dead:.0}"),
        ),
        goal(
            "no healthy message dead-lettered beside a poison message of its batch".to_owned(),
            poisoned,
            most_dead,
            |dead| dead < 0.5,
            |dead| format!("{dead:.0}"),
        ),
        goal(
            format!(
                "at least {least} of the useful throughput, unless pauses of more than a second are asked for"
            ),
            patient,
            |row| -row.last().useful,
            |useful| -useful >= USEFUL_LEAST,
            |useful| percent(-useful),
        ),
        goal(
            format!("at most {} of the POSTs answered 429, for 100,000 messages", percent(IN_VAIN_MOST)),
            throttled,
            |row| row.last().in_vain,
            |share| share <= IN_VAIN_MOST,
            percent,
        ),
        goal(
            format!(
                "full speed within {} of the end, if there is a backlog for it",
                seconds(FULL_SPEED_MOST)
            ),
            ending,
            |row| row.last().full_speed.map_or(f64::INFINITY, |after| after.as_secs_f64()),
            |after| after <= FULL_SPEED_MOST.as_secs_f64(),
            |after| if after.is_finite() { format!("{after:.0} s") } else { "never".to_owned() },
        ),
    ]
}

/// Whether single messages of a standard queue are what there is to do.
fn is_plain(load: Load) -> bool {
    !load.is_fifo() && !load.is_batched()
}

/// Dead-lettered messages at the max receives with the most of them.
fn most_dead(row: &Row) -> f64 {
    row.figures.iter().map(|figures| figures.dead as f64).fold(0.0, f64::max)
}

fn goal<'a>(
    text: String,
    rows: impl Iterator<Item = &'a Row>,
    badness: impl Fn(&Row) -> f64,
    holds: impl Fn(f64) -> bool,
    show: impl Fn(f64) -> String,
) -> Goal {
    let worst = rows.map(|row| (badness(row), row)).max_by(|(one, _), (other, _)| one.total_cmp(other));
    let Some((value, row)) = worst else {
        return Goal { text, holds: true, worst: "no such row".to_owned() };
    };
    let place = format!("{}, {} processes, {}", row.scenario.name, row.processes, backlog(row.load));
    Goal { text, holds: holds(value), worst: format!("{} ({place})", show(value)) }
}

/// Whether the endpoint asks for pauses of more than a second.
fn asks_for_long(row: &Row) -> bool {
    match row.scenario.outage {
        Behaviour::Answers { retry_after, .. } | Behaviour::Paced { retry_after, .. } => {
            retry_after.is_some_and(|pause| pause.as_secs_f64() > 1.0)
        }
        Behaviour::Takes(_) | Behaviour::Unreachable | Behaviour::Hangs => false,
    }
}

/// Whether full speed can be reached: a steady stream leaves no backlog where the endpoint takes it during
/// the outage.
fn has_backlog_at_the_end(row: &Row) -> bool {
    row.load != Load::Steady || !row.scenario.is_partial()
}
