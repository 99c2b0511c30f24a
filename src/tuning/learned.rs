//! Numbers of what is learned of an endpoint: its limits, and what its headers are worth.

use std::time::Duration;

/// The learned limit of an endpoint; its module says what each does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learned {
    /// POSTs at once of a new process: six doublings reach 64. With four more limiters of a model missed a goal.
    pub initial: f64,
    /// While no rate is known starts are spread over this part of a round trip: that of so many times the throughput.
    /// Infinite: they are not.
    pub spread: f64,
    /// The same once a limit on POSTs at once is known. With 2 a few at once lose a thirtieth of the time waiting.
    pub spread_found: f64,
    /// And no further apart than with so many starts per second: after a POST of minutes others would wait for minutes.
    pub spread_least: f64,
    /// Starts per second.
    pub rate: LearnedRate,
    /// What is tried beyond a ceiling on POSTs at once, as a part of it: refusals at each try stay few.
    pub step: f64,
    /// POSTs accepted that a step of POSTs at once takes, where one a second is. It grows with the root of how many are.
    /// Four steps take twice as many. With 60 ten processes found capacity that came back in 15 s, not in 9.
    pub at_once_step_posts: f64,
    /// Fewest POSTs that a step takes: where there are few per second, one refusal for each step were too many.
    pub step_posts_min: f64,
    /// Each whole step of POSTs at once that was taken makes the next so many times as fast. 1: it does not. With 3 ten
    /// processes found capacity that came back in 17 s, not in 8.
    pub faster: f64,
    /// A ceiling on POSTs at once is out of date after so many times the POSTs of the first step: four steps higher.
    pub obsolete: f64,
    /// A cut leaves (a + so many) ÷ (a + so many + 1); a: accepted since the one before.
    pub soft: f64,
    /// The rate is what limits while it needs fewer than so many times the POSTs at once.
    pub slack: f64,
    /// With so many times the starts that POSTs at once allow it limits nothing.
    pub loose: f64,
    /// A refusal may meet more at once than ever and a closer start. From so many at once on it holds the rate, and at two.
    /// With 2 here ten processes that share a cap learned rates, and left a twentieth of it.
    pub either: f64,
    /// A refusal that nothing explains met the POSTs of another process, if so many were accepted since the cut before.
    /// Infinite: it says that there is a rate.
    pub chance: f64,
    /// While fewer may run at once: refusals of more close the gate before a second one tells.
    pub chance_at_once: f64,
    /// Rates whose cuts were in vain: the processes share a cap on POSTs at once.
    pub in_vain: InVain,
    /// With more POSTs at once than this a rate that was cut in vain is one of a shared cap. Infinite: none is.
    pub in_vain_at_once: f64,
    /// Random faults.
    pub background: Background,
    /// POSTs accepted since the cut before that make a limit known, which an outage shall not change.
    pub known_after: f64,
    /// POSTs accepted between two openings of the gate that make a window of it.
    pub window_posts: f64,
    /// Longest such window: two and a half minutes hold two of a minute. Zero: there are none.
    pub window_max: Duration,
    /// The rate of a first window doubles within this part of the window, then faster each time. With a half an endpoint
    /// was filled 37 s after 24 s of "too many", not 30.
    pub window_doubles: f64,
    /// Without a POST for so long all is forgotten.
    pub forgotten_after: Duration,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            initial: 1.0,
            spread: 2.0,
            spread_found: 4.0,
            spread_least: 0.2,
            rate: LearnedRate::default(),
            step: 0.06,
            at_once_step_posts: 45.0,
            step_posts_min: 60.0,
            faster: 5.0,
            obsolete: 2.0,
            soft: 3.0,
            slack: 1.2,
            loose: 4.0,
            either: 8.0,
            chance: 5.0,
            chance_at_once: 8.0,
            in_vain: InVain { falls_to: 0.4, refusals: 8.0, least: 0.04, most: 0.6 },
            in_vain_at_once: 0.1,
            background: Background::default(),
            known_after: 10.0,
            window_posts: 8.0,
            window_max: Duration::from_secs(150),
            window_doubles: 0.35,
            forgotten_after: Duration::from_secs(3_600),
        }
    }
}

/// Starts per second that are learned: `limit/adaptive/learned_rate.rs` explains each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedRate {
    /// Where the first POST of all was refused.
    pub initial: f64,
    /// Where all were refused until the gate closed. With 1 ten processes overran a window one after the other, each as it
    /// came to know it.
    pub initial_refused: f64,
    /// A rate that was never refused doubles within so long and a round trip.
    pub doubles_in: Duration,
    /// A refusal leaves so much less than was found. With 0.07 windows were overrun more often.
    pub cut: f64,
    /// POSTs accepted that a step of the curve takes, where one a second is found. It grows with the root of how many are.
    pub step_posts: f64,
    /// And at least: where there are few per second, one refusal for each step were too many.
    pub step_posts_min: f64,
    /// The same where windows were found: what several processes try together shows at the end of a window. With 45 they
    /// were refused twice as often.
    pub step_posts_window: f64,
    /// A measure counts so many POSTs more, at the rate then: a refusal soon after another is no measure.
    pub known_posts: f64,
    /// The same before the first measure, when the rate may be ten times too high.
    pub known_posts_first: f64,
    /// Starts between two refusals that make the first measure.
    pub measured_after: f64,
    /// Weight of the rate at a refusal against what was measured. 0: none. With 0.5 a limit without bursts was found late.
    pub trust: f64,
    /// A refusal before so many steps says that too much was found.
    pub soon: f64,
    /// And one after so many that it was too little.
    pub late: f64,
    /// A measure up to so many times a window's rate is believed to be its rate.
    pub window_near: f64,
}

impl Default for LearnedRate {
    fn default() -> Self {
        Self {
            initial: 1.0,
            initial_refused: 0.5,
            doubles_in: Duration::from_millis(500),
            cut: 0.1,
            step_posts: 20.0,
            step_posts_min: 45.0,
            step_posts_window: 100.0,
            known_posts: 4.0,
            known_posts_first: 1.0,
            measured_after: 8.0,
            trust: 0.7,
            soon: 1.0,
            late: 1.3,
            window_near: 1.3,
        }
    }
}

/// What tells that cuts were in vain: refusals stay while the load falls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InVain {
    /// The load falls to this part. Above 1: at once; 0: never.
    pub falls_to: f64,
    /// Fewest refusals that tell.
    pub refusals: f64,
    /// And what part of the POSTs they are at least: one in a hundred is what a limit costs that is well kept.
    pub least: f64,
    /// And at most: beyond that an endpoint is overrun, or down.
    pub most: f64,
}

/// What tells random faults from too much load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Background {
    /// Refusals that stay are background.
    pub in_vain: InVain,
    /// So much beyond twice what is known they are not.
    pub more: f64,
}

impl Default for Background {
    fn default() -> Self {
        Self { in_vain: InVain { falls_to: 0.4, refusals: 5.0, least: 0.04, most: 0.2 }, more: 0.06 }
    }
}

/// What rate-limit headers say: `limit/quota.rs` explains each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Longest time for which starts are held back without another refusal. Zero: never.
    pub hold_max: Duration,
    /// Windows that are held without a refusal of their own, at most. Zero: none.
    pub credit_max: u32,
    /// How long headers are ignored that an answer has disproved.
    pub ignored_for: Duration,
    /// Headers count whole seconds: an acceptance so close to the reset disproves nothing.
    pub slack: Duration,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            hold_max: Duration::from_secs(120),
            credit_max: 7,
            ignored_for: Duration::from_secs(3_600),
            slack: Duration::from_secs(1),
        }
    }
}
