//! Nothing goes round in circles for good: from every state there is a way on which every message leaves the queue.

use std::collections::{BTreeMap, VecDeque};

use stateright::{Model as _, Representative as _};

use super::protocol::Protocol;
use super::state::{Place, State};
use super::{NO_TROUBLE, fifo, standard};

/// Numbers of states, and for each those that lead to it.
fn explore(protocol: &Protocol) -> (Vec<State>, Vec<Vec<usize>>) {
    let (mut states, mut numbers) = (protocol.init_states(), BTreeMap::new());
    let mut before = vec![Vec::new()];
    numbers.insert(states[0].clone(), 0);
    let mut next = 0;
    while let Some(state) = states.get(next).cloned() {
        for reached in protocol.next_states(&state) {
            let reached = reached.representative();
            let number = *numbers.entry(reached.clone()).or_insert(states.len());
            if number == states.len() {
                states.push(reached);
                before.push(Vec::new());
            }
            before[number].push(next);
        }
        next += 1;
    }
    (states, before)
}

fn can_end(protocol: &Protocol) {
    let (states, before) = explore(protocol);
    let is_end = |state: &State| state.queue.iter().all(|stored| stored.place != Place::Here);
    let mut ends: Vec<bool> = states.iter().map(is_end).collect();
    let mut open: VecDeque<usize> = (0..states.len()).filter(|number| ends[*number]).collect();
    while let Some(number) = open.pop_front() {
        for &earlier in &before[number] {
            if !std::mem::replace(&mut ends[earlier], true) {
                open.push_back(earlier);
            }
        }
    }
    let stuck = ends.iter().position(|ends| !ends).map(|number| &states[number]);
    assert_eq!(stuck, None, "no message leaves any more");
    println!("model: every message can leave from each of {} states", states.len());
}

#[test]
fn from_every_state_every_message_can_still_leave() {
    can_end(&Protocol { has_results: true, budget: NO_TROUBLE, ..standard() });
    can_end(&Protocol { max_receives: 1, ..standard() });
    can_end(&Protocol { max_receives: 1, ..fifo() });
    can_end(&Protocol { budget: NO_TROUBLE, max_receives: 3, ..standard() });
}
