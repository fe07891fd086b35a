//! Updates handed out over HTTP: a package, its image and its manifest, whole or by byte range.
//!
//! Invariants: nothing but what one package holds is ever sent; the number of connections, the time of each
//! and the length of what a client says are bounded; every answer with content carries its digest (RFC 9530).
//!
//! What a device needs: GET and HEAD, `Range: bytes=…` with one range, `If-Range`, `If-None-Match` (RFC 9110),
//! which is what ESP-IDF's `esp_https_ota` uses, also where it downloads in parts.

mod answer;
mod body;
mod offer;
mod range;
mod server;
mod tally;
#[cfg(test)]
mod tests;
mod tls;

pub use body::Sent;
pub use offer::{Offer, Representation};
pub use server::{OtaServer, Until};
pub use tally::{Count, Tally};
pub use tls::{TlsError, client_tls, server_tls};
