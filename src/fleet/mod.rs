//! The fleet: who else runs by this configuration, and what part of the caps is this process's.
//!
//! There is no coordinator. The processes are behind one DNS name, and each asks for it every few seconds. All compute the
//! same from the same answer. How they stay safe while their answers differ is in `roster`.
//!
//! Reading order: `roster` (pure), `follow` (asks again and again), `names` (DNS).

mod follow;
mod names;
mod roster;
mod settings;

pub use follow::{Found, LookError, Names, follow};
pub use names::Dns;
pub use roster::{Member, Roster, Standing};
pub use settings::{Settings, Source};
