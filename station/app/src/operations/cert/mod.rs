//! Identity in flash: `esp_secure_cert` partitions made and read, Matter factory partitions made.
//!
//! Invariants: no answer or error holds a private key or a secret entry, only what may be public of it; a
//! file that holds a private key is readable for its owner only. A Matter passcode is in no error and no
//! record; the one answer that has it, in the codes that are printed on the product, is that which made it.

mod create;
mod matter;
mod read;
mod view;

pub use create::{CertCreate, CreateParameters, CreateView, KeyHome};
pub use matter::{
    CommissioningFlow, DiscoveryWay, GivenPasscode, MatterCreate, MatterParameters, MatterView,
    ProductParameters,
};
pub use read::{CertRead, CertReadView, ReadParameters};
pub use view::{EntryView, PrivateKeyView, SignedView};
