//! The admin port: metrics, health, status, and changes for whoever shows the token.
//!
//! - `server`: the port; `routes`: what it serves; `view`: what they need; `document`, `problem`: answers of JSON.
//! - `console`: the page at `/`.
//! - `openapi`: the document of the routes.
//! - `health`, `status`, `history`, `session`: what they show; `events`, `stream`: the status as it changes; `running`: of which
//!   listeners and endpoints.
//! - `store_routes`: routes that create, change and remove listeners; `store`: who does that; `event_listeners`: routes of the
//!   original event-listener API, over the same.
//! - `change`, `action`: routes that change something; `write`: the way of each; `ask`: what they read; `guard`, `bucket`: who may use them, and how
//!   often; `operator`: who starts and ends listeners.

mod action;
mod ask;
mod bucket;
mod change;
mod console;
mod document;
mod event_listeners;
mod events;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guard;
mod health;
mod history;
pub mod openapi;
mod operator;
mod problem;
mod routes;
mod running;
mod server;
mod session;
mod status;
mod store;
mod store_routes;
mod stream;
mod view;
mod write;

pub use events::Events;
pub use guard::Guard;
pub use history::History;
pub use operator::{ByHand, Operator, Redriving, Refused, Sending, Tell};
pub use running::{Gauges, Running, RunningEndpoint, RunningListener};
pub use server::{Admin, AdminError};
pub use store::{Edit, EventListener, Keys, ListenerStore, NotStored, Trial, WrongKey};
pub use view::{About, Live, View};
