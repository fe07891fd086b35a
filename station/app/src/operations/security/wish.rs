//! What somebody wants a chip's fuses to be, as it is asked for in text.
//!
//! Invariants: no key is ever written in a parameter: keys come from files and from the key store, because
//! parameters are recorded; text that cannot be meant is refused before a chip is touched.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use station_esp::efuse::map::FuseMap;
use station_esp::efuse::plan::{
    BitWish, BlockWish, ContentPlan, FieldValue, FieldWish, FlashContent, FlashVoltage, Slot,
    Snapshot, Wish,
};
use station_esp::secret::Secret;

use super::consent::Accepted;
use super::keys::{KeySlot, Want, key_wish};
use super::public_keys::digest_of;
use crate::operation::OperationError;
use crate::station::Station;

/// Largest file of fuse data or of a key.
pub(super) const MAX_KEY_FILE: u64 = 64 << 10;

/// What the fuses are to be.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct WishParameters {
    /// A field and its value: DIS_USB_JTAG=1, USER_DATA=hex:00ff…; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
    /// Single bits of a block: BLOCK_USR_DATA=0,5,17
    #[arg(long = "bits", value_name = "BLOCK=BIT,…")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bits: Vec<String>,
    /// Bytes of a block that holds no key: BLOCK_USR_DATA=hex:00ff…, BLOCK_USR_DATA@4=file:data.bin
    #[arg(long = "block", value_name = "BLOCK[@OFFSET]=BYTES")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<String>,
    /// A key: SLOT:PURPOSE=SOURCE, where SLOT is BLOCK_KEY0 or `free`, and SOURCE file:PATH, store:NAME (the unit's own
    /// or a shared key of the store) or digest:PATH of a public key; `,readable` and `,writable` leave the slot open
    #[arg(long = "key", value_name = "SLOT:PURPOSE=SOURCE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// A field or block that nobody can write afterwards
    #[arg(long = "write-protect", value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write_protect: Vec<String>,
    /// A field or block that software cannot read afterwards
    #[arg(long = "read-protect", value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_protect: Vec<String>,
    /// A MAC of one's own beside the factory's
    #[arg(long, value_name = "MAC")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_mac: Option<String>,
    /// Voltage of the flash's supply (ESP32, ESP32-S2, ESP32-S3): 1.8V, 3.3V, off
    #[arg(long, value_name = "VOLTAGE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_voltage: Option<String>,
    /// How flash gets its ciphertext when encryption is switched on: written, bootloader
    #[arg(long, value_name = "HOW")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Public key that signed the bootloader in flash (PEM); may be repeated
    #[arg(long = "signed-by", value_name = "PEM")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<PathBuf>,
}

/// Parameters as the record keeps them: bytes written in the open are named by their number only, whatever
/// they are.
pub(super) fn without_bytes(mut parameters: Value) -> Value {
    for list in ["set", "block", "key"] {
        let rows = parameters.get_mut(list).and_then(Value::as_array_mut);
        for row in rows.into_iter().flatten() {
            let Some(text) = row.as_str() else { continue };
            let kept = match text.split_once("hex:") {
                Some((what, bytes)) => format!("{what}hex:({} digits)", bytes.len()),
                None => without_slips(text),
            };
            *row = Value::String(kept);
        }
    }
    parameters
}

pub(super) fn refuse(text: &str, why: &str) -> OperationError {
    OperationError::usage("wish-invalid", format!("`{}`: {why}", shown(text)))
}

/// Text as an error may quote it: never the bytes behind `hex:`.
fn shown(text: &str) -> String {
    match text.split_once("hex:") {
        Some((what, _)) => format!("{what}hex:…"),
        None => without_slips(text).chars().take(200).collect(),
    }
}

/// Longest text that is kept although it is no form the station knows: shorter than any key in hex.
const SHORT: usize = 31;

/// Text without what may be a key that somebody gave in the open by mistake, as with the prefix left out or
/// in capitals: it is refused, and neither the refusal nor the record must hold it.
fn without_slips(text: &str) -> String {
    let (what, source) = match text.split_once('=') {
        Some((what, source)) => (format!("{what}="), source),
        None => (String::new(), text),
    };
    let named = ["file:", "store:", "digest:"]
        .iter()
        .any(|prefix| source.starts_with(prefix));
    let numbers = source
        .bytes()
        .all(|sign| sign.is_ascii_digit() || matches!(sign, b',' | b' '));
    if named || numbers || source.len() <= SHORT {
        return text.to_owned();
    }
    format!("{what}({} characters)", source.chars().count())
}

fn halves<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), OperationError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name, value)),
        Some(_) | None => Err(refuse(text, &format!("expected {form}"))),
    }
}

/// Reads a number as `12` or `0x0C`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) if hex.starts_with('+') => None,
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if text.bytes().all(|sign| sign.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

fn open_bytes(text: &str, hex: &str) -> Result<Vec<u8>, OperationError> {
    hex::decode(hex.replace(['_', ' '], "")).map_err(|_| refuse(text, "is no hex"))
}

fn field(text: &str) -> Result<FieldWish, OperationError> {
    let (field, value) = halves(text, "FIELD=VALUE")?;
    let value = match value.strip_prefix("hex:") {
        Some(hex) => FieldValue::Bytes(open_bytes(text, hex)?),
        None => match value {
            "true" => FieldValue::Number(1),
            "false" => FieldValue::Number(0),
            digits => FieldValue::Number(
                number(digits).ok_or_else(|| refuse(text, "the value is no number"))?,
            ),
        },
    };
    Ok(FieldWish {
        field: field.to_owned(),
        value,
    })
}

fn bits(text: &str) -> Result<BitWish, OperationError> {
    let (block, list) = halves(text, "BLOCK=BIT,BIT")?;
    let bits = list.split(',').map(|bit| bit.trim().parse().ok());
    let bits: Option<Vec<u16>> = bits.collect();
    Ok(BitWish {
        block: block.to_owned(),
        bits: bits.ok_or_else(|| refuse(text, "bits are numbers from 0"))?,
    })
}

/// Whether a name is that of a slot that may hold a key.
fn holds_key(map: &FuseMap, name: &str) -> bool {
    let block = map
        .block_named(name)
        .or_else(|| map.field(name).and_then(|field| map.block(field.block())));
    block.is_some_and(|block| block.key_slot)
}

impl WishParameters {
    /// Whether nothing is wished for.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
            && self.bits.is_empty()
            && self.block.is_empty()
            && self.key.is_empty()
            && self.write_protect.is_empty()
            && self.read_protect.is_empty()
            && self.custom_mac.is_none()
            && self.flash_voltage.is_none()
    }

    /// Reads the text, the files and the keys it names, for the chip of this snapshot.
    ///
    /// # Errors
    /// `wish-empty`, `wish-invalid`, `key-in-the-open`; those of files, public keys and the key store.
    pub(super) async fn wish(
        &self,
        station: &Station,
        snapshot: &Snapshot,
        accepted: &Accepted,
    ) -> Result<Wish, OperationError> {
        if self.is_empty() {
            return Err(OperationError::usage("wish-empty", "nothing to burn was named")
                .hint("name a field (`--set NAME=1`), a key (`--key free:USER=file:k.bin`), a protection …"));
        }
        let mut wish = self.simple(accepted)?;
        let map = snapshot.map();
        for text in &self.block {
            wish.blocks.push(block(station, map, text).await?);
        }
        for text in &self.set {
            let (name, value) = halves(text, "FIELD=VALUE")?;
            if value.starts_with("hex:") && holds_key(map, name) {
                return Err(in_the_open(name));
            }
        }
        for text in &self.key {
            let wanted = key(text)?;
            wish.keys.push(key_wish(station, snapshot, wanted).await?);
        }
        wish.content.signed_by = digests(station, &self.signed_by).await?;
        Ok(wish)
    }

    /// Everything that needs neither file nor chip.
    fn simple(&self, accepted: &Accepted) -> Result<Wish, OperationError> {
        let custom_mac = match &self.custom_mac {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| refuse(text, "is no MAC address"))?,
            ),
        };
        let flash_voltage = match self.flash_voltage.as_deref() {
            None => None,
            Some("1.8V") => Some(FlashVoltage::Low),
            Some("3.3V") => Some(FlashVoltage::High),
            Some("off") => Some(FlashVoltage::Off),
            Some(other) => return Err(refuse(other, "a voltage is 1.8V, 3.3V or off")),
        };
        Ok(Wish {
            fields: self
                .set
                .iter()
                .map(|text| field(text))
                .collect::<Result<_, _>>()?,
            bits: self
                .bits
                .iter()
                .map(|text| bits(text))
                .collect::<Result<_, _>>()?,
            write_protect: self.write_protect.clone(),
            read_protect: self.read_protect.clone(),
            custom_mac,
            flash_voltage,
            content: FlashContent {
                encrypted: content(self.content.as_deref())?,
                signed_by: Vec::new(),
                digested: false,
            },
            accepted: accepted.dangers()?,
            ..Wish::default()
        })
    }
}

/// How flash gets its ciphertext.
pub(super) fn content(text: Option<&str>) -> Result<ContentPlan, OperationError> {
    match text {
        None => Ok(ContentPlan::Unknown),
        Some("written") => Ok(ContentPlan::Written),
        Some("bootloader") => Ok(ContentPlan::ByBootloader),
        Some(other) => Err(refuse(other, "content is `written` or `bootloader`")),
    }
}

/// Digests of public keys in files.
pub(super) async fn digests(
    station: &Station,
    files: &[PathBuf],
) -> Result<Vec<[u8; 32]>, OperationError> {
    let mut digests = Vec::new();
    for file in files {
        digests.push(digest_of(station, file).await?);
    }
    Ok(digests)
}

fn in_the_open(name: &str) -> OperationError {
    OperationError::usage(
        "key-in-the-open",
        format!("`{name}` can hold a key, and parameters are recorded"),
    )
    .hint("put the bytes into a file, `file:key.bin`, or into the store with `station keys import`")
}

async fn block(station: &Station, map: &FuseMap, text: &str) -> Result<BlockWish, OperationError> {
    let (name, source) = halves(text, "BLOCK=hex:… or BLOCK=file:PATH")?;
    let (name, offset) = match name.split_once('@') {
        None => (name, 0),
        Some((name, offset)) => {
            let offset = number(offset).and_then(|offset| u8::try_from(offset).ok());
            (
                name,
                offset.ok_or_else(|| refuse(text, "the offset is no byte of a block"))?,
            )
        }
    };
    let bytes = if let Some(hex) = source.strip_prefix("hex:") {
        if holds_key(map, name) {
            return Err(in_the_open(name));
        }
        Secret::new(open_bytes(text, hex)?)
    } else if let Some(file) = source.strip_prefix("file:") {
        secret_file(station, Path::new(file)).await?
    } else {
        return Err(refuse(text, "bytes come as `hex:…` or `file:PATH`"));
    };
    Ok(BlockWish {
        block: name.to_owned(),
        offset,
        bytes,
    })
}

/// Reads `SLOT:PURPOSE=SOURCE,readable,writable`.
pub(super) fn key(text: &str) -> Result<KeySlot, OperationError> {
    const FORM: &str = "SLOT:PURPOSE=SOURCE";
    let (place, source) = halves(text, FORM)?;
    let (slot, purpose) = place
        .split_once(':')
        .ok_or_else(|| refuse(text, &format!("expected {FORM}")))?;
    let mut parts = source.split(',');
    let source = parts.next().unwrap_or_default();
    let (mut readable, mut writable) = (false, false);
    for option in parts {
        match option {
            "readable" => readable = true,
            "writable" => writable = true,
            _ => {
                return Err(refuse(
                    text,
                    "after the source come `readable` and `writable`",
                ));
            }
        }
    }
    let want = match source.split_once(':') {
        Some(("file", path)) => Want::File(PathBuf::from(path)),
        Some(("store", name)) => Want::Store(name.to_owned()),
        Some(("digest", path)) => Want::Digest(PathBuf::from(path)),
        Some(("hex", _)) => return Err(in_the_open(slot)),
        Some(_) | None => {
            return Err(refuse(
                text,
                "a key comes from `file:PATH`, `store:NAME` or `digest:PATH`",
            ));
        }
    };
    let slot = if slot.eq_ignore_ascii_case("free") {
        Slot::Free
    } else {
        Slot::Named(slot.to_owned())
    };
    Ok(KeySlot {
        slot,
        purpose: purpose.to_owned(),
        want,
        read_protect: readable.then_some(false),
        write_protect: writable.then_some(false),
    })
}

/// Reads a file of bytes that may be a key.
pub(in super::super) async fn secret_file(
    station: &Station,
    file: &Path,
) -> Result<Secret, OperationError> {
    let path = station.readable(file)?;
    let read =
        tokio::task::spawn_blocking(move || crate::station::read_bounded(&path, MAX_KEY_FILE))
            .await
            .map_err(|error| OperationError::new("internal", error.to_string()))??;
    Ok(Secret::new(read))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_bits_and_keys_are_read_as_they_are_meant() {
        assert_eq!(field("A=1").unwrap().value, FieldValue::Number(1));
        assert_eq!(field("A=0x1f").unwrap().value, FieldValue::Number(31));
        assert_eq!(field("A=true").unwrap().value, FieldValue::Number(1));
        assert_eq!(
            field("A=hex:00ff").unwrap().value,
            FieldValue::Bytes(vec![0, 255])
        );
        assert_eq!(bits("BLOCK3=0,5,17").unwrap().bits, [0, 5, 17]);
        let wanted = key("free:HMAC_UP=store:hmac,readable").unwrap();
        assert_eq!(
            (wanted.slot, wanted.read_protect, wanted.write_protect),
            (Slot::Free, Some(false), None)
        );
    }

    #[test]
    fn text_that_cannot_be_meant_is_refused_without_quoting_bytes() {
        for wrong in [
            "A", "=1", "A=", "A=-1", "A=+1", "A=0x+1", "A=yes", "A=hex:0", "A=1.5",
        ] {
            assert_eq!(field(wrong).unwrap_err().code, "wish-invalid", "{wrong}");
        }
        for wrong in ["B=", "B=x", "B=1,,2", "B=70000"] {
            assert_eq!(bits(wrong).unwrap_err().code, "wish-invalid", "{wrong}");
        }
        for wrong in [
            "KEY0=file:k",
            "KEY0:USER=k",
            "KEY0:USER=file:k,open",
            "KEY0:USER=http://k",
        ] {
            assert_eq!(key(wrong).unwrap_err().code, "wish-invalid", "{wrong}");
        }
        let error = field("A=hex:c0ffeec0ffeec").unwrap_err();
        assert!(!error.message.contains("c0ffee"), "{error}");
    }

    #[test]
    fn a_key_is_never_taken_from_a_parameter() {
        let error = key("BLOCK_KEY0:USER=hex:c0ffee").unwrap_err();
        assert_eq!(error.code, "key-in-the-open");
        let recorded = without_bytes(json!({"port": "virtual:1", "block": ["KEY0=hex:c0ffee"],
            "key": ["BLOCK_KEY0:USER=hex:c0ffee"], "set": ["A=1"]}));
        assert!(!recorded.to_string().contains("c0ffee"), "{recorded}");
        let bytes = "c0ffee".repeat(8);
        for slip in ["HEX:", "0x", "hex", ""] {
            let slip = format!("BLOCK_KEY0:USER={slip}{bytes}");
            let error = key(&slip).unwrap_err();
            assert!(!error.message.contains("c0ffee"), "{error}");
            let recorded = without_bytes(json!({"key": [slip], "block": [bytes]}));
            assert!(!recorded.to_string().contains("c0ffee"), "{recorded}");
        }
        assert_eq!(recorded["set"][0], "A=1");
    }
}
