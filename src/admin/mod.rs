//! The admin port: metrics, health, version. It is read-only: no route changes what the program does.

mod health;
mod operator;
mod running;
mod server;
mod status;
mod view;

pub use operator::{Operator, Refused};
pub use running::{Gauges, Running, RunningEndpoint, RunningListener};
pub use server::{Admin, AdminError};
pub use view::View;
