//! What the fuzzer feeds to this area: messages as anybody may write them, and answers as any endpoint may give them.
//!
//! Each function has the area do its work with bytes, and checks what must hold whatever they were. Parts of an
//! input are separated by the byte 0x1E, name and value by 0x1F.

mod message;
mod request;
mod template;
mod unwrap;
mod verdicts;

pub(crate) use request::request;
pub(crate) use template::template;
pub(crate) use unwrap::unwrap;
pub(crate) use verdicts::verdicts;
