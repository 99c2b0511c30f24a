//! From the file, flags and environment to a [`Plan`]: everything valid, or every problem at once.
//!
//! [`load`] is the entry point. The files in the order of the work:
//!
//! - `load`, `given`: flags override the environment, which overrides the file.
//! - `directory`: the listeners that have a file each.
//! - `tree`, `fields`, `file`: read the text, each value with its position.
//! - `env`: replaces `${VAR}`.
//! - `misspelt`: finds variables that nothing reads.
//! - `presets`: fills keys that nobody wrote; `matillion`: the templates of one; `keys`, `nested_keys`: name them.
//! - `explain`: says where each value came from; `written_keys`, `collect_keys`: what a later reading is compared with.
//! - `check`, `endpoints`, `exchange`, `template`, `cloudevents`, `lambda`, `auth`, `sigv4`, `sign`: apply the rules.
//! - `stay`: how long messages stay hidden and in the queue; `sqsd_names`: the variables of other programs.
//! - `batch`, `gathering`: how many messages a POST carries, and the rules of that.
//! - `admin`: the keys of the admin port, and the token of its changes.
//! - `claim_check`: the key of bodies in S3; `unwrap`: the keys of envelopes and of what is no work.
//! - `results`: the key of result queues.
//! - `value`, `queue`: parse single texts; `queue_arn`: the ARN that a queue's text tells.
//! - `rules`, `consumers`: check combinations of values, and of listeners.
//! - `firsts`: finds the earlier holder of a name, a queue or an endpoint.
//! - `problem`: a problem; `excerpt`: its line; `shown`: how much of a value a problem may repeat.
//! - `reference`: every key with its meaning, for schema and documents.
//! - `peers`: the names that other programs use for keys.
//! - `plan`: the result, in the `Settings` types of the areas.
//!
//! No other area reads the file or the environment, and this area never uses the network.

mod admin;
mod auth;
mod batch;
mod check;
mod claim_check;
mod cloudevents;
mod collect_keys;
mod consumers;
mod directory;
mod endpoints;
mod env;
mod excerpt;
mod exchange;
mod explain;
mod fields;
mod file;
mod firsts;
mod fleet;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gathering;
mod given;
mod keys;
mod lambda;
mod load;
mod matillion;
mod misspelt;
mod nested_keys;
mod peers;
mod plan;
mod presets;
mod problem;
mod queue;
mod queue_arn;
mod reference;
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
mod written_keys;

pub use admin::{AdminAddresses, admin_address, admin_token};
pub use directory::{Trial, keys_of, listener_files};
pub use env::{process_env, process_variables};
pub use excerpt::Excerpt;
pub use explain::Explained;
pub use given::Overrides;
pub use load::{can_change, explain, file_of, load, load_with, queue, variables};
pub use plan::{
    EndpointPlan, EventListenerPlan, ListenerPlan, Origin, OriginKind, Plan, ResultPlan, ResultsPlan,
};
pub use presets::presets;
pub use problem::{ConfigErrors, Place, Problem, SHOWN_MAX};
pub use reference::{Key, Kind, Shape, reference, schema};
pub use value::{is_name as is_listener_name, name_from_queue};
pub use written_keys::WrittenKeys;
