//! A model of the settlement protocol, explored in every state for small sizes (docs/model.md).
//!
//! The steps have the names of the code's functions, and `names` holds them to that. Each flaw is a wrong line: the checker
//! must find what it breaks. `QUEUEPOST_MODEL=large` explores more calls that are lost, deaths and receives.
#![allow(
    clippy::struct_excessive_bools,
    clippy::trivially_copy_pass_by_ref,
    reason = "a state says yes or no to each of many questions, and is small"
)]

mod ends;
mod flaw;
mod names;
mod process;
mod properties;
mod protocol;
mod sqs;
mod state;
mod work;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use tokio::time::Instant;

use flaw::Flaw;
use properties::{DELETED_AFTER, IN_ORDER, ONE_POST, PARK_STAYS};
use protocol::{Outcome, Protocol};
use state::Budget;

const THREADS: usize = 2;
const NO_TROUBLE: Budget = Budget { lost: 0, crashes: 0, twice: 0 };
const ONE_CALL_LOST: Budget = Budget { lost: 1, ..NO_TROUBLE };

/// One message of a standard queue.
fn standard() -> Protocol {
    Protocol {
        is_fifo: false,
        has_results: false,
        extends: true,
        outcomes: &[Outcome::Success, Outcome::Throttled],
        messages: 1,
        max_receives: 2,
        budget: ONE_CALL_LOST,
        flaw: None,
    }
}

/// Two messages of one group.
fn fifo() -> Protocol {
    Protocol { is_fifo: true, extends: false, messages: 2, ..standard() }
}

fn is_large() -> bool {
    std::env::var_os("QUEUEPOST_MODEL").is_some_and(|size| size == "large")
}

/// Explores every state, and finds every property as it should be.
fn holds(name: &str, protocol: Protocol) {
    let began = Instant::now();
    let checker = protocol.checker().threads(THREADS).symmetry().spawn_dfs().join();
    let (states, depth, took) = (checker.unique_state_count(), checker.max_depth(), began.elapsed());
    println!("model: {name}: {states} states, up to {depth} steps, {took:.1?}");
    checker.assert_properties();
    assert!(checker.is_done());
}

/// Finds the counterexample of a wrong line, and none without it.
fn breaks(property: &'static str, flaw: Flaw, protocol: &Protocol) {
    let found = HasDiscoveries::AnyOf([property].into());
    let checker = Protocol { flaw: Some(flaw), ..protocol.clone() }.checker();
    let checker = checker.finish_when(found).spawn_bfs().join();
    let path = checker.discovery(property).unwrap_or_else(|| panic!("{flaw:?} breaks nothing"));
    let (steps, states) = (path.into_actions(), checker.unique_state_count());
    println!("model: {flaw:?}: found after {states} states, in {} steps: {steps:?}", steps.len());
}

#[test]
fn every_state_of_a_standard_queue_keeps_the_promises() {
    let all = Budget { lost: 1, crashes: 1, twice: 1 };
    holds("standard, results", Protocol { has_results: true, budget: all, ..standard() });
    let outcomes = &[Outcome::Success, Outcome::Rejected];
    holds("standard, dead-letter copies", Protocol { outcomes, ..standard() });
    let budget = Budget { lost: 0, ..all };
    holds("standard, three receives", Protocol { max_receives: 3, budget, ..standard() });
}

#[test]
fn every_state_of_a_fifo_group_keeps_the_promises() {
    let outcomes = &[Outcome::Success];
    holds("FIFO, one lost", Protocol { outcomes, ..fifo() });
    holds("FIFO, 429", Protocol { budget: NO_TROUBLE, ..fifo() });
}

#[test]
fn large_sizes_keep_the_promises() {
    if !is_large() {
        println!("model: the large sizes are explored with QUEUEPOST_MODEL=large");
        return;
    }
    let all = Budget { lost: 1, crashes: 1, twice: 1 };
    holds("large: standard", Protocol { max_receives: 3, has_results: true, budget: all, ..standard() });
    let budget = Budget { lost: 2, ..NO_TROUBLE };
    holds("large: standard, two lost", Protocol { max_receives: 3, budget, ..standard() });
    let budget = Budget { twice: 0, ..all };
    holds("large: FIFO", Protocol { budget, ..fifo() });
    holds("large: FIFO, extensions", Protocol { budget: NO_TROUBLE, extends: true, ..fifo() });
    holds("large: FIFO, three receives", Protocol { max_receives: 3, budget: NO_TROUBLE, ..fifo() });
}

#[test]
fn a_delete_before_its_results_is_found() {
    let protocol = Protocol { has_results: true, budget: NO_TROUBLE, ..standard() };
    breaks(DELETED_AFTER, Flaw::DeletesBeforeResults, &protocol);
}

#[test]
fn a_memory_that_forgets_what_is_finished_is_found() {
    breaks(ONE_POST, Flaw::ForgetsFinishes, &standard());
}

#[test]
fn each_way_in_which_an_extension_could_undo_a_park_is_found() {
    let quiet = Protocol { budget: NO_TROUBLE, ..standard() };
    breaks(PARK_STAYS, Flaw::ExtendsAfterPark, &quiet);
    breaks(PARK_STAYS, Flaw::DoesNotWaitForExtension, &quiet);
    breaks(PARK_STAYS, Flaw::ParksOnce, &standard());
    breaks(PARK_STAYS, Flaw::TrustsLaterExtension, &standard());
}

#[test]
fn each_way_in_which_a_successor_could_start_too_soon_is_found() {
    breaks(IN_ORDER, Flaw::TrustsUnconfirmedDelete, &Protocol { outcomes: &[Outcome::Success], ..fifo() });
    breaks(IN_ORDER, Flaw::JoinsBehindCopy, &Protocol { budget: NO_TROUBLE, ..fifo() });
}
