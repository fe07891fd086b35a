//! NVS images: `esp_nvs_partition_create`.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::nvs::{self, Content, NvsKeys, Value};

use super::super::target::{FileView, Target, blocking};
use super::super::text::bytes;
use super::keys::{NvsSecret, drawn, fingerprint, refused};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Largest table as text, which names larger values by their files.
const MAX_CSV: u64 = 32 << 20;
/// Most files that a table names.
const MAX_FILES: usize = 4096;
/// Most values on a command line.
const MAX_VALUES: usize = 10_000;

fn newest() -> u8 {
    2
}

/// Parameters of `esp_nvs_partition_create`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(allow_missing_positional = true)]
pub struct CreateParameters {
    /// The table as CSV: key, type, encoding, value; files that it names lie beside it
    #[arg(value_name = "CSV")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<PathBuf>,
    /// File to write
    #[arg(required = true)]
    pub out: PathBuf,
    /// Bytes of the partition: 0x6000, 24KB; default: the fewest that hold everything and can be written to
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// A value as NAMESPACE/KEY:ENCODING=VALUE, besides or instead of that in the table: id/serial:string=SN1;
    /// encodings are u8, i8 … u64, i64, string, hex2bin, base64
    #[arg(long = "value", value_name = "NAMESPACE/KEY:ENCODING=VALUE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Form of the image: 2, or 1 for firmware from before ESP-IDF 3.3, with blobs of at most 1984 bytes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    #[serde(default = "newest")]
    #[schemars(range(min = 1, max = 2))]
    pub version: u8,
    /// What encrypts it
    #[command(flatten)]
    #[serde(flatten)]
    pub secret: NvsSecret,
    /// Encrypt it with new keys, and write their partition to this file, which must not be there yet
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keys", "hmac_key_file", "hmac_key"])]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_keys: Option<PathBuf>,
}

/// An NVS image that was written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CreateView {
    /// The file that was written
    #[serde(flatten)]
    pub file: FileView,
    /// How many namespaces it has
    pub namespaces: usize,
    /// How many values it has
    pub entries: usize,
    /// Fewest bytes that would hold everything and could be written to
    pub smallest_size: u32,
    /// Whether it is encrypted
    pub encrypted: bool,
    /// A name for its keys that gives nothing away
    pub keys: Option<String>,
    /// The file that new keys were written to, readable for its owner only
    pub keys_file: Option<String>,
}

/// The files that a table names, read before the table: their content, or in words why not.
#[derive(Default)]
struct Named(HashMap<String, Result<Vec<u8>, String>>);

impl Named {
    /// Reads what the table names, from beside it.
    async fn read(
        station: &Station,
        folder: &Path,
        text: &Arc<str>,
    ) -> Result<Self, OperationError> {
        let mut files = Self::default();
        let mut left = u64::from(nvs::MAX_SIZE);
        loop {
            let known = files;
            let text = Arc::clone(text);
            let (known, missing) = blocking(move || {
                let missing = known.missing(&text);
                Ok((known, missing))
            })
            .await?;
            files = known;
            if missing.is_empty() {
                return Ok(files);
            }
            if files.0.len() + missing.len() > MAX_FILES {
                let message = format!("the table names more than {MAX_FILES} files");
                return Err(OperationError::usage("nvs-files-count", message));
            }
            for name in missing {
                let read = match station.readable(&folder.join(&name)) {
                    Err(error) => Err(error.message),
                    Ok(path) => blocking(move || crate::station::read_bounded(&path, left))
                        .await
                        .map_err(|error| error.message),
                };
                left = left.saturating_sub(read.as_ref().map_or(0, |read| read.len() as u64));
                files.0.insert(name, read);
            }
        }
    }

    /// The files that are named as far as the table can be read without them.
    fn missing(&self, text: &str) -> BTreeSet<String> {
        let missing = RefCell::new(BTreeSet::new());
        let _ = Content::parse_csv(text, &|name| match self.0.get(name) {
            Some(read) => read.clone(),
            None => {
                missing.borrow_mut().insert(name.to_owned());
                Ok(Vec::new())
            }
        });
        missing.into_inner()
    }
}

/// Reads a table in CSV.
async fn table(station: &Station, file: &Path) -> Result<Content, OperationError> {
    let path = station.readable(file)?;
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    let read = blocking(move || crate::station::read_bounded(&path, MAX_CSV)).await?;
    let name = file.display().to_string();
    let text = String::from_utf8(read).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("`{name}`: no UTF-8 text from byte {at} on");
        OperationError::usage("nvs-not-text", message)
    })?;
    let text: Arc<str> = text.into();
    let files = Named::read(station, &folder, &text).await?;
    blocking(move || {
        let found = |wanted: &str| match files.0.get(wanted) {
            Some(read) => read.clone(),
            None => Err("it was not read".to_owned()),
        };
        Content::parse_csv(&text, &found)
            .map_err(|error| OperationError::usage(error.code(), format!("`{name}`: {error}")))
    })
    .await
}

/// Adds `NAMESPACE/KEY:ENCODING=VALUE`. What a value is is in no error: it may be a secret.
fn add(content: &mut Content, number: usize, text: &str) -> Result<(), OperationError> {
    let parts = || {
        let (place, value) = text.split_once('=')?;
        let (name, encoding) = place.rsplit_once(':')?;
        let (namespace, key) = name.split_once('/')?;
        Some((namespace, key, encoding, value))
    };
    let (namespace, key, encoding, value) = parts().ok_or_else(|| {
        let message = format!("value {number} is not NAMESPACE/KEY:ENCODING=VALUE");
        OperationError::usage("nvs-value", message)
            .hint("write namespace, `/`, key, `:`, encoding, `=` and the value: id/lot:u32=17")
    })?;
    let value = Value::from_text(encoding, value).map_err(|fault| {
        let message = format!("`{namespace}`/`{key}`: the value is none of encoding `{encoding}`");
        OperationError::usage(fault.code(), message)
            .hint("encodings are u8, i8, u16, i16, u32, i32, u64, i64, string, hex2bin, base64")
    })?;
    content
        .set(namespace, key, value)
        .map_err(|error| refused(&error))
}

/// `esp_nvs_partition_create`.
#[derive(Debug)]
pub struct NvsCreate;

/// Everything that is needed to make the image.
struct Order {
    content: Content,
    size: Option<u32>,
    version: nvs::Version,
    keys: Option<NvsKeys>,
    target: Target,
    new_keys: Option<Target>,
}

impl Order {
    fn made(self) -> Result<CreateView, OperationError> {
        let Self {
            content,
            version,
            keys,
            target,
            ..
        } = self;
        let smallest_size =
            nvs::smallest_size(&content, version).map_err(|error| refused(&error))?;
        let size = self.size.unwrap_or(smallest_size);
        let keys = keys.or_else(|| self.new_keys.as_ref().map(|_| drawn()));
        let image = match &keys {
            None => nvs::build(&content, size, version),
            Some(keys) => nvs::build_encrypted(&content, size, version, keys),
        };
        let image = image.map_err(|error| refused(&error))?;
        // The keys first: an image whose keys are nowhere is of no use to anybody.
        if let (Some(file), Some(keys)) = (&self.new_keys, &keys) {
            file.write(keys.to_partition().expose())?;
        }
        let rows = content.rows().len();
        let entries = content.entries().count();
        Ok(CreateView {
            file: target.write(&image)?,
            namespaces: rows - entries,
            entries,
            smallest_size,
            encrypted: keys.is_some(),
            keys: keys.as_ref().map(fingerprint),
            keys_file: self.new_keys.map(|file| file.name),
        })
    }
}

#[async_trait]
impl Operation for NvsCreate {
    const DECLARATION: Declaration = Declaration {
        name: "esp_nvs_partition_create",
        aliases: &[],
        command: &["nvs", "create"],
        title: "Make an NVS partition",
        summary: "Makes the image of an NVS partition of a table in CSV, of values, or of both, of every type and encoding of ESP-IDF, \
                  encrypted if keys are named or new ones wanted. An error names line and column or the key.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = CreateParameters;
    type Output = CreateView;

    async fn invoke(
        station: &Station,
        parameters: CreateParameters,
        _call: &Call,
    ) -> Result<CreateView, OperationError> {
        let size = parameters.size.as_deref().map(bytes).transpose()?;
        let target = Target::new(station, &parameters.out)?;
        let new_keys = parameters.new_keys.as_ref();
        let new_keys = new_keys
            .map(|out| Target::for_new_keys(station, out))
            .transpose()?;
        if new_keys.as_ref().is_some_and(|keys| keys.is(&target)) {
            let message = "image and keys cannot be one file";
            return Err(OperationError::usage("file-twice", message));
        }
        let sources = parameters.csv.iter().chain(parameters.secret.files());
        target.spare(station, sources)?;
        let keys = parameters.secret.keys(station).await?;
        if keys.is_some() && new_keys.is_some() {
            let message = "name keys, or a file for new ones, not both";
            return Err(OperationError::usage("key-ambiguous", message));
        }
        if parameters.csv.is_none() && parameters.values.is_empty() {
            return Err(
                OperationError::usage("nvs-nothing", "no table and no values were given")
                    .hint("name a CSV file, or give values: id/serial:string=SN1"),
            );
        }
        if parameters.values.len() > MAX_VALUES {
            let message = format!("more than {MAX_VALUES} values; put them into a table");
            return Err(OperationError::usage("nvs-values-count", message));
        }
        let mut content = match &parameters.csv {
            Some(file) => table(station, file).await?,
            None => Content::new(),
        };
        for (number, value) in (1..).zip(&parameters.values) {
            add(&mut content, number, value)?;
        }
        let order = Order {
            content,
            size,
            version: match parameters.version {
                1 => nvs::Version::V1,
                _ => nvs::Version::V2,
            },
            keys,
            target,
            new_keys,
        };
        blocking(move || order.made()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_the_place_of_that_in_the_table_and_is_in_no_error() {
        let mut content = Content::new();
        content.push("id", "lot", Value::U32(1)).unwrap();
        add(&mut content, 1, "id/lot:u32=17").unwrap();
        add(&mut content, 2, "id/note:string=a=b:c/d").unwrap();
        assert_eq!(content.find("id", "lot"), Some(&Value::U32(17)));
        assert_eq!(
            content.find("id", "note"),
            Some(&Value::String("a=b:c/d".to_owned()))
        );
        for (text, code) in [
            ("id/lot=17", "nvs-value"),
            ("lot:u32=17", "nvs-value"),
            ("id/lot:u8=300secret", "nvs-number"),
            ("id/lot:hex2bin=secret", "nvs-hex"),
            ("id/lot:blob=secret", "nvs-encoding"),
            ("id/much-too-long-a-key:string=secret", "nvs-name"),
        ] {
            let error = add(&mut content, 3, text).unwrap_err();
            assert_eq!(error.code, code, "{text}");
            assert!(!error.message.contains("secret"), "{}", error.message);
        }
    }
}
