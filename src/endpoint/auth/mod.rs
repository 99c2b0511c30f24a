//! The credentials of an endpoint, and the secrets they are made of.
//!
//! A [`Secret`] comes from a variable or from a file. A file that changes is read again, so that a renewed
//! secret needs no restart.

mod secret;

pub use secret::{Rule, Secret, SecretError, one_line};
