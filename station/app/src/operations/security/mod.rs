//! Security of one chip and of images: fuses, policies, secure boot, flash encryption, signatures.
//!
//! Reading order: what is wished for (`wish`, `consent`, `keys`, `public_keys`), the burn and
//! its record (`burn`, `record`), then the operations.

mod burn;
mod consent;
mod efuse;
mod encryption;
mod keys;
mod policy;
mod public_keys;
mod record;
mod secure_boot;
mod signing;
mod wish;

pub use burn::{BurnView, PulseView};
pub use consent::{Accepted, Consent};
pub use efuse::{
    BlockView, BurnParameters, EfuseBurn, EfusePlan, EfuseRead, FieldView, PlanAnswer,
    PlanParameters, ReadParameters, ReadView, RefusalView,
};
pub use encryption::{EncryptionEnable, EncryptionParameters, Mode, Strength};
pub use keys::KeyOrigin;
pub use policy::{
    AuditView, ConfigureParameters, DifferenceView, FindingView, SecurityAudit, SecurityConfigure,
    SecurityValidate, ValidateParameters, ValidateView,
};
pub(super) use public_keys::private_key;
pub use secure_boot::{SecureBootEnable, SecureBootParameters};
pub(super) use signing::well_placed;
pub use signing::{
    DigestParameters, ImageSign, ImageVerifySignature, PublicKeyDigest, PublicKeyView,
    SignParameters, SignView, SignatureView, VerifyParameters, VerifyView,
};
pub use wish::WishParameters;
pub(super) use wish::secret_file;
