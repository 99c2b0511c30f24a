//! The real binary over loopback, in real time with short settings.

pub mod process;
pub mod servers;
pub mod tls;

mod check;
mod dev;
mod endpoints;
mod faults;
mod fifo;
mod gate;
mod hands;
mod https;
mod moving;
#[cfg(feature = "otlp")]
mod otlp;
mod starting;
mod stopping;
mod words;
