//! One attached chip: the byte pipe to it, its reset lines, its bay.
//!
//! Invariants:
//! - A [`Link`] moves bytes and knows no protocol; every future of a link may be dropped at any
//!   await point, and dropping a link never blocks the runtime.
//! - Reset is apart from the byte pipe: a [`ResetControl`] brings the chip into its bootloader or
//!   its application, whatever wire that takes.
//! - A [`Port`] owns its lock: two stations never talk to one chip.
//! - A [`Session`] waits for nothing without a deadline fixed beforehand, holds less than a megabyte
//!   whatever the chip sends, and says of flash only what the chip has proven.
//! - Fuses are burned by plan only, with a witness, and read back; see [`efuse`].
//! - [`DeviceError`] has a class, a stable code and a hint, all total.

pub mod address;
pub mod bay;
pub mod connector;
pub mod efuse;
pub mod error;
pub mod flash;
pub mod link;
mod loader;
pub mod lock;
pub mod port;
pub mod program;
pub mod reset;
pub mod session;
pub mod terminal;

pub use address::Address;
pub use connector::AddressConnector;
pub use efuse::{BurnError, BurnWitness, Burned, PulseResult, PulseVerdict};
pub use error::{DeviceError, FailureClass};
pub use flash::{NoProgress, Phase, PreparedImage, ProgressSink, WriteOptions, Written};
pub use link::Link;
pub use loader::BaudMemory;
pub use port::{Connector, Port, Presence};
pub use reset::{ResetControl, ResetTo};
pub use session::{AfterSession, ConnectOptions, Identity, Session};
pub use terminal::{Seen, Terminal};
