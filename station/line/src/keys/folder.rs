//! The store's folder: files that are whole or not there, for their owner only.
//!
//! Invariants: a file is written beside its place, made durable, moved there, and the folder made
//! durable; whatever is read is a plain file of bounded size; whoever changes something holds the
//! lock, which the kernel lets go when a process ends however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::error::KeyError;
use crate::journal::Durability;

/// Longest wait for another process.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// Pause between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// A folder of key files.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    durability: Durability,
    turn: Mutex<()>,
    #[cfg(test)]
    synced: Mutex<Vec<PathBuf>>,
}

/// The right to change the folder, held until dropped.
pub(super) struct Turn<'a> {
    file: File,
    _turn: MutexGuard<'a, ()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Closing is not enough while a child still shares the open file.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the key store's lock goes with its file");
        }
    }
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeyError {
    let path = path.to_path_buf();
    move |source| KeyError::Io {
        doing,
        path,
        source: Arc::new(source),
    }
}

impl Folder {
    /// Opens the folder, or makes it for its owner only.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, KeyError> {
        let folder = Self {
            path: path.to_path_buf(),
            durability,
            turn: Mutex::new(()),
            #[cfg(test)]
            synced: Mutex::default(),
        };
        folder.make(path)?;
        let mode = fs::metadata(path)
            .map_err(io("read", path))?
            .permissions()
            .mode();
        if mode & 0o022 != 0 {
            return Err(KeyError::Permissions {
                path: path.to_path_buf(),
                mode: mode & 0o777,
            });
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the right to change something.
    pub(super) fn turn(&self) -> Result<Turn<'_>, KeyError> {
        // Whoever panicked here left whole files behind.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io("open", &path))?;
        let deadline = Instant::now() + LOCK_DEADLINE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Turn { file, _turn: turn }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => pause(),
                Err(TryLockError::WouldBlock) => {
                    let folder = self.path.clone();
                    return Err(KeyError::Busy { folder });
                }
                Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
            }
        }
    }

    /// Makes a folder inside, and every one above it, unless they are there.
    pub(super) fn make(&self, path: &Path) -> Result<(), KeyError> {
        if path.is_dir() {
            return Ok(());
        }
        let missing: Vec<_> = path.ancestors().take_while(|path| !path.is_dir()).collect();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("make", path))?;
        // A folder lasts once the one above it says so, and each one that was made has one above.
        missing
            .into_iter()
            .try_for_each(|made| self.sync_parent(made))
    }

    /// Makes sure that a file that is there lasts: whoever wrote it may have ended before it did.
    pub(super) fn settle(&self, path: &Path) -> Result<(), KeyError> {
        self.sync(path)?;
        let above = path.ancestors().skip(1);
        let inside = above.take_while(|above| above.starts_with(&self.path));
        inside.into_iter().try_for_each(|folder| self.sync(folder))
    }

    /// Reads a whole file, if it is there and not larger than `limit`.
    pub(super) fn read(
        &self,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        let strange = |what| KeyError::Format {
            path: path.to_path_buf(),
            what,
        };
        let size = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("read", path)(error)),
            // Anything else might be another's file, or never end.
            Ok(found) if !found.is_file() => return Err(strange("it is no plain file")),
            Ok(found) => found.len(),
        };
        if size > limit {
            return Err(strange("it is too large"));
        }
        let file = File::open(path).map_err(io("read", path))?;
        let room = usize::try_from(size).unwrap_or(0) + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(io("read", path))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(strange("it is too large"));
        }
        Ok(Some(bytes))
    }

    /// Reads a whole file of text.
    pub(super) fn read_text(
        &self,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Zeroizing<String>>, KeyError> {
        let Some(mut bytes) = self.read(path, limit)? else {
            return Ok(None);
        };
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(KeyError::Format {
                    path: path.to_path_buf(),
                    what: "it is no text",
                })
            }
        }
    }

    /// Refuses a file that others can read.
    pub(super) fn require_private(&self, path: &Path) -> Result<(), KeyError> {
        let mode = fs::symlink_metadata(path)
            .map_err(io("read", path))?
            .permissions()
            .mode();
        if mode & 0o077 == 0 {
            return Ok(());
        }
        Err(KeyError::Permissions {
            path: path.to_path_buf(),
            mode: mode & 0o777,
        })
    }

    /// Refuses a file or folder that others can change, as far as the store lets them in.
    pub(super) fn require_own(&self, path: &Path) -> Result<(), KeyError> {
        let mode = |path: &Path| {
            let found = fs::symlink_metadata(path).map_err(io("read", path))?;
            Ok::<_, KeyError>(found.permissions().mode())
        };
        // Who may pass the store's folder may write where the bit beside it allows writing.
        let passes = (mode(&self.path)? & 0o011) << 1;
        let mode = mode(path)?;
        if mode & passes == 0 {
            return Ok(());
        }
        Err(KeyError::Permissions {
            path: path.to_path_buf(),
            mode: mode & 0o777,
        })
    }

    /// Writes a file as a whole, for its owner only. The caller holds the turn.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
        let fresh = fresh(path);
        // What a crash, or somebody else, left there has a mode and a place of its own.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("write", &fresh)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(io("write", &fresh))?;
        file.write_all(bytes).map_err(io("write", &fresh))?;
        if self.durability == Durability::Full {
            file.sync_all().map_err(io("write", &fresh))?;
        }
        fs::rename(&fresh, path).map_err(io("write", path))?;
        self.sync_parent(path)
    }

    /// Overwrites a file and removes it, and whatever a crash left beside it. What the disk keeps of
    /// its own accord is beyond this; the file is sealed.
    pub(super) fn destroy(&self, path: &Path) -> Result<(), KeyError> {
        for path in [fresh(path), path.to_path_buf()] {
            let size = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io("remove", &path)(error)),
                // What it leads to is not this store's to overwrite.
                Ok(found) if !found.is_file() => {
                    let what = "it is no plain file";
                    return Err(KeyError::Format { path, what });
                }
                Ok(found) => found.len(),
            };
            let blank = vec![0; usize::try_from(size).unwrap_or(0).min(1 << 20)];
            let mut file = OpenOptions::new()
                .write(true)
                .open(&path)
                .map_err(io("overwrite", &path))?;
            file.write_all(&blank).map_err(io("overwrite", &path))?;
            if self.durability == Durability::Full {
                file.sync_all().map_err(io("overwrite", &path))?;
            }
            fs::remove_file(&path).map_err(io("remove", &path))?;
        }
        self.sync_parent(path)
    }

    fn sync_parent(&self, path: &Path) -> Result<(), KeyError> {
        match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => self.sync(Path::new(".")),
            Some(parent) => self.sync(parent),
            None => Ok(()),
        }
    }

    /// Waits until the disk has a file, or the names in a folder.
    fn sync(&self, path: &Path) -> Result<(), KeyError> {
        #[cfg(test)]
        self.synced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(path.to_path_buf());
        match self.durability {
            Durability::Off => Ok(()),
            Durability::Full => File::open(path)
                .and_then(|file| file.sync_all())
                .map_err(io("write", path)),
        }
    }

    /// Everything the disk was waited for since the last time this was asked.
    #[cfg(test)]
    pub(super) fn synced(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *self.synced.lock().unwrap())
    }

    /// Names of what is in a folder, sorted; at most `limit`.
    pub(super) fn names(&self, path: &Path, limit: usize) -> Result<Vec<String>, KeyError> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io("list", path))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            if names.len() == limit {
                return Err(KeyError::Format {
                    path: path.to_path_buf(),
                    what: "it has too many files",
                });
            }
            if let Ok(name) = entry.map_err(io("list", path))?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the lock is another process's, of which no timer of this one hears"
)]
fn pause() {
    std::thread::sleep(LOCK_PAUSE);
}

/// Where a file is written before it is moved to its place.
fn fresh(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
