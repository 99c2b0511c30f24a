"""Wrong lines, put in on purpose: with each of them the scenario that it breaks must fail (docs/model.md).

Each goes into a copy of the sources, below target/. A line that the code has no more fails as well.
"""

import pathlib
import shutil
import subprocess
import sys

LINES = [
    # What is wrong; the scenario that must find it; the file; the line; the wrong one.
    ("a reservation is for one at least, although another was faster",
     "slots::receives_never_have_more_than_the_limit", "limit/slots.rs",
     "count = counts.free(ahead.most).min(most);",
     "count = counts.free(ahead.most).max(1).min(most);"),
    ("a slot more than there are with the run-ahead",
     "slots::receives_that_run_ahead_wait_until_there_are_enough", "limit/slots.rs",
     "let all = self.limit.saturating_add(ahead);",
     "let all = self.limit.saturating_add(2 * ahead);"),
    ("a higher limit wakes nobody",
     "slots::a_limit_that_grows_wakes_who_waits", "limit/slots.rs",
     "self.0.send_modify(|counts| {\n            (counts.limit, counts.bytes_max) ="
     " (limit.max(1), bytes.max(MESSAGE_BYTES_MAX));\n        });",
     "self.0.send_if_modified(|counts| {\n            (counts.limit, counts.bytes_max) ="
     " (limit.max(1), bytes.max(MESSAGE_BYTES_MAX));\n            false\n        });"),
    ("a reservation that is dropped keeps its slots",
     "slots::a_wait_that_is_dropped_reserves_nothing", "limit/slots.rs",
     "self.keep(0);",
     "self.keep(1);"),
    ("a session more than the cap",
     "sessions::posts_never_have_more_than_the_cap", "limit/sessions/mod.rs",
     "if self.running >= self.limit() {",
     "if self.running > self.limit() {"),
    ("a session more than the listener's own cap",
     "sessions::a_listener_never_has_more_than_its_own_cap", "limit/sessions/mod.rs",
     "self.running < self.cap\n",
     "self.running <= self.cap\n"),
    ("a lower cap holds only from the next change on",
     "sessions::a_cap_that_shrinks_holds_from_then_on", "limit/sessions/mod.rs",
     "state.caps.sessions = cap.max(1);\n            state.share_out();",
     "state.share_out();\n            state.caps.sessions = cap.max(1);"),
    ("a higher cap grants nothing to who waits",
     "sessions::a_cap_that_grows_lets_who_waits_start", "limit/sessions/mod.rs",
     "self.change(|state| {\n            state.caps.sessions = cap.max(1);\n            state.share_out();\n        });",
     "let mut state = self.lock();\n        state.caps.sessions = cap.max(1);\n        state.share_out();"),
    ("a session granted to one that gives up is lost",
     "sessions::who_gives_up_takes_no_session_along", "limit/sessions/membership.rs",
     "state.pacer.undo(granted.counted);\n                state.ended(self.key);",
     "state.pacer.undo(granted.counted);"),
    ("one that gives up stays in the line",
     "sessions::who_gives_up_takes_no_session_along", "limit/sessions/membership.rs",
     "listener.line.retain(|(number, _)| *number != self.number);",
     "listener.line.retain(|(number, _)| *number <= self.number);"),
    ("room that comes free between look and wait is told to nobody",
     "sessions::who_waits_for_room_gets_it_past_one_that_gives_up", "limit/sessions/mod.rs",
     "is_some_and(|wanted| state.room_for(wanted).is_some()) {\n            self.room.notify_one();",
     "is_some_and(|wanted| state.room_for(wanted).is_some()) {\n            self.room.notify_waiters();"),
    ("nobody takes over from the one that waits for the time",
     "sessions::who_waits_for_the_rate_starts_past_one_that_gives_up", "limit/sessions/mod.rs",
     "let _only_one = self.next_start.lock().await;",
     "let Ok(_only_one) = self.next_start.try_lock() else { return std::future::pending().await };"),
    ("who waits is not sent away",
     "sessions::a_listener_that_stands_by_sends_everybody_away", "limit/sessions/membership.rs",
     "listener.line.clear();",
     "listener.line.truncate(1);"),
    ("a share that comes grants nothing to who waits",
     "sessions::a_share_that_comes_back_lets_who_waits_start", "limit/sessions/mod.rs",
     "self.change(|state| {\n            state.caps.share = share;\n            state.share_out();\n        });",
     "let mut state = self.lock();\n        state.caps.share = share;\n        state.share_out();"),
    ("one probe more",
     "gates::one_probe_at_a_time_and_a_success_lets_everybody_go", "limit/gate/state.rs",
     "if closed.out.len() >= most {",
     "if closed.out.len() > most {"),
    ("a gate that opens wakes one",
     "gates::one_probe_at_a_time_and_a_success_lets_everybody_go", "limit/gate/mod.rs",
     "self.changed.notify_waiters();",
     "self.changed.notify_one();"),
    ("a gate that opens between look and wait tells nobody",
     "gates::one_probe_at_a_time_and_a_success_lets_everybody_go", "limit/gate/mod.rs",
     "let changed = self.changed.notified();\n            tokio::pin!(changed);\n"
     "            changed.as_mut().enable();\n            let looked = look(&mut self.lock());",
     "let looked = look(&mut self.lock());\n            let changed = self.changed.notified();"),
    ("a probe that is dropped tells nobody",
     "gates::a_probe_that_is_dropped_passes_the_turn_on", "limit/gate/mod.rs",
     "self.gate.change(|state| state.leave(self.place));",
     "self.gate.lock().leave(self.place);"),
    ("any success opens",
     "gates::what_ran_when_it_closed_opens_nothing", "limit/gate/state.rs",
     "(None, _) => None,",
     "(None, _) => self.open(is_success),"),
    ("a park does not wait for an extension under way",
     "leases::a_park_is_not_undone_by_an_extension", "pipeline/lease/table.rs",
     "if !self.entry(|entry| entry.extending).unwrap_or(false) {",
     "if self.entry(|entry| entry.extending).is_some() {"),
    ("an answer between look and wait tells nobody",
     "leases::a_park_is_not_undone_by_an_extension", "pipeline/lease/table.rs",
     "let answered = self.table.answered.notified();\n"
     "            if !self.entry(|entry| entry.extending).unwrap_or(false) {\n"
     "                return;\n            }\n            answered.await;",
     "if !self.entry(|entry| entry.extending).unwrap_or(false) {\n"
     "                return;\n            }\n            self.table.answered.notified().await;"),
    ("a closed lease is extended when its message comes again",
     "leases::a_park_is_not_undone_although_the_message_comes_again", "pipeline/lease/table.rs",
     "if entry.hidden_until.is_some() || entry.extending {",
     "if entry.extending {"),
    ("what is settled keeps its lease",
     "leases::nothing_is_extended_after_its_settlement", "pipeline/lease/table.rs",
     "self.end(Some(how));",
     "self.enter(Stage::Settling);\n        std::mem::forget((self, how));"),
    ("a receive of a message in flight is not counted",
     "leases::every_receive_is_settled_once", "pipeline/lease/table.rs",
     "entry.receives += 1;",
     "entry.receives += 0;"),
    ("a released message that comes again counts as in flight",
     "leases::a_released_message_that_comes_again_has_a_lease_of_its_own", "pipeline/lease/table.rs",
     "(!is_over).then_some((key, entry))",
     "(!is_over || entry.ended.is_none()).then_some((key, entry))"),
    ("the end of an old lease forgets the new one of the message",
     "leases::a_released_message_that_comes_again_has_a_lease_of_its_own", "pipeline/lease/table.rs",
     "if self.by_id.get(&entry.id) == Some(&key) {",
     "if self.by_id.contains_key(&entry.id) {"),
]


def main(arguments):
    gone = [(what, file) for what, _, file, line, _ in LINES if (pathlib.Path("src") / file).read_text().count(line) != 1]
    for what, file in gone:
        print(f"src/{file} has no such line, or several: {what}. Mend tests/interleave/wrong_lines.py", file=sys.stderr)
    if gone or arguments == ["there"]:
        sys.exit(min(len(gone), 1))
    copy = pathlib.Path("target/interleave/wrong")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree("src", copy / "src")
    shutil.copytree("tests/interleave", copy / "tests/interleave")
    # Another name: what cargo has built of the one it does not take for the other.
    for file in ("Cargo.toml", "Cargo.lock"):
        manifest = copy / "tests/interleave" / file
        manifest.write_text(manifest.read_text().replace('name = "interleave"', 'name = "interleave-wrong"'))
    found = sum(finds(copy, line, arguments) for line in LINES)
    print(f"{found} of {len(LINES)} wrong lines found")
    sys.exit(min(len(LINES) - found, 1))


def finds(copy, line, arguments):
    """Whether the scenario fails with this wrong line."""
    what, scenario, file, right, wrong = line
    source = (pathlib.Path("src") / file).read_text()
    (copy / "src" / file).write_text(source.replace(right, wrong))
    run = ["cargo", "run", "--quiet", "--locked", "--manifest-path", str(copy / "tests/interleave/Cargo.toml"), "--"]
    result = subprocess.run(run + arguments, capture_output=True, text=True)
    (copy / "src" / file).write_text(source)
    broken = [row.split()[-1] for row in result.stdout.splitlines() if row.startswith("BROKEN")]
    if scenario in broken:
        print(f"found   {what}: {', '.join(broken)}", flush=True)
        return True
    print(f"MISSED  {what}: {scenario} holds; broken: {broken}\n{result.stderr[-2000:]}", flush=True)
    return False


main(sys.argv[1:])
