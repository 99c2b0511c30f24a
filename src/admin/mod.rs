//! The admin port: metrics, health, status, and changes for whoever shows the token.
//!
//! - `server`: the port and its routes; `view`: what they need; `document`, `problem`: answers of JSON.
//! - `health`, `status`: what they show; `running`: of which listeners and endpoints.
//! - `change`: routes that change something; `ask`: what they read; `guard`, `bucket`: who may use them, and how
//!   often; `operator`: who starts and ends listeners.

mod ask;
mod bucket;
mod change;
mod document;
mod guard;
mod health;
mod operator;
mod problem;
mod running;
mod server;
mod status;
mod view;

pub use guard::Guard;
pub use operator::{Operator, Refused, Tell};
pub use running::{Gauges, Running, RunningEndpoint, RunningListener};
pub use server::{Admin, AdminError};
pub use view::View;
