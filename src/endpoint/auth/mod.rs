//! The credentials of an endpoint.
//!
//! - `credentials`: what each kind of [`Auth`] adds to a request.
//! - `oauth2`: tokens of the client credentials grant. `token_answer` reads what a token server answers.
//! - `headers`: headers that every request gets, whatever its message.

mod credentials;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod headers;
mod oauth2;
mod token_answer;

pub use credentials::{Auth, SigV4, header_line, password};
pub(super) use credentials::{Credentials, Used};
pub use headers::{FixedHeaders, HeaderText};
pub use oauth2::{ClientAuth, OAuth2};
