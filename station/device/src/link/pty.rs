//! What tells a pseudo terminal from a real tty, and where its reset lines are.
//!
//! A pseudo terminal has no modem lines. Whoever serves a chip behind one may offer a control
//! socket beside it, at the path under which the terminal is reached, with `.ctl` appended.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Whether `path` is, or links to, the near end of a pseudo terminal.
#[must_use]
pub fn is_pty(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|real| real.starts_with("/dev/pts"))
}

/// The control socket of the terminal reached as `path`, when there is one.
#[must_use]
pub fn control_socket(path: &Path) -> Option<PathBuf> {
    let mut socket = path.as_os_str().to_owned();
    socket.push(".ctl");
    let socket = PathBuf::from(socket);
    let there = fs::metadata(&socket).is_ok_and(|meta| meta.file_type().is_socket());
    there.then_some(socket)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_control_socket_is_found_beside_the_path_as_given() {
        let folder = tempfile::tempdir().unwrap();
        let bay = folder.path().join("bay1");
        assert_eq!(control_socket(&bay), None);
        fs::write(folder.path().join("bay1.ctl"), "").unwrap();
        assert_eq!(control_socket(&bay), None, "a plain file is no socket");
        fs::remove_file(folder.path().join("bay1.ctl")).unwrap();
        let _socket = UnixListener::bind(folder.path().join("bay1.ctl")).unwrap();
        assert_eq!(control_socket(&bay), Some(folder.path().join("bay1.ctl")));
    }

    #[test]
    fn a_plain_file_is_no_pseudo_terminal() {
        assert!(!is_pty(Path::new("/dev/null")));
        assert!(!is_pty(Path::new("/dev/pts/no-such")));
    }
}
