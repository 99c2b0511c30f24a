//! What a process has of the caps in a fleet, and without one.

use std::num::NonZeroU32;

use super::*;
use crate::limit;

fn fleet() -> Fleet {
    Fleet::new(SocketAddr::from(([127, 0, 0, 1], 9464)))
}

fn endpoint(sessions: usize) -> EndpointLimits {
    EndpointLimits::new("api", &limit::Settings::divided(sessions), 1)
}

fn fixed(processes: u32, workers: bool) -> Settings {
    Settings { source: Source::Fixed(NonZeroU32::new(processes).unwrap()), workers }
}

#[tokio::test(start_paused = true)]
async fn without_a_fleet_everything_is_this_process_s_and_with_one_that_is_counted_nothing_before_it_was() {
    let mut fleet = fleet();
    let shares = fleet.shares();
    let share = || shares.standing.borrow().share("api");
    assert_eq!(share(), Share::WHOLE);
    let source = Source::Dns { name: "queuepost.invalid".to_owned(), server: None };
    fleet.follow(Some(&Settings { source, workers: false }));
    assert_eq!(share(), Share::NONE);
    fleet.follow(None);
    assert_eq!(share(), Share::WHOLE);
    assert!(fleet.looking.join_next().await.unwrap().unwrap_err().is_cancelled());
}

#[test]
fn workers_are_divided_if_that_is_asked_for_and_who_has_no_session_stands_by() {
    let mut fleet = fleet();
    let (shares, api) = (fleet.shares(), endpoint(3));
    let of_ten = |fleet: &mut Fleet, settings| {
        fleet.follow(Some(&settings));
        api.sessions.set_share(shares.standing.borrow().share("api"));
        shares.of_listener(&api).of(10)
    };
    assert_eq!(of_ten(&mut fleet, fixed(3, false)), 10);
    assert_eq!(of_ten(&mut fleet, fixed(3, true)), 3);
    assert_eq!(of_ten(&mut fleet, fixed(4, false)), 0);
}
