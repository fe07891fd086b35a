//! What was written: the recipe's text as values, every one with its place, nothing judged yet.
//!
//! Invariants: every struct refuses unknown keys; every field is optional here, for the walk over
//! the text has already reported what is missing and taken out what is wrong, so that the compiler
//! can report everything else in the same go. No `flatten`, `tag` or `untagged`: they lose the
//! places.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use toml::Spanned;

use super::quantity;

/// Something with its place.
pub(crate) type At<T> = Option<Spanned<T>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecipeFile {
    pub(crate) format: At<i64>,
    pub(crate) product: At<String>,
    pub(crate) revision: At<String>,
    pub(crate) chip: At<Texts>,
    pub(crate) min_revision: At<String>,
    pub(crate) run: Option<RunTable>,
    pub(crate) serial: At<SerialTable>,
    pub(crate) values: At<ValuesTable>,
    #[serde(default)]
    pub(crate) images: BTreeMap<Spanned<String>, Spanned<ImageTable>>,
    #[serde(default)]
    pub(crate) step: Vec<Spanned<StepTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunTable {
    pub(crate) mode: Option<ModeWord>,
    pub(crate) attempt_timeout: At<Length>,
    pub(crate) auto_start: Option<bool>,
    pub(crate) seen_before: Option<SeenBeforeWord>,
    pub(crate) quota: Option<u64>,
    pub(crate) quarantine_after: Option<u32>,
    pub(crate) bauds: At<Vec<u32>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModeWord {
    Independent,
    Carrier,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SeenBeforeWord {
    Refuse,
    Repeat,
    Verify,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SerialTable {
    pub(crate) pool: At<String>,
    pub(crate) pattern: At<String>,
    pub(crate) from: At<String>,
    pub(crate) column: At<String>,
    pub(crate) mac: At<String>,
    pub(crate) allow: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValuesTable {
    pub(crate) from: At<String>,
    pub(crate) mac: At<String>,
    pub(crate) serial: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageTable {
    pub(crate) file: At<String>,
    pub(crate) bundled: At<BundledWord>,
    pub(crate) at: At<Place>,
    pub(crate) crystal: At<u8>,
    pub(crate) chip: At<Texts>,
    pub(crate) kind: At<KindWord>,
    pub(crate) flash_mode: At<String>,
    pub(crate) flash_freq: At<String>,
    pub(crate) min_revision: At<String>,
    pub(crate) max_revision: At<String>,
    pub(crate) mmu_page_size: At<Size>,
    pub(crate) secure_pad: At<PadWord>,
    pub(crate) pad_to_size: At<Size>,
    pub(crate) hash: At<HashWord>,
    pub(crate) elf_sha256_offset: At<u32>,
    pub(crate) use_segments: At<bool>,
    pub(crate) ram_only_header: At<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HashWord {
    Sha256,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PadWord {
    None,
    V1,
    V2,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BundledWord {
    Bootloader,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindWord {
    App,
    Bootloader,
    Table,
    Raw,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepTable {
    pub(crate) name: At<String>,
    pub(crate) identify: At<IdentifyTable>,
    pub(crate) erase: At<EraseTable>,
    pub(crate) flash: At<FlashTable>,
    pub(crate) data: At<DataTable>,
    pub(crate) serial: At<SerialStepTable>,
    pub(crate) nvs: At<NvsTable>,
    pub(crate) boot: At<BootTable>,
    pub(crate) test: At<TestTable>,
    pub(crate) command: At<CommandTable>,
    pub(crate) check: At<CheckTable>,
    pub(crate) read: At<ReadTable>,
    pub(crate) efuse: At<EfuseTable>,
    pub(crate) key: At<KeyTable>,
    pub(crate) flash_encryption: At<FlashEncryptionTable>,
    pub(crate) secure_boot: At<SecureBootTable>,
    pub(crate) timeout: At<Length>,
    pub(crate) retry: Option<RetryTable>,
    pub(crate) when: At<String>,
    pub(crate) always: Option<bool>,
    pub(crate) needs: At<Texts>,
    pub(crate) group: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryTable {
    pub(crate) times: Option<u32>,
    pub(crate) on: Option<Vec<Spanned<String>>>,
    pub(crate) pause: At<Length>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentifyTable {
    pub(crate) flash_size: At<Size>,
    pub(crate) mac_prefix: At<Texts>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseTable {
    pub(crate) all: Option<bool>,
    pub(crate) ranges: Option<Vec<Spanned<PlaceTable>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceTable {
    pub(crate) at: At<Place>,
    pub(crate) size: At<Size>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlashTable {
    pub(crate) images: At<Vec<Spanned<String>>>,
    pub(crate) verify: At<VerifyWord>,
    pub(crate) unchanged: Option<UnchangedWord>,
    pub(crate) encrypt: At<EncryptWord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncryptWord {
    Chip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VerifyWord {
    Md5,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnchangedWord {
    Skip,
    Write,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataTable {
    pub(crate) at: At<Place>,
    pub(crate) size: At<Size>,
    pub(crate) value: At<String>,
    pub(crate) file: At<String>,
    pub(crate) encoding: At<EncodingWord>,
    pub(crate) clear: Option<bool>,
    pub(crate) pad: At<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SerialStepTable {
    pub(crate) at: At<Place>,
    pub(crate) size: At<Size>,
    pub(crate) value: At<String>,
    pub(crate) clear: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NvsTable {
    pub(crate) partition: At<String>,
    pub(crate) at: At<Place>,
    pub(crate) size: At<Size>,
    pub(crate) version: Option<u8>,
    pub(crate) csv: At<String>,
    pub(crate) values: Option<Vec<Spanned<NvsValueTable>>>,
    pub(crate) encryption: At<NvsEncryptionTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NvsValueTable {
    pub(crate) namespace: At<String>,
    pub(crate) key: At<String>,
    #[serde(rename = "type")]
    pub(crate) form: At<NvsWord>,
    pub(crate) value: At<NumberOrText>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NvsWord {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    String,
    Hex,
    Base64,
    File,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NvsEncryptionTable {
    pub(crate) keys: At<String>,
    pub(crate) hmac: At<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncodingWord {
    Text,
    Hex,
    Base64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BootTable {
    pub(crate) expect: At<String>,
    pub(crate) within: At<Length>,
    pub(crate) reject: At<Texts>,
    pub(crate) baud: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestTable {
    pub(crate) boot: Option<bool>,
    pub(crate) expect: At<String>,
    pub(crate) within: At<Length>,
    pub(crate) reject: At<Texts>,
    pub(crate) baud: Option<u32>,
    pub(crate) script: At<Vec<Spanned<ExchangeTable>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeTable {
    pub(crate) send: At<String>,
    pub(crate) pattern: At<String>,
    pub(crate) within: At<Length>,
    pub(crate) measure: At<String>,
    pub(crate) unit: At<String>,
    pub(crate) min: At<Number>,
    pub(crate) max: At<Number>,
    pub(crate) equals: At<String>,
    #[serde(rename = "as")]
    pub(crate) form: At<FormWord>,
    pub(crate) needs: At<Texts>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputTable {
    pub(crate) measure: At<String>,
    pub(crate) pattern: At<String>,
    pub(crate) unit: At<String>,
    pub(crate) min: At<Number>,
    pub(crate) max: At<Number>,
    pub(crate) equals: At<String>,
    #[serde(rename = "as")]
    pub(crate) form: At<FormWord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FormWord {
    Number,
    Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandTable {
    pub(crate) run: At<Vec<Spanned<String>>>,
    pub(crate) within: At<Length>,
    pub(crate) measures: Option<Vec<Spanned<OutputTable>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckTable {
    pub(crate) images: Option<Vec<Spanned<String>>>,
    pub(crate) blank: Option<Vec<Spanned<PlaceTable>>>,
    pub(crate) secure_boot: Option<bool>,
    pub(crate) flash_encryption: Option<bool>,
    pub(crate) policy: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadTable {
    pub(crate) at: At<Place>,
    pub(crate) size: At<Size>,
    pub(crate) nvs: At<NvsPlaceTable>,
    pub(crate) equals: At<String>,
    pub(crate) encoding: At<ReadWord>,
    pub(crate) measure: At<String>,
    pub(crate) unit: At<String>,
    pub(crate) min: At<Number>,
    pub(crate) max: At<Number>,
    pub(crate) attach: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NvsPlaceTable {
    pub(crate) partition: At<String>,
    pub(crate) namespace: At<String>,
    pub(crate) key: At<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReadWord {
    Text,
    Hex,
    U8,
    U16le,
    U16be,
    U32le,
    U32be,
    U64le,
    U64be,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EfuseTable {
    #[serde(default)]
    pub(crate) fields: BTreeMap<Spanned<String>, Spanned<FuseWord>>,
    pub(crate) block_usr_data: At<String>,
    #[serde(default)]
    pub(crate) blocks: BTreeMap<Spanned<String>, Spanned<String>>,
    pub(crate) write_protect: At<Texts>,
    pub(crate) read_protect: At<Texts>,
    pub(crate) custom_mac: At<String>,
    pub(crate) flash_voltage: At<VoltageWord>,
    pub(crate) accept: Option<Vec<Spanned<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum VoltageWord {
    #[serde(rename = "1.8V")]
    Low,
    #[serde(rename = "3.3V")]
    High,
    #[serde(rename = "off")]
    Off,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyTable {
    pub(crate) purpose: At<String>,
    pub(crate) slot: At<String>,
    pub(crate) source: At<SourceWord>,
    pub(crate) name: At<String>,
    pub(crate) custody: Option<CustodyWord>,
    pub(crate) read_protect: Option<bool>,
    pub(crate) write_protect: Option<bool>,
    pub(crate) accept: Option<Vec<Spanned<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CustodyWord {
    Escrow,
    Forget,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySourceTable {
    pub(crate) file: At<String>,
    pub(crate) csv: At<String>,
    pub(crate) shared: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecureBootTable {
    pub(crate) version: Option<u8>,
    pub(crate) digests: At<Vec<Spanned<DigestTable>>>,
    pub(crate) revoke_unused: At<bool>,
    pub(crate) aggressive_revoke: At<bool>,
    pub(crate) key: At<BootKeyTable>,
    pub(crate) signed_by: At<String>,
    pub(crate) accept: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BootKeyTable {
    pub(crate) source: At<SourceWord>,
    pub(crate) name: At<String>,
    pub(crate) custody: Option<CustodyWord>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestTable {
    pub(crate) public_key: At<String>,
    pub(crate) file: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlashEncryptionTable {
    pub(crate) mode: Option<EncryptionModeWord>,
    pub(crate) key: At<EncryptionKeyTable>,
    pub(crate) images: At<Vec<Spanned<String>>>,
    pub(crate) content: At<ContentWord>,
    pub(crate) accept: Option<Vec<Spanned<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncryptionModeWord {
    Release,
    Development,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContentWord {
    Host,
    Bootloader,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EncryptionKeyTable {
    pub(crate) kind: At<EncryptionKindWord>,
    pub(crate) slot: At<String>,
    pub(crate) source: At<SourceWord>,
    pub(crate) name: At<String>,
    pub(crate) custody: Option<CustodyWord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncryptionKindWord {
    Xts128,
    Xts128Derived,
    Xts256,
    Esp32,
}

/// `"generate"`, or a table that says more.
#[derive(Debug)]
pub(crate) enum SourceWord {
    Generate,
    Table(KeySourceTable),
}

impl<'de> Deserialize<'de> for SourceWord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct SourceVisitor;
        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = SourceWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`generate` or a table")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SourceWord, E> {
                match text {
                    "generate" => Ok(SourceWord::Generate),
                    other => Err(E::unknown_variant(other, &["generate"])),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SourceWord, A::Error> {
                KeySourceTable::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(SourceWord::Table)
            }
        }
        from.deserialize_any(SourceVisitor)
    }
}

/// What a fuse is to be: a number or text. `true` and `false` are 1 and 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FuseWord {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for FuseWord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FuseVisitor;
        impl Visitor<'_> for FuseVisitor {
            type Value = FuseWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, `true` or text")
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<FuseWord, E> {
                Ok(FuseWord::Number(u64::from(flag)))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<FuseWord, E> {
                u64::try_from(number)
                    .map(FuseWord::Number)
                    .map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FuseWord, E> {
                Ok(FuseWord::Text(text.to_owned()))
            }
        }
        from.deserialize_any(FuseVisitor)
    }
}

/// A whole number or text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NumberOrText {
    Number(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct EitherVisitor;
        impl Visitor<'_> for EitherVisitor {
            type Value = NumberOrText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or text")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<NumberOrText, E> {
                Ok(NumberOrText::Number(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NumberOrText, E> {
                Ok(NumberOrText::Text(text.to_owned()))
            }
        }
        from.deserialize_any(EitherVisitor)
    }
}

/// A duration with its unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length(pub(crate) Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        quantity::parse_duration(&text)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

/// A size in bytes with its unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        quantity::parse_size(&text)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

/// A flash offset or the name of a partition.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Offset(u32),
    Partition(String),
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct PlaceVisitor;
        impl Visitor<'_> for PlaceVisitor {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an offset or the name of a partition")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Place, E> {
                u32::try_from(number).map(Place::Offset).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Place, E> {
                match quantity::parse_address(text) {
                    Some(offset) => offset.map(Place::Offset).map_err(E::custom),
                    None => Ok(Place::Partition(text.to_owned())),
                }
            }
        }
        from.deserialize_any(PlaceVisitor)
    }
}

/// A whole or decimal number; infinite and undefined ones are possible here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(pub(crate) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            #[expect(
                clippy::cast_precision_loss,
                reason = "limits are compared with measured values"
            )]
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }
        }
        from.deserialize_any(NumberVisitor)
    }
}

/// One text or several, each with its place where it stands in a list.
#[derive(Clone, Debug)]
pub(crate) struct Texts(Vec<(String, Option<Range<usize>>)>);

impl Texts {
    /// Returns the texts with their places; `whole` is the place of the value itself.
    pub(crate) fn iter(&self, whole: Range<usize>) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.0
            .iter()
            .map(move |(text, span)| (text.as_str(), span.clone().unwrap_or_else(|| whole.clone())))
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![(text.to_owned(), None)]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<Spanned<String>>()? {
                    let span = text.span();
                    texts.push((text.into_inner(), Some(span)));
                }
                Ok(Texts(texts))
            }
        }
        from.deserialize_any(TextsVisitor)
    }
}
