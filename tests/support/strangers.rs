//! Other people's programs, from the Python environment that `tests/run` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Ran;

fn environment(variable: &str, folder: &str) -> PathBuf {
    let place = std::env::var_os(variable)
        .map_or_else(|| super::root().join("target").join(folder), PathBuf::from);
    assert!(
        place.join("bin/python").exists(),
        "{} holds no Python environment: run tests/run, which makes it",
        place.display()
    );
    place
}

/// Python with the strangers' packages.
pub fn python() -> Command {
    python_in(&environment("STATION_STRANGERS", "strangers"))
}

/// Python with the Matter tool, which wants packages older than the other strangers'.
pub fn matter_python() -> Command {
    python_in(&environment("STATION_STRANGERS_MATTER", "strangers-matter"))
}

fn python_in(place: &Path) -> Command {
    let mut command = Command::new(place.join("bin/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs a stranger's module (`esptool`, `espefuse`) to its end.
#[must_use = "assert on the exit code"]
pub fn stranger(module: &str, arguments: &[&str]) -> Ran {
    Ran::of(
        &python()
            .arg("-m")
            .arg(module)
            .args(arguments)
            .output()
            .unwrap(),
    )
}
