//! The admin port: metrics, health, version. It is read-only: no route changes what the program does.

mod health;
mod server;
mod status;
mod view;

pub use server::{Admin, AdminError};
pub use view::View;
