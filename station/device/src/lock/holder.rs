//! Which process holds an `flock`, from the kernel's own list.
//!
//! Invariant: a wrong guess is worse than none; only an exact match of inode (and, where several
//! match, device) names a process.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Longest `/proc/locks` that is looked through, in lines.
const MAX_LINES: usize = 10_000;

/// The process that holds an `flock` on the file at `path`, where the system tells.
#[must_use]
pub fn holder_of(path: &Path) -> Option<u32> {
    let file = fs::metadata(path).ok()?;
    let list = fs::read_to_string("/proc/locks").ok()?;
    find(&list, &file)
}

fn find(list: &str, file: &Metadata) -> Option<u32> {
    let device = file.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    holder(list, major, minor, file.ino())
}

/// Reads `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF` (proc_locks(5)); device numbers are
/// hexadecimal, the inode is decimal.
fn holder(list: &str, major: u32, minor: u32, inode: u64) -> Option<u32> {
    let locks = list.lines().take(MAX_LINES).filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        if words.next()? != "FLOCK" {
            return None;
        }
        let pid: u32 = words.nth(2)?.parse().ok()?;
        let mut place = words.next()?.split(':');
        let device = (
            u32::from_str_radix(place.next()?, 16).ok()?,
            u32::from_str_radix(place.next()?, 16).ok()?,
        );
        let found: u64 = place.next()?.parse().ok()?;
        (found == inode).then_some((pid, device))
    });
    let found: Vec<_> = locks.collect();
    let exact = found.iter().find(|(_, device)| *device == (major, minor));
    match (exact, found.as_slice()) {
        (Some((pid, _)), _) => Some(*pid),
        // Layered file systems show one device to `stat` and another to the lock list.
        (None, [(pid, _)]) => Some(*pid),
        (None, _) => None,
    }
    .filter(|pid| *pid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
1: POSIX  ADVISORY  WRITE 11 00:1a:77 0 EOF
2: FLOCK  ADVISORY  WRITE 22 00:1a:77 0 EOF
2: -> FLOCK  ADVISORY  WRITE 23 00:1a:77 0 EOF
3: FLOCK  ADVISORY  WRITE 33 08:01:77 0 EOF
4: FLOCK  ADVISORY  WRITE 44 08:01:88 0 EOF
5: FLOCK broken
";

    #[test]
    fn the_holder_is_the_one_on_this_device() {
        assert_eq!(holder(LIST, 0, 0x1a, 77), Some(22));
        assert_eq!(holder(LIST, 8, 1, 77), Some(33));
    }

    #[test]
    fn a_doubtful_holder_is_none() {
        assert_eq!(holder(LIST, 9, 9, 77), None, "two files have this inode");
        assert_eq!(holder(LIST, 9, 9, 88), Some(44), "one file has");
        assert_eq!(holder(LIST, 8, 1, 99), None);
    }
}
