//! The real binary over loopback, in real time with short settings.

mod door;
pub mod process;
pub mod proxy;
pub mod servers;
pub mod tls;

mod chaos;
mod check;
mod credentials;
mod dev;
mod endpoints;
mod faults;
mod fifo;
mod gate;
mod hands;
mod hostile;
mod https;
mod moving;
#[cfg(feature = "otlp")]
mod otlp;
mod outside;
mod starting;
mod stopping;
mod trouble;
mod words;
