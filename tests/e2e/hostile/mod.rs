//! Hostile endpoints: each gets the outcome of its row, is counted, and costs little memory.
//!
//! - `rows`: the table of what a server does and the outcome it must get.
//! - `outcomes`: runs all rows at once against one process with a listener for each row.
//! - `memory`: floods a process and measures its memory.
//! - `server`: hand-written HTTP/1.1, in clear text and over TLS.
//! - `frames`: hand-written HTTP/2. A server made with a library would not misbehave.

mod frames;
mod memory;
mod outcomes;
mod rows;
mod server;
