//! Templates: text with `{{ … }}`, which make path, query, headers and body of a request out of a message.
//!
//! A template reads the message alone: its body, attributes and properties, and the names of queue and listener. It knows
//! neither the environment nor receipt handles nor credentials, and calls nothing. What is missing is an error.
//! Work and output are bounded (`limits`), so neither template nor message can keep the process busy.
//! This folder is the only place that names the template engine.
//!
//! - `syntax`: reads the template before it is compiled, and refuses what cannot be bounded or does not exist.
//! - `flaw`: what is wrong with a template.
//! - `filters`, `values`: what templates can do, and what they see, counted against the bounds.
//! - `engine`: compiles and renders; words every failure without words of the message.
//! - `of_result`: renders what goes to a result queue.
//! - `templated`: puts the rendered parts into the request of another shape; `batched`: makes one of several messages.

mod batched;
mod engine;
mod filters;
mod flaw;
mod limits;
mod of_result;
mod syntax;
mod templated;
mod values;

pub use batched::TemplatedBatch;
pub use engine::Engine;
pub use flaw::{Flaw, Unknown};
pub use of_result::ResultTemplates;
pub use templated::{Base, Parts, Templated};

#[cfg(test)]
#[path = "nasty_tests.rs"]
mod nasty_tests;
