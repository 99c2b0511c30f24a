//! Endpoints that do what no endpoint should: each comes out as the table says, is counted, and costs little memory.
//!
//! `rows` is the table of what a server does and what must come of it; `outcomes` runs all of it at once against one
//! process with a listener for each row; `memory` floods a process and looks at what it keeps. `server` speaks
//! HTTP/1.1 by hand, in the clear and over TLS, and `frames` HTTP/2: a server made with a library would not misbehave.

mod frames;
mod memory;
mod outcomes;
mod rows;
mod server;
