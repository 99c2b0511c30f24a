//! The real binary over loopback, in real time with short settings.

mod process;
mod servers;

mod dev;
mod endpoints;
mod moving;
mod starting;
mod stopping;
