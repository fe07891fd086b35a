//! What an ESP-IDF build says about its files: `flasher_args.json`.
//!
//! Invariants: what names no flash offset, an unknown chip, or a file outside its folder is refused,
//! never guessed; files are in the order of their offsets, no two at one; there are at most
//! [`MAX_FILES`]. Source: `esp_idf/tools/cmake/flasher_args.json.in` as filled in by `esptool_py` of
//! ESP-IDF 5.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::chip::Chip;

/// Largest list that is worth reading, in bytes.
pub const MAX_LIST: u64 = 1024 * 1024;
/// Most files of a build.
pub const MAX_FILES: usize = 64;

/// Why a build's list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlasherArgsError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// A key that must be there is not, or is something else than it should be.
    #[error("`{key}` should be {wanted}")]
    Shape {
        /// The key.
        key: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A place that is no flash offset.
    #[error("`{0}` is no flash offset")]
    Offset(String),
    /// Two files at one offset.
    #[error("two files at {0:#x}")]
    SameOffset(u32),
    /// A file outside the build's folder.
    #[error("`{0}` is no file of the build's own folder")]
    Outside(String),
    /// A chip nobody knows.
    #[error("no chip is called `{0}`")]
    Chip(String),
    /// No files.
    #[error("it names no files")]
    Empty,
    /// More files than any build has.
    #[error("it names {0} files, more than {MAX_FILES}")]
    TooMany(usize),
    /// A description that contradicts the list of files.
    #[error("`{part}` is at {offset:#x}, where the list of files has another file or none")]
    Contradiction {
        /// The description's name.
        part: String,
        /// Its offset.
        offset: u32,
    },
}

impl FlasherArgsError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "flasher-args-json",
            Self::Shape { .. } => "flasher-args-shape",
            Self::Offset(_) => "flasher-args-offset",
            Self::SameOffset(_) => "flasher-args-same-offset",
            Self::Outside(_) => "flasher-args-outside",
            Self::Chip(_) => "flasher-args-chip",
            Self::Empty => "flasher-args-empty",
            Self::TooMany(_) => "flasher-args-too-many",
            Self::Contradiction { .. } => "flasher-args-contradiction",
        }
    }
}

/// What a file of a build is, by the name under which the build describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// The second-stage bootloader.
    Bootloader,
    /// The partition table.
    PartitionTable,
    /// The application.
    Application,
    /// Something else, or not described.
    Other,
}

/// A file of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFile {
    /// Where it belongs.
    pub offset: u32,
    /// The file, relative to the list.
    pub file: PathBuf,
    /// What it is.
    pub kind: PartKind,
    /// Whether the build wants it encrypted; `None` if it does not say.
    pub encrypted: Option<bool>,
}

/// A build's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlasherArgs {
    /// The chip it was built for, if it says so.
    pub chip: Option<Chip>,
    /// How flash is read, as `dio`; `None` if left open.
    pub flash_mode: Option<String>,
    /// Flash clock, as `80m`; `None` if left open.
    pub flash_frequency: Option<String>,
    /// Size of flash, as `4MB`; `None` if left open.
    pub flash_size: Option<String>,
    /// Its files, by offset.
    pub files: Vec<BuildFile>,
}

impl FlasherArgs {
    /// Reads a list.
    ///
    /// # Errors
    /// When it is none or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, FlasherArgsError> {
        let list: Value = serde_json::from_slice(bytes)
            .map_err(|error| FlasherArgsError::Json(error.to_string()))?;
        let shape = |key, wanted| FlasherArgsError::Shape { key, wanted };
        let list = list
            .as_object()
            .ok_or(shape("{", "the beginning of an object"))?;
        let named = list.get("flash_files").and_then(Value::as_object);
        let named = named.ok_or(shape("flash_files", "an object of offsets and files"))?;
        if named.is_empty() {
            return Err(FlasherArgsError::Empty);
        }
        if named.len() > MAX_FILES {
            return Err(FlasherArgsError::TooMany(named.len()));
        }
        let mut files = BTreeMap::new();
        for (place, file) in named {
            let offset = offset(place)?;
            let file = file
                .as_str()
                .ok_or(shape("flash_files", "an object of offsets and files"))?;
            let file = BuildFile {
                offset,
                file: inside(file)?,
                kind: PartKind::Other,
                encrypted: None,
            };
            if files.insert(offset, file).is_some() {
                return Err(FlasherArgsError::SameOffset(offset));
            }
        }
        describe(list, &mut files)?;
        let settings = object(list, "flash_settings")?;
        let said = |key: &str| {
            let word = settings?.get(key)?.as_str()?;
            (word != "keep" && word != "detect").then(|| word.to_ascii_lowercase())
        };
        let extra = object(list, "extra_esptool_args")?;
        let chip = extra
            .and_then(|extra| extra.get("chip"))
            .and_then(Value::as_str);
        let chip = chip
            .map(|chip| {
                let unknown = |_| FlasherArgsError::Chip(shown(chip));
                chip.parse::<Chip>().map_err(unknown)
            })
            .transpose()?;
        Ok(Self {
            chip,
            flash_mode: said("flash_mode"),
            flash_frequency: said("flash_freq"),
            flash_size: said("flash_size"),
            files: files.into_values().collect(),
        })
    }
}

/// Adds what the list's other objects say about the files.
fn describe(
    list: &Map<String, Value>,
    files: &mut BTreeMap<u32, BuildFile>,
) -> Result<(), FlasherArgsError> {
    for (part, about) in list {
        let Some(about) = about.as_object() else {
            continue;
        };
        let Some(place) = about.get("offset").and_then(Value::as_str) else {
            continue;
        };
        let offset = offset(place)?;
        let contradiction = || FlasherArgsError::Contradiction {
            part: shown(part),
            offset,
        };
        let described = files.get_mut(&offset).ok_or_else(contradiction)?;
        if let Some(file) = about.get("file").and_then(Value::as_str)
            && inside(file)? != described.file
        {
            return Err(contradiction());
        }
        described.kind = match part.as_str() {
            "bootloader" => PartKind::Bootloader,
            "partition-table" | "partition_table" => PartKind::PartitionTable,
            "app" => PartKind::Application,
            _ => PartKind::Other,
        };
        described.encrypted = match about.get("encrypted") {
            Some(Value::Bool(encrypted)) => Some(*encrypted),
            Some(Value::String(word)) if word == "true" => Some(true),
            Some(Value::String(word)) if word == "false" || word.is_empty() => Some(false),
            None => None,
            Some(_) => {
                return Err(FlasherArgsError::Shape {
                    key: "encrypted",
                    wanted: "`true` or `false`",
                });
            }
        };
    }
    Ok(())
}

fn object<'a>(
    list: &'a Map<String, Value>,
    key: &'static str,
) -> Result<Option<&'a Map<String, Value>>, FlasherArgsError> {
    match list.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(FlasherArgsError::Shape {
            key,
            wanted: "an object",
        }),
    }
}

fn offset(text: &str) -> Result<u32, FlasherArgsError> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `u32`'s own parser takes a sign, which offsets do not have.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16).ok()
        }
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Some(_) | None => None,
    };
    parsed.ok_or_else(|| FlasherArgsError::Offset(shown(text)))
}

/// Only what lies beside the list or below it.
fn inside(file: &str) -> Result<PathBuf, FlasherArgsError> {
    let path = Path::new(file);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if file.is_empty() || file.contains('\0') || !path.components().all(plain) {
        return Err(FlasherArgsError::Outside(shown(file)));
    }
    Ok(path.to_path_buf())
}

fn shown(text: &str) -> String {
    text.escape_debug().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"write_flash_args": ["--flash_mode", "dio"],
        "flash_settings": {"flash_mode": "dio", "flash_size": "detect", "flash_freq": "80m"},
        "flash_files": {"0x10000": "app.bin", "0x0": "bootloader/bootloader.bin"},
        "app": {"offset": "0x10000", "file": "app.bin", "encrypted": "true"},
        "extra_esptool_args": {"after": "hard_reset", "stub": true, "chip": "esp32c3"}}"#;

    #[test]
    fn files_are_in_the_order_of_their_offsets_with_what_is_said_of_them() {
        let list = FlasherArgs::parse(LIST.as_bytes()).unwrap();
        assert_eq!(list.chip, Some(Chip::Esp32C3));
        assert_eq!(list.flash_mode.as_deref(), Some("dio"));
        assert_eq!(list.flash_frequency.as_deref(), Some("80m"));
        assert_eq!(list.flash_size, None);
        let file = |offset, file: &str, kind, encrypted| BuildFile {
            offset,
            file: file.into(),
            kind,
            encrypted,
        };
        assert_eq!(
            list.files,
            [
                file(0, "bootloader/bootloader.bin", PartKind::Other, None),
                file(0x10000, "app.bin", PartKind::Application, Some(true)),
            ]
        );
    }

    #[test]
    fn a_list_that_is_none_or_contradicts_itself_is_refused() {
        for (wrong, code) in [
            ("".to_owned(), "flasher-args-json"),
            ("[".repeat(10_000), "flasher-args-json"),
            ("[]".to_owned(), "flasher-args-shape"),
            ("{}".to_owned(), "flasher-args-shape"),
            (r#"{"flash_files": {}}"#.to_owned(), "flasher-args-empty"),
            (LIST.replace("0x0\"", "here\""), "flasher-args-offset"),
            (LIST.replace("0x0\"", "0x+1\""), "flasher-args-offset"),
            (
                LIST.replace("0x0\"", "0x100000000\""),
                "flasher-args-offset",
            ),
            (LIST.replace("0x0\"", "65536\""), "flasher-args-same-offset"),
            (LIST.replace("bootloader/", "../"), "flasher-args-outside"),
            (LIST.replace("bootloader/", "/"), "flasher-args-outside"),
            (LIST.replace("esp32c3", "esp9000"), "flasher-args-chip"),
            (
                LIST.replace("{\"offset\": \"0x10000\"", "{\"offset\": \"0x20000\""),
                "flasher-args-contradiction",
            ),
            (
                LIST.replace("\"file\": \"app.bin\"", "\"file\": \"other.bin\""),
                "flasher-args-contradiction",
            ),
            (LIST.replace("\"true\"", "7"), "flasher-args-shape"),
        ] {
            let error = FlasherArgs::parse(wrong.as_bytes()).unwrap_err();
            assert_eq!(error.code(), code, "{wrong:.200}");
        }
        let many: Vec<String> = (0..=MAX_FILES)
            .map(|at| format!("\"{at}\": \"a\""))
            .collect();
        let many = format!("{{\"flash_files\": {{{}}}}}", many.join(","));
        let error = FlasherArgs::parse(many.as_bytes()).unwrap_err();
        assert_eq!(error, FlasherArgsError::TooMany(MAX_FILES + 1));
    }
}
