//! Slots, sessions, gate and lease table under a scheduler that chooses who runs next, at every lock and every wait
//! (docs/model.md).
//!
//! The files under test are those of `src/`, unchanged. What they take from `std` and `tokio` is replaced: locks and atomics
//! are points of choice, and time stands still. A task that nobody wakes ends in a deadlock, which is found.
//!
//! Arguments: schedules per scenario and scheduler, seed.

#![allow(dead_code, unused_imports, reason = "the scenarios use a part of what the files under test offer")]

extern crate interleaved_std as std;

#[path = "../../src/limit/mod.rs"]
mod limit;
#[path = "../../src/tuning/mod.rs"]
mod tuning;

#[path = "../../src"]
mod plain {
    pub(crate) mod message;
}
use plain::message;

#[path = "../../src/policy"]
mod policy {
    pub(crate) mod backoff;
    pub(crate) mod visibility;

    #[path = "../../tests/interleave/neighbours/decide.rs"]
    pub(crate) mod decide;
}

#[path = "../../src/observe"]
mod observe {
    pub(crate) mod failing;
    pub(crate) mod health;

    #[path = "../../tests/interleave/neighbours/event_log.rs"]
    pub(crate) mod event_log;
}

#[path = "../../src/telemetry"]
mod telemetry {
    pub(crate) mod labels;

    #[path = "../../tests/interleave/neighbours/handles.rs"]
    pub(crate) mod handles;
}

#[path = "neighbours/ports.rs"]
mod ports;

#[path = "../../src/pipeline"]
mod pipeline {
    mod lease;
    mod ledger;
    mod panics;

    #[path = "../../tests/interleave/leases.rs"]
    pub(crate) mod leases;
}
use pipeline::leases;

mod gates;
mod sessions;
mod slots;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, Scheduler, UncontrolledNondeterminismCheckScheduler as Twice,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Schedules of each scenario, by each scheduler, unless an argument says otherwise.
const SCHEDULES: usize = 1_500;
/// More steps mean that tasks wake each other for ever.
const STEPS_MAX: usize = 20_000;
/// Switches that the scheduler forces which runs a task for long: most races need one or two.
const SWITCHES: usize = 3;

/// What must hold, and the tasks that try to break it.
struct Scenario {
    name: &'static str,
    run: fn(),
}

/// A scenario, named as its function.
macro_rules! scenarios {
    ($($area:ident: $($name:ident)+;)+) => {
        [$($(Scenario {
            name: concat!(stringify!($area), "::", stringify!($name)),
            run: || shuttle::future::block_on($area::$name()),
        },)+)+]
    };
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(schedules), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(SCHEDULES as u64)), arguments.next().unwrap_or(Ok(1)))
    else {
        eprintln!("usage: interleave [SCHEDULES [SEED]]");
        return ExitCode::from(2);
    };
    let mut found = 0;
    for scenario in scenarios! {
        slots: receives_never_have_more_than_the_limit
            a_limit_that_grows_wakes_who_waits
            receives_that_run_ahead_wait_until_there_are_enough
            a_wait_that_is_dropped_reserves_nothing;
        sessions: posts_never_have_more_than_the_cap
            a_listener_never_has_more_than_its_own_cap
            a_cap_that_shrinks_holds_from_then_on
            a_cap_that_grows_lets_who_waits_start
            who_gives_up_takes_no_session_along
            who_waits_for_room_gets_it_past_one_that_gives_up
            who_waits_for_the_rate_starts_past_one_that_gives_up
            a_listener_that_stands_by_sends_everybody_away
            a_share_that_comes_back_lets_who_waits_start;
        gates: one_probe_at_a_time_and_a_success_lets_everybody_go
            a_probe_that_is_dropped_passes_the_turn_on
            what_ran_when_it_closed_opens_nothing;
        leases: a_park_is_not_undone_by_an_extension
            a_park_is_not_undone_although_the_message_comes_again
            nothing_is_extended_after_its_settlement
            every_receive_is_settled_once
            a_released_message_that_comes_again_has_a_lease_of_its_own;
    } {
        let begun = Instant::now();
        let schedules = schedules as usize;
        // Twice: a schedule that does not repeat itself could not be looked into.
        let passed = tried(&scenario, Twice::new(RandomScheduler::new_from_seed(seed, schedules)))
            && tried(&scenario, PctScheduler::new_from_seed(seed, SWITCHES, schedules));
        found += u32::from(!passed);
        let (what, took) = (if passed { "holds" } else { "BROKEN" }, begun.elapsed().as_secs_f64());
        println!("{what:6} {took:5.1} s  {}", scenario.name);
    }
    ExitCode::from(u8::from(found > 0))
}

/// Runs a scenario under all schedules that this scheduler makes; whether everything held.
fn tried(scenario: &Scenario, scheduler: impl Scheduler + 'static) -> bool {
    let mut config = Config::new();
    // The same arguments make the same schedules.
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    let run = scenario.run;
    let schedule = move || {
        tokio::time::start_over();
        run();
    };
    catch_unwind(AssertUnwindSafe(move || Runner::new(scheduler, config).run(schedule))).is_ok()
}
