//! From the file, flags and environment to a [`Plan`]: everything valid, or every problem at once.
//!
//! [`load`] is the way in. In the order of the work: `load` puts flags over environment over file; `tree`, `fields`
//! and `file` read what was written, each value with its place; `env` replaces `${VAR}`; `check`, `endpoints` and
//! `auth` apply the rules, with `value` and `queue` for single texts, `rules` for values that must fit together and
//! `consumers` for listeners that must; `firsts` finds who had a name, a queue or an endpoint before;
//! `problem` is what goes wrong, `excerpt` the line it stands in, `shown` how much of a value may be told, `peers` what
//! other programs call things; `plan` comes
//! out, in the `Settings` types of the areas. No other area reads the file or the environment, and nothing here touches
//! the network.

mod auth;
mod check;
mod consumers;
mod endpoints;
mod env;
mod excerpt;
mod fields;
mod file;
mod firsts;
mod load;
mod peers;
mod plan;
mod problem;
mod queue;
mod reveal;
mod rules;
mod shown;
mod tree;
mod value;

pub use env::process_env;
pub use excerpt::Excerpt;
pub use load::{Overrides, admin_address, load, queue, variables};
pub use plan::{EndpointPlan, ListenerPlan, Plan};
pub use problem::{ConfigErrors, Place, Problem};
