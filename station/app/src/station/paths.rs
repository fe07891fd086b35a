//! Files that a client names: confined to the configured roots, links resolved.

use std::path::{Component, Path, PathBuf};

use station_esp::flasher_args::FlasherArgs;
use station_line::recipe::{self, Compiled, RecipeErrors};

use super::{DEFAULT_JOURNAL, REHEARSAL_JOURNAL, Station};
use crate::operation::OperationError;

/// Largest recipe that is looked into for a client.
const MAX_RECIPE: u64 = 1 << 20;
/// Files that a folder of sealed keys has, and hardly any other.
const STORE: [&str; 2] = ["identity.txt", "lock"];

impl Station {
    /// Resolves a file to be read.
    ///
    /// # Errors
    /// `file-unreadable`, `path-outside-roots`.
    pub fn readable(&self, path: &Path) -> Result<PathBuf, OperationError> {
        let resolved = path.canonicalize().map_err(|error| {
            // A client that asks for files elsewhere does not learn which of them exist.
            let why = if self.options.roots.is_some() {
                "no such file".to_owned()
            } else {
                error.to_string()
            };
            OperationError::usage(
                "file-unreadable",
                format!("cannot read `{}`: {why}", path.display()),
            )
        })?;
        self.confine(path, resolved)
    }

    /// Resolves a file to be written: its folder must exist, the file need not. Never the journal; and a
    /// client that is confined writes only files that are not there yet and are no recipe, as recipes name
    /// programs that are run.
    ///
    /// # Errors
    /// `file-unwritable`, `path-outside-roots`.
    pub fn writable(&self, path: &Path) -> Result<PathBuf, OperationError> {
        let refuse = |why: String| {
            OperationError::usage(
                "file-unwritable",
                format!("cannot write `{}`: {why}", path.display()),
            )
        };
        let name = path
            .file_name()
            .ok_or_else(|| refuse("it names no file".to_owned()))?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let folder = folder
            .canonicalize()
            .map_err(|error| refuse(error.to_string()))?;
        // A link in the file's place would lead out of the folder.
        let target = folder.join(name);
        let target = target.canonicalize().unwrap_or(target);
        let target = self.confine(path, target)?;
        if target.is_dir() {
            return Err(refuse("it is a folder".to_owned()));
        }
        if self.is_journal(&target) {
            return Err(refuse("it is the journal".to_owned()).hint("write to another file"));
        }
        if self.is_key_store(&target) {
            return Err(refuse("it lies in the key store".to_owned()).hint("write to another file"));
        }
        if self.options.roots.is_some() {
            if target
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
            {
                return Err(refuse(
                    "clients write no TOML: it could be taken for a recipe".to_owned(),
                ));
            }
            // Asked of the link, not of what it may lead to.
            if target.symlink_metadata().is_ok() {
                return Err(refuse("it exists, and clients replace no files".to_owned())
                    .hint("write to another file"));
            }
        }
        Ok(target)
    }

    /// Whether a file is a journal or one of those that lie beside it: a rehearsal does not write over the
    /// line's either.
    fn is_journal(&self, file: &Path) -> bool {
        let usual = [DEFAULT_JOURNAL, REHEARSAL_JOURNAL].map(Path::new);
        let mut journals = usual.into_iter().chain([self.journal_path()]);
        journals.any(|journal| is_of_journal(file, journal))
    }

    /// Compiles a recipe. For a confined client the files it names must lie in the roots as well.
    ///
    /// # Errors
    /// `file-unreadable`, `path-outside-roots`, `file-oversized`; within, what is wrong with the recipe.
    pub async fn compile(
        &self,
        recipe: &Path,
    ) -> Result<Result<Compiled, RecipeErrors>, OperationError> {
        let path = self.readable(recipe)?;
        let roots = self.options.roots.clone();
        let own = self.keys_path();
        tokio::task::spawn_blocking(move || {
            let Some(roots) = roots else {
                return Ok(recipe::compile(&path));
            };
            let text = read_bounded(&path, MAX_RECIPE)?;
            // What is no text or no TOML names no files; the compiler says what is wrong with it.
            let Ok(text) = String::from_utf8(text) else {
                return Ok(recipe::compile(&path));
            };
            let folder = path.parent().unwrap_or(Path::new("."));
            for file in named_files(&text, folder) {
                confined_to(&roots, &own, folder, &file)?;
            }
            let name = path.display().to_string();
            let beside = [DEFAULT_JOURNAL, REHEARSAL_JOURNAL]
                .map(|journal| Path::new(journal).with_extension("keys"));
            let here = beside.iter().map(|keys| folder.join(keys));
            let closed: Vec<PathBuf> = here.chain(beside.clone()).chain([own]).collect();
            Ok(recipe::compile_confined(&name, &text, folder, &closed))
        })
        .await
        .map_err(|error| OperationError::new("internal", format!("compiling broke off: {error}")))?
    }

    fn confine(&self, named: &Path, resolved: PathBuf) -> Result<PathBuf, OperationError> {
        match &self.options.roots {
            Some(roots) if !inside(roots, &resolved) => Err(outside(named)),
            // The store may lie in a root, beside the journal; a client has operations for what is in it.
            Some(_) if self.is_key_store(&resolved) => Err(outside(named)),
            Some(_) | None => Ok(resolved),
        }
    }

    /// Whether a resolved path is a folder of sealed keys or lies in it.
    fn is_key_store(&self, path: &Path) -> bool {
        in_key_store(&self.keys_path(), path)
    }
}

/// Whether a file is a journal or has a name that the journal's own files have.
fn is_of_journal(file: &Path, journal: &Path) -> bool {
    let Ok(journal) = journal
        .canonicalize()
        .or_else(|_| std::path::absolute(journal))
    else {
        return false;
    };
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let (Some(given), Some(own)) = (name(file), name(&journal)) else {
        return false;
    };
    file.parent() == journal.parent()
        && (given == own
            || given.starts_with(&format!("{own}-"))
            || given.starts_with(&format!("{own}.")))
}

/// Whether a resolved path lies in this station's key store or in another's: a station for rehearsals stands
/// in the folder of a line, whose keys are the ones that matter.
fn in_key_store(own: &Path, path: &Path) -> bool {
    let own = own.canonicalize().or_else(|_| std::path::absolute(own));
    let is_store = |folder: &Path| STORE.iter().all(|name| folder.join(name).is_file());
    own.is_ok_and(|own| path.starts_with(own)) || path.ancestors().any(is_store)
}

fn inside(roots: &[PathBuf], resolved: &Path) -> bool {
    roots
        .iter()
        .filter_map(|root| root.canonicalize().ok())
        .any(|root| resolved.starts_with(root))
}

fn outside(named: &Path) -> OperationError {
    OperationError::usage(
        "path-outside-roots",
        format!(
            "`{}` lies outside the folders that clients may use",
            named.display()
        ),
    )
    .hint("start the server with `--root DIR` for every folder whose files clients may name")
}

/// Refuses a file of a recipe that lies elsewhere; one that does not exist must at least not point there.
fn confined_to(
    roots: &[PathBuf],
    keys: &Path,
    folder: &Path,
    file: &Path,
) -> Result<(), OperationError> {
    let good = match folder.join(file).canonicalize() {
        Ok(resolved) => inside(roots, &resolved) && !in_key_store(keys, &resolved),
        Err(_) => file
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir)),
    };
    if good { Ok(()) } else { Err(outside(file)) }
}

/// Every file a recipe names to be read: images, lists of serial numbers and values, keys, digests, NVS tables and
/// policies in its steps, and what the list of a build names in turn. Files of units lie in the recipe's
/// folder; the compiler sees to that. Taken from any shape the tables may have, also ones the compiler refuses.
fn named_files(text: &str, folder: &Path) -> Vec<PathBuf> {
    let Ok(recipe) = text.parse::<toml::Table>() else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for (table, key) in [
        ("images", "file"),
        ("serial", "from"),
        ("values", "from"),
        // Also what is a column of the serial list, which leads nowhere.
        ("step", "csv"),
        ("step", "file"),
        ("step", "public_key"),
        ("step", "from"),
    ] {
        if let Some(value) = recipe.get(table) {
            strings_at(value, key, &mut files);
        }
    }
    let listed: Vec<PathBuf> = files
        .iter()
        .flat_map(|list| build_files(folder, list))
        .collect();
    files.extend(listed);
    // A policy is a built-in name or a file, told apart as the compiler does: `.toml` alone is a file's name too.
    let mut policies = Vec::new();
    if let Some(steps) = recipe.get("step") {
        strings_at(steps, "policy", &mut policies);
    }
    files.extend(
        policies
            .into_iter()
            .filter(|name| name.to_string_lossy().ends_with(".toml")),
    );
    files
}

/// The files that the list of an ESP-IDF build names; none where it is no such list.
fn build_files(folder: &Path, list: &Path) -> Vec<PathBuf> {
    let read = list
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"))
        .then(|| read_bounded(&folder.join(list), MAX_RECIPE).ok())
        .flatten();
    let build = read.and_then(|read| FlasherArgs::parse(&read).ok());
    let beside = list.parent().unwrap_or(Path::new(""));
    let files = build.into_iter().flat_map(|build| build.files);
    files.map(|file| beside.join(file.file)).collect()
}

fn strings_at(value: &toml::Value, key: &str, files: &mut Vec<PathBuf>) {
    for row in value.as_array().into_iter().flatten() {
        strings_at(row, key, files);
    }
    for (name, value) in value.as_table().into_iter().flatten() {
        if let (true, Some(file)) = (name == key, value.as_str()) {
            files.push(PathBuf::from(file));
        }
        strings_at(value, key, files);
    }
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// `file-unreadable`, `file-oversized`.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, OperationError> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| {
        OperationError::usage(
            "file-unreadable",
            format!("cannot read `{}`: {error}", path.display()),
        )
    };
    // A pipe would let its reader wait for ever, before it is even open.
    let known = std::fs::metadata(path).map_err(unreadable)?;
    if !known.is_file() {
        return Err(OperationError::usage(
            "file-unreadable",
            format!("`{}` is no file", path.display()),
        ));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // At once, so that a key leaves no copies behind in a buffer that grows.
    let size = usize::try_from(known.len().min(limit)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(size + 1);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        let message = format!("`{}` is larger than {limit} bytes", path.display());
        return Err(OperationError::usage("file-oversized", message));
    }
    Ok(bytes)
}

/// Writes a file whole or not at all.
///
/// # Errors
/// `file-unwritable`.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), OperationError> {
    let persisted = written(path, bytes)?.persist(path);
    persisted.map_err(|error| unwritable(path, &error.error))?;
    Ok(())
}

/// Writes a file that is not there yet, whole or not at all.
///
/// # Errors
/// `file-exists`, `file-unwritable`.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), OperationError> {
    match written(path, bytes)?.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => Err(unwritable(path, &error.error)),
    }
}

/// The refusal to write over a file that may be the only one of its kind.
pub(crate) fn exists(path: &Path) -> OperationError {
    let message = format!(
        "`{}` exists, and keys are written over nothing",
        path.display()
    );
    OperationError::usage("file-exists", message).hint("name another file, or move that one away")
}

/// The bytes in a file beside their place, durable.
fn written(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, OperationError> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    let refused = |error| unwritable(path, &error);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(refused)?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(refused)?;
    Ok(file)
}

fn unwritable(path: &Path, error: &std::io::Error) -> OperationError {
    OperationError::new(
        "file-unwritable",
        format!("cannot write `{}`: {error}", path.display()),
    )
}
