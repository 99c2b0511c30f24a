//! From the file, flags and environment to a [`Plan`]: everything valid, or every problem at once.
//!
//! [`load`] is the entry point. The files in the order of the work:
//!
//! - `load`: flags override the environment, which overrides the file.
//! - `tree`, `fields`, `file`: read the text, each value with its position.
//! - `env`: replaces `${VAR}`.
//! - `presets`: fills keys that nobody wrote; `matillion`: the templates of one; `keys`, `nested_keys`: name them.
//! - `explain`: says where each value came from.
//! - `check`, `endpoints`, `exchange`, `template`, `cloudevents`, `lambda`, `auth`, `sigv4`, `sign`: apply the rules.
//! - `stay`: how long messages stay hidden and in the queue; `sqsd_names`: the variables of other programs.
//! - `batch`, `gathering`: how many messages a POST carries, and the rules of that.
//! - `claim_check`: the key of bodies in S3; `unwrap`: the keys of envelopes and of what is no work.
//! - `results`: the key of result queues.
//! - `value`, `queue`: parse single texts; `queue_arn`: the ARN that a queue's text tells.
//! - `rules`, `consumers`: check combinations of values, and of listeners.
//! - `firsts`: finds the earlier holder of a name, a queue or an endpoint.
//! - `problem`: a problem; `excerpt`: its line; `shown`: how much of a value a problem may repeat.
//! - `peers`: the names that other programs use for keys.
//! - `plan`: the result, in the `Settings` types of the areas.
//!
//! No other area reads the file or the environment, and this area never uses the network.

mod auth;
mod batch;
mod check;
mod claim_check;
mod cloudevents;
mod consumers;
mod endpoints;
mod env;
mod excerpt;
mod exchange;
mod explain;
mod fields;
mod file;
mod firsts;
mod gathering;
mod keys;
mod lambda;
mod load;
mod matillion;
mod nested_keys;
mod peers;
mod plan;
mod presets;
mod problem;
mod queue;
mod queue_arn;
mod results;
mod reveal;
mod rules;
mod shown;
mod sign;
mod sigv4;
mod source;
mod sqsd_names;
mod stay;
mod template;
mod tree;
mod unwrap;
mod value;

pub use env::process_env;
pub use excerpt::Excerpt;
pub use explain::Explained;
pub use load::{Overrides, admin_address, explain, load, queue, variables};
pub use plan::{EndpointPlan, ListenerPlan, Plan, ResultPlan, ResultsPlan};
pub use problem::{ConfigErrors, Place, Problem};
