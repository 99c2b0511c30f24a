//! What a person does with the messages of a queue: look at letters, send, send again, move back, delete.
//!
//! The commands and the admin port do it by the same code. It tells a [`Report`] how it goes: the terminal of a command, or
//! what the admin port shows. It ends early, and in order, by a token that whoever began it cancels.
//!
//! - `peek`: looks at messages and releases them; `delete`: deletes with repeats; `resend`: sends with repeats.
//! - `redrive`: moves letters back to where they came from.
//! - `attribute`: what SQS demands of a message's attributes.

pub mod attribute;
pub mod delete;
pub mod peek;
pub mod redrive;
mod report;
pub mod resend;

pub use report::Report;
