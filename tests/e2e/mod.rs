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
mod keep_alive;
mod moving;
#[cfg(feature = "otlp")]
mod otlp;
mod outside;
mod ports;
mod starting;
mod stopping;
mod trouble;
mod unread;
mod words;
