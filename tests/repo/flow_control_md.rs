//! `docs/flow-control.md` names every mechanism of flow control, and no other.
//!
//! Its figures come from a bench that takes minutes, so the names and purposes alone are compared.

use std::fs;
use std::path::Path;

use queuepost::tuning::Tuning;

use crate::sim::outage::{Case, MECHANISMS, SCENARIOS, Sqs, Variant};

#[test]
fn the_page_of_flow_control_names_exactly_the_mechanisms_there_are() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flow-control.md")).unwrap();
    let rows: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| [")?.split_once("](#")?;
            Some((name, rest.split(" | ").nth(1)?))
        })
        .collect();
    let expected: Vec<(&str, &str)> =
        MECHANISMS.iter().map(|mechanism| (mechanism.name, mechanism.purpose)).collect();
    assert_eq!(rows, expected, "rewrite it with: cargo bench --bench outages -- --flow-control --write");
}

#[test]
fn every_mechanism_can_be_switched_off_and_has_rows_that_can_show_it() {
    for mechanism in MECHANISMS {
        let load = mechanism.rows[0].load;
        let with = Case {
            scenario: SCENARIOS[0],
            variant: Variant::Ours,
            processes: 1,
            load,
            max_receives: 3,
            seed: 1,
            tuning: Tuning::default(),
            sqs: Sqs::Works,
        };
        let mut without = with;
        (mechanism.without)(&mut without);
        assert_ne!(with, without, "{} is not switched off", mechanism.name);
        assert!(mechanism.rows.len() >= 2, "{} has too few rows", mechanism.name);
        assert!(mechanism.purpose.ends_with('.'), "{} says no sentence", mechanism.name);
    }
}
