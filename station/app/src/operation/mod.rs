//! Operations: everything the station can be asked to do, each declared once.
//!
//! From one declaration come the CLI command, the MCP tool with its schemas and annotations, the row in
//! the generated reference and the `OperationInvoked` event. Faces hold the registry and nothing below it,
//! so none of them can do what another cannot.

mod call;
mod confirm;
mod declaration;
mod error;
mod outline;
mod registry;

pub use call::{Call, CallProgress, Face, SilentProgress};
pub use confirm::{Confirmation, Nobody, OPEN, Question, TYPED_DIGITS, declined, impossible};
pub use declaration::{Declaration, Effect, Operation};
pub use error::{Exit, OperationError};
pub use outline::outline;
pub use registry::{AnyOperation, Invoked, Registry};
