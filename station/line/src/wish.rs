//! From a step of a plan to a wish for the fuses of one chip: pure, used when a recipe is compiled
//! (on a chip that is only thought of) and when a unit is burned.
//!
//! Invariants: the same step, chip, values and key give the same wish; what a chip does not have is
//! not wished for where the step means a whole family of fuses, and is named as it was written
//! where the step names a field, so that whoever checks the wish refuses it.

use station_esp::chip::{Chip, MacAddress};
use station_esp::efuse::map::{FieldKind, FuseMap};
use station_esp::efuse::plan::{
    BlockWish, ContentPlan, FieldValue, FieldWish, FlashContent, KeyWish, Slot, Wish,
};
use station_esp::secret::Secret;
use thiserror::Error;

use crate::keys::KeyKind;
use crate::plan::{
    BootloaderDigest, BurnKey, Efuse, EncryptedBy, FlashEncryption, FuseValue, SecureBootV2,
    UnitBytes,
};
use crate::template::{Template, TemplateError, Values};

/// Fuses that flash encryption sets in release mode, beside the count: those of them that a chip
/// has. Source: ESP-IDF, "Host Based Security Workflows" and `esp_flash_encryption_enable_secure_features`.
const RELEASE_FUSES: [&str; 8] = [
    "DIS_DOWNLOAD_MANUAL_ENCRYPT",
    "DIS_DOWNLOAD_ICACHE",
    "DIS_DOWNLOAD_DCACHE",
    "DIS_DIRECT_BOOT",
    "DIS_LEGACY_SPI_BOOT",
    "DISABLE_DL_ENCRYPT",
    "DISABLE_DL_DECRYPT",
    "DISABLE_DL_CACHE",
];

/// Most keys that secure boot trusts at once.
pub const MAX_DIGESTS: usize = 3;

/// Why a unit's values make no wish.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum WishError {
    /// A template has no text for this unit.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A text is not what the field takes.
    #[error("`{place}` cannot be `{text}`: {reason}")]
    Value {
        /// The field or block.
        place: String,
        /// The text.
        text: String,
        /// Why not.
        reason: &'static str,
    },
}

impl WishError {
    /// Returns a stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Template(error) => error.code(),
            Self::Value { .. } => "fuse-value",
        }
    }
}

/// Reads a number as a recipe or a list writes it: decimal, `0x…`, `true` or `false`.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "true" => Some(1),
        "false" => Some(0),
        text => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u64::from_str_radix(digits, 16).ok()
            }
            Some(_) => None,
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        },
    }
}

/// Whether a field's value is bytes rather than a number.
pub(crate) fn takes_bytes(kind: FieldKind) -> bool {
    match kind {
        FieldKind::Bytes | FieldKind::Mac | FieldKind::CustomMac => true,
        FieldKind::Number | FieldKind::Count | FieldKind::Purpose => false,
    }
}

/// What an `efuse` step wants of a unit.
pub(crate) fn of_efuse(step: &Efuse, values: &Values) -> Result<Wish, WishError> {
    let mut wish = Wish {
        write_protect: step.write_protect.clone(),
        read_protect: step.read_protect.clone(),
        flash_voltage: step.flash_voltage,
        accepted: step.accepted.clone(),
        ..Wish::default()
    };
    for field in &step.fields {
        let value = match &field.value {
            FuseValue::Number(number) => FieldValue::Number(*number),
            FuseValue::Counted(template) => {
                FieldValue::Number(counted(&field.name, template, values)?)
            }
            FuseValue::Bytes(bytes) => FieldValue::Bytes(rendered(&field.name, bytes, values)?),
        };
        wish.fields.push(FieldWish {
            field: field.name.clone(),
            value,
        });
    }
    for block in &step.blocks {
        wish.blocks.push(BlockWish {
            block: block.block.clone(),
            offset: 0,
            bytes: Secret::new(rendered(&block.block, &block.bytes, values)?),
        });
    }
    if let Some(template) = &step.custom_mac {
        let text = template.render(values)?;
        let mac = text.parse::<MacAddress>().map_err(|_| WishError::Value {
            place: "custom_mac".to_owned(),
            text: text.chars().take(80).collect(),
            reason: "it is no MAC such as `02:00:00:00:00:01`",
        })?;
        wish.custom_mac = Some(mac);
    }
    Ok(wish)
}

fn counted(place: &str, template: &Template, values: &Values) -> Result<u64, WishError> {
    let text = template.render(values)?;
    number(&text).ok_or_else(|| WishError::Value {
        place: place.to_owned(),
        text: text.chars().take(80).collect(),
        reason: "it is no number",
    })
}

/// The bytes a unit gets.
fn rendered(place: &str, bytes: &UnitBytes, values: &Values) -> Result<Vec<u8>, WishError> {
    let text = bytes.value.render(values)?;
    let decoded = bytes.encoding.decode(&text);
    decoded.map_err(|reason| WishError::Value {
        place: place.to_owned(),
        text: text.chars().take(80).collect(),
        reason,
    })
}

/// What a `key` step wants.
pub(crate) fn of_key(step: &BurnKey, key: Secret) -> Wish {
    Wish {
        keys: vec![KeyWish {
            slot: step.key.slot.clone(),
            purpose: step.purpose.clone(),
            key,
            read_protect: step.read_protect,
            write_protect: Some(step.write_protect),
        }],
        accepted: step.accepted.clone(),
        ..Wish::default()
    }
}

/// What the key of flash encryption is for, as a chip's fuse map calls it.
#[must_use]
pub fn encryption_purpose(chip: Chip, kind: KeyKind) -> &'static str {
    if chip == Chip::Esp32 {
        "flash_encryption"
    } else if kind == KeyKind::XtsAes256 {
        "XTS_AES_256_KEY"
    } else if kind == KeyKind::Aes128 {
        "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS"
    } else {
        "XTS_AES_128_KEY"
    }
}

/// The fuses that switch flash encryption on: for good with `release`, else so that it can be
/// switched off again. Those of them that the chip has.
#[must_use]
pub fn encryption_fuses(map: &FuseMap, release: bool) -> Vec<FieldWish> {
    let mut fields = fuses_beside_count(map, release);
    // On with an odd number of set bits. One chip may know its count by both names.
    let counts = [("SPI_BOOT_CRYPT_CNT", 7), ("FLASH_CRYPT_CNT", 127)];
    let mut counts = counts.into_iter();
    if let Some((count, full)) = counts.find(|(count, _)| map.field(count).is_some()) {
        fields.push(FieldWish {
            field: count.to_owned(),
            value: FieldValue::Number(if release { full } else { 1 }),
        });
    }
    fields
}

/// The same for a chip whose bootloader is to encrypt flash on its first start. It does so while
/// the count is even and burns the count when it is done, so until then the count is its own.
/// Source: ESP-IDF, `esp_flash_encrypt_check_and_update`.
#[must_use]
pub fn fuses_for_bootloader(map: &FuseMap, release: bool, is_on: bool) -> Vec<FieldWish> {
    match is_on {
        true => encryption_fuses(map, release),
        false => fuses_beside_count(map, release),
    }
}

fn fuses_beside_count(map: &FuseMap, release: bool) -> Vec<FieldWish> {
    let mut fields = Vec::new();
    let mut want = |field: &str, value: u64| {
        if map.field(field).is_some() {
            fields.push(FieldWish {
                field: field.to_owned(),
                value: FieldValue::Number(value),
            });
        }
    };
    if release {
        for field in RELEASE_FUSES {
            want(field, 1);
        }
    }
    want("FLASH_CRYPT_CONFIG", 0xF);
    fields
}

/// What a `flash_encryption` step wants of a chip whose flash is read as ciphertext already, or not;
/// without a key only that the fuses say what they must.
pub(crate) fn of_flash_encryption(
    step: &FlashEncryption,
    map: &FuseMap,
    is_on: bool,
    key: Option<Secret>,
) -> Wish {
    let keys = key.into_iter().map(|key| KeyWish {
        slot: step.key.slot.clone(),
        purpose: encryption_purpose(map.chip, step.key.kind).to_owned(),
        key,
        read_protect: Some(true),
        write_protect: Some(true),
    });
    let mut keys: Vec<_> = keys.collect();
    // The other half of the block that the key is in, which is burned once.
    if let (Some(trusted), false) = (&step.trusted, keys.is_empty()) {
        keys.push(KeyWish {
            slot: step.key.slot.clone(),
            purpose: DIGEST_OF_C2.to_owned(),
            key: digest_key(map.chip, &trusted.digest),
            read_protect: Some(false),
            write_protect: Some(true),
        });
    }
    Wish {
        fields: match step.content {
            EncryptedBy::Host => encryption_fuses(map, step.release),
            EncryptedBy::Bootloader => fuses_for_bootloader(map, step.release, is_on),
        },
        keys,
        content: FlashContent {
            encrypted: match step.content {
                EncryptedBy::Host => ContentPlan::Written,
                EncryptedBy::Bootloader => ContentPlan::ByBootloader,
            },
            signed_by: Vec::new(),
            digested: false,
        },
        accepted: step.accepted.clone(),
        ..Wish::default()
    }
}

/// What the half block of the ESP32-C2 is for that holds a digest.
const DIGEST_OF_C2: &str = "SECURE_BOOT_DIGEST";

/// What the key of secure boot version 1 is for.
pub const FIRST_SECURE_BOOT: &str = "secure_boot_v1";

/// What secure boot version 1 wants; without a key only that the fuses say it is on. `digested`
/// says that the digest of the bootloader is in flash, made with that key.
#[must_use]
pub fn first_secure_boot(key: Option<Secret>, digested: bool) -> Wish {
    let keys = key.into_iter().map(|key| KeyWish {
        slot: Slot::Free,
        purpose: FIRST_SECURE_BOOT.to_owned(),
        key,
        read_protect: Some(true),
        write_protect: Some(true),
    });
    Wish {
        keys: keys.collect(),
        fields: vec![FieldWish {
            field: "ABS_DONE_0".to_owned(),
            value: FieldValue::Number(1),
        }],
        content: FlashContent {
            encrypted: ContentPlan::Unknown,
            signed_by: Vec::new(),
            digested,
        },
        ..Wish::default()
    }
}

/// What a `secure_boot` step with version 1 wants. The digest is in flash before it is burned.
pub(crate) fn of_first_secure_boot(step: &BootloaderDigest, key: Option<Secret>) -> Wish {
    Wish {
        accepted: step.accepted.clone(),
        ..first_secure_boot(key, true)
    }
}

/// A digest as its slot holds it: the ESP32-C2 has half a block for it, the first 128 bits.
#[must_use]
pub fn digest_key(chip: Chip, digest: &[u8; 32]) -> Secret {
    let kept = if chip == Chip::Esp32C2 {
        &digest[..16]
    } else {
        &digest[..]
    };
    Secret::new(kept.to_vec())
}

/// What secure boot version 2 wants with these digests, in this order. `signed` says that what the
/// chip starts is signed by one of them.
#[must_use]
pub fn secure_boot(
    map: &FuseMap,
    digests: &[[u8; 32]],
    revoke_unused: bool,
    aggressive_revoke: bool,
    signed: bool,
) -> Wish {
    let first = map.chip == Chip::Esp32;
    let keys = digests.iter().enumerate().map(|(index, digest)| KeyWish {
        slot: Slot::Free,
        purpose: if first {
            "secure_boot_v2".to_owned()
        } else if map.chip == Chip::Esp32C2 {
            DIGEST_OF_C2.to_owned()
        } else {
            format!("SECURE_BOOT_DIGEST{index}")
        },
        key: digest_key(map.chip, digest),
        read_protect: Some(false),
        write_protect: Some(true),
    });
    let mut fields = Vec::new();
    let mut want = |field: &str| {
        if map.field(field).is_some() {
            fields.push(FieldWish {
                field: field.to_owned(),
                value: FieldValue::Number(1),
            });
        }
    };
    if revoke_unused {
        for index in digests.len()..MAX_DIGESTS {
            want(&format!("SECURE_BOOT_KEY_REVOKE{index}"));
        }
    }
    if aggressive_revoke {
        want("SECURE_BOOT_AGGRESSIVE_REVOKE");
    }
    want(if first {
        "ABS_DONE_1"
    } else {
        "SECURE_BOOT_EN"
    });
    Wish {
        keys: keys.collect(),
        fields,
        // Nobody may hide a digest from the ROM afterwards.
        write_protect: vec!["RD_DIS".to_owned()],
        content: FlashContent {
            encrypted: ContentPlan::Unknown,
            signed_by: if signed { digests.to_vec() } else { Vec::new() },
            digested: false,
        },
        ..Wish::default()
    }
}

/// What a `secure_boot` step with version 2 wants.
pub(crate) fn of_secure_boot(step: &SecureBootV2, map: &FuseMap) -> Wish {
    let digests: Vec<[u8; 32]> = step.digests.iter().map(|trusted| trusted.digest).collect();
    Wish {
        accepted: step.accepted.clone(),
        ..secure_boot(
            map,
            &digests,
            step.revoke_unused,
            step.aggressive_revoke,
            !step.signed.is_empty(),
        )
    }
}
