//! HTTP on both legs, each in its own version.
//!
//! HTTP/1 is read and written here, strictly ([`head`], [`framing`], [`decode`], [`conn`]); HTTP/2 by the h2 crate ([`stream`]). [`ends`]
//! hides which is which from [`relay`], which moves one exchange's bytes; [`exchange`] and [`hold`] say what is kept of it.

pub(crate) mod answer;
pub(crate) mod conn;
mod decode;
pub(crate) mod ends;
pub(crate) mod exchange;
pub(crate) mod fault;
mod fields;
pub(crate) mod framing;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(crate) mod head;
pub(crate) mod held;
mod hold;
pub(crate) mod hop;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod message;
mod relay;
pub(crate) mod shape;
pub(crate) mod site;
mod stream;
mod tail;
pub(crate) mod tap;
#[cfg(test)]
mod tests;
mod uncode;
