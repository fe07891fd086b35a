//! Other people's programs, from the Python environment that `tests/run` makes.

use std::path::PathBuf;
use std::process::Command;

use super::Ran;

fn environment() -> PathBuf {
    let place = std::env::var_os("STATION_STRANGERS")
        .map_or_else(|| super::root().join("target/strangers"), PathBuf::from);
    assert!(
        place.join("bin/python").exists(),
        "{} holds no Python environment: run tests/run, which makes it",
        place.display()
    );
    place
}

/// Python with the strangers' packages.
pub fn python() -> Command {
    let mut command = Command::new(environment().join("bin/python"));
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
