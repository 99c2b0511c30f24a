//! The goals of docs/outages.md on a few cases; `cargo bench --bench outages` has all of them.

use queuepost::tuning::Tuning;

use super::outage::{
    Case, FULL_SPEED_MOST, Figures, IN_VAIN_MOST, Load, OF_BATCHES, SCENARIOS, Scenario, Sqs, USEFUL_LEAST,
    Variant, run,
};

fn ours(scenario: Scenario, processes: usize, load: Load, max_receives: u32) -> Figures {
    run(&Case {
        scenario,
        variant: Variant::Ours,
        processes,
        load,
        max_receives,
        seed: 2,
        tuning: Tuning::default(),
        sqs: Sqs::Works,
    })
}

fn named(name: &str) -> Scenario {
    *SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// A scenario with shorter parts.
fn shortened(name: &str, before: u64, lasts: u64, after: u64) -> Scenario {
    Scenario { before, lasts, after, ..named(name) }
}

#[test]
fn an_hour_of_429_or_of_a_dead_endpoint_dead_letters_nothing_of_a_hundred_messages() {
    for name in ["throttled", "throttled-1", "dead"] {
        for (processes, max_receives) in [(1, 3), (10, 3)] {
            let figures = ours(named(name), processes, Load::Backlog(100), max_receives);
            assert_eq!((figures.dead, figures.done), (0, 100), "{name}, {processes} processes: {figures:?}");
        }
    }
}

#[test]
fn after_ten_minutes_of_an_outage_a_backlog_is_at_full_speed_within_half_a_minute() {
    for (name, processes) in [("throttled", 1), ("dead", 1), ("hanging", 1), ("hanging", 4)] {
        let figures = ours(shortened(name, 10, 600, 40), processes, Load::Backlog(20_000), 3);
        assert_eq!(figures.dead, 0, "{name}: {figures:?}");
        let full_speed = figures.full_speed.unwrap_or_else(|| panic!("{name}: {figures:?}"));
        assert!(full_speed <= FULL_SPEED_MOST, "{name}: {figures:?}");
    }
}

#[test]
fn capacity_that_shrinks_and_comes_back_is_used_and_rarely_overrun() {
    for (processes, lasts, backlog) in [(1, 100, 30_000), (10, 200, 50_000)] {
        let scenario = shortened("capacity", lasts, lasts, lasts);
        let figures = ours(scenario, processes, Load::Backlog(backlog), 3);
        assert_eq!(figures.dead, 0, "{processes} processes: {figures:?}");
        assert!(figures.in_vain <= IN_VAIN_MOST, "{processes} processes: {figures:?}");
        assert!(figures.useful >= USEFUL_LEAST, "{processes} processes: {figures:?}");
    }
}

#[test]
fn a_rate_that_asks_for_pauses_of_a_second_is_used_and_rarely_overrun() {
    for processes in [1, 10] {
        let figures = ours(shortened("paced-1", 0, 240, 0), processes, Load::Backlog(20_000), 3);
        assert_eq!(figures.dead, 0, "{processes} processes: {figures:?}");
        assert!(figures.in_vain <= IN_VAIN_MOST, "{processes} processes: {figures:?}");
        assert!(figures.useful >= USEFUL_LEAST, "{processes} processes: {figures:?}");
    }
}

#[test]
fn the_probes_of_ten_processes_in_an_hour_of_429_are_few() {
    let figures = ours(named("throttled-1"), 10, Load::Backlog(100_000), 10);
    assert!(figures.in_vain <= IN_VAIN_MOST, "{figures:?}");
}

#[test]
fn what_arrives_in_a_deploy_is_not_dead_lettered_by_the_crowd_that_comes_after_it() {
    let figures = ours(named("deploy"), 10, Load::Steady, 3);
    assert_eq!(figures.dead, 0, "{figures:?}");
}

#[test]
fn a_fixed_pool_dead_letters_what_the_gate_saves() {
    let scenario = shortened("throttled", 10, 3_600, 600);
    let case = Case {
        scenario,
        variant: Variant::Pool,
        processes: 1,
        load: Load::Backlog(100),
        max_receives: 5,
        seed: 2,
        tuning: Tuning::default(),
        sqs: Sqs::Works,
    };
    assert_eq!(run(&case).dead, 100);
}

#[test]
fn neighbours_of_poison_messages_that_go_alone_on_their_final_receive_outlast_the_429s_of_their_crowd() {
    let poison = OF_BATCHES.into_iter().find(|scenario| scenario.poison).unwrap();
    let case = Case {
        scenario: poison,
        variant: Variant::Ours,
        processes: 1,
        load: Load::Batches(1_000),
        max_receives: 3,
        seed: 1,
        tuning: Tuning::default(),
        sqs: Sqs::Works,
    };
    let figures = run(&case);
    assert_eq!((figures.dead, figures.done), (0, figures.sent), "{figures:?}");
}

#[test]
fn equal_seeds_give_equal_figures() {
    let figures = || ours(shortened("capacity", 10, 10, 10), 4, Load::Backlog(5_000), 3);
    assert_eq!(figures(), figures());
}
