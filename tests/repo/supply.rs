//! What the program is made of: the oldest compiler, where dependencies come from, and what may be an exception.
//!
//! `.ci/supply` holds dependencies to `deny.toml`. What can be read off the files is held here, where it needs no program.

use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

/// The text behind `key = "` at the beginning of a line.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
    line.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn the_oldest_compiler_that_is_promised_is_the_one_that_builds_and_tests_it() {
    let (manifest, toolchain) = (read("Cargo.toml"), read("rust-toolchain.toml"));
    let (promised, used) = (value(&manifest, "rust-version"), value(&toolchain, "channel"));
    assert_eq!(
        used.rsplit_once('.').map(|(minor, _)| minor),
        Some(promised),
        "rust-toolchain.toml has {used}"
    );
}

#[test]
fn unsafe_code_is_forbidden() {
    assert_eq!(value(&read("Cargo.toml"), "unsafe_code"), "forbid");
    assert!(!read("src/lib.rs").contains("allow(unsafe"), "nothing may lift it");
}

#[test]
fn what_the_lock_file_has_comes_from_the_registry_with_its_checksum() {
    let lock = read("Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]\n").skip(1).collect();
    assert!(packages.len() > 200, "only {} packages", packages.len());
    for package in packages {
        let name = value(package, "name");
        if name != "queuepost" {
            let source = value(package, "source");
            assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}");
            assert_eq!(value(package, "checksum").len(), 64, "{name}");
        }
    }
}

#[test]
fn ci_holds_dependencies_to_deny_toml() {
    let (ci, supply, rules) = (read(".ci/run"), read(".ci/supply"), read("deny.toml"));
    assert!(ci.lines().any(|line| line == ".ci/supply"), ".ci/run does not run it");
    for check in ["check deny.toml licenses bans sources", "check deny.toml advisories"] {
        assert!(supply.lines().any(|line| line.trim_start().starts_with(check)), "{check}");
    }
    assert!(supply.contains("--deny warnings") && supply.ends_with("exit \"$failed\"\n"));
    for section in ["[advisories]", "[licenses]", "[bans]", "[sources]"] {
        assert!(rules.lines().any(|line| line == section), "{section}");
    }
}

#[test]
fn each_exception_of_deny_toml_has_its_reason() {
    let rules = read("deny.toml");
    let entries: Vec<&str> =
        rules.lines().filter(|line| line.trim_start().starts_with("{ crate = ")).collect();
    assert!(entries.len() > 10, "only {} entries", entries.len());
    for entry in entries {
        let reason = entry.split_once("reason = \"").map_or("", |(_, reason)| reason);
        assert!(reason.len() > 10, "{entry}");
    }
}
