//! The steps of the model are the code's: each function that a step stands for exists in its file.

use std::path::Path;

/// Steps and functions of the model, and the function and file that each stands for.
const NAMES: &[(&str, &str, &str)] = &[
    ("Receive", "receive", "intake/receive.rs"),
    ("register", "register", "intake/task.rs"),
    ("begin", "begin", "lease/table.rs"),
    ("join", "join", "group.rs"),
    ("settle_remembered", "settle_remembered", "sift.rs"),
    ("attempt", "attempt", "attempt.rs"),
    ("leave_to_sqs", "leave_to_sqs", "in_flight.rs"),
    ("way_out", "way_out", "in_flight.rs"),
    ("release", "release", "in_flight.rs"),
    ("settle", "settle", "settle/settler.rs"),
    ("left", "left", "memory.rs"),
    ("confirmed", "confirmed", "memory.rs"),
    ("seen", "seen", "memory.rs"),
    ("close", "close", "lease/table.rs"),
    ("closed", "closed", "settle.rs"),
    ("end", "end", "lease/table.rs"),
    ("tell", "tell", "settle/exit.rs"),
    ("goes_on", "goes_on", "runs.rs"),
    ("take_due", "take_due", "lease/extender.rs"),
    ("extended", "extended", "lease/extender.rs"),
    ("send", "send", "settle/lane.rs"),
    ("Entry", "entry", "settle/lane.rs"),
    ("done", "done", "settle.rs"),
    ("failed", "failed", "settle/lane.rs"),
    ("give_up", "give_up", "settle/lane.rs"),
    ("repeat", "repeat", "settle.rs"),
    ("ends_with_its_lease", "ends_with_its_lease", "settle/job.rs"),
];

#[test]
fn every_step_has_the_name_of_a_function_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let files =
        ["process.rs", "protocol.rs", "state.rs", "work.rs"].map(|file| read(&format!("tests/model/{file}")));
    let model = files.concat();
    for (step, function, file) in NAMES {
        let code = read(&format!("src/pipeline/{file}"));
        assert!(code.contains(&format!("fn {function}(")), "{file} has no function {function}");
        let is_step = model.contains(&format!("    {step} {{")) || model.contains(&format!("fn {step}("));
        assert!(is_step, "the model has no step {step}");
    }
}
