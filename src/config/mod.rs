//! From the file, flags and environment to a [`Plan`]: everything valid, or every problem at once.
//!
//! [`load`] is the entry point. The files in the order of the work:
//!
//! - `load`: flags override the environment, which overrides the file.
//! - `tree`, `fields`, `file`: read the text, each value with its position.
//! - `env`: replaces `${VAR}`.
//! - `check`, `endpoints`, `exchange`, `auth`: apply the rules.
//! - `claim_check`: the key of bodies in S3.
//! - `unwrap`: the keys of envelopes and of what is no work.
//! - `value`, `queue`: parse single texts.
//! - `rules`, `consumers`: check combinations of values, and of listeners.
//! - `firsts`: finds the earlier holder of a name, a queue or an endpoint.
//! - `problem`: a problem; `excerpt`: its line; `shown`: how much of a value a problem may repeat.
//! - `peers`: the names that other programs use for keys.
//! - `plan`: the result, in the `Settings` types of the areas.
//!
//! No other area reads the file or the environment, and this area never uses the network.

mod auth;
mod check;
mod claim_check;
mod consumers;
mod endpoints;
mod env;
mod excerpt;
mod exchange;
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
mod unwrap;
mod value;

pub use env::process_env;
pub use excerpt::Excerpt;
pub use load::{Overrides, admin_address, load, queue, variables};
pub use plan::{EndpointPlan, ListenerPlan, Plan};
pub use problem::{ConfigErrors, Place, Problem};
