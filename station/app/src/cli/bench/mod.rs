//! `station bench`: how close to the wire the station comes, and how fast it makes files, next to other
//! tools on the same virtual boards and the same input.
//!
//! The boards live in a process of their own, and so does each contestant, so that CPU time and memory are
//! those of the contestant alone. Every contestant gets the same boards, blank.

mod contest;
mod files;
mod host;
mod meter;

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};

use super::command::GlobalOptions;
use super::output::Output;
use crate::operation::{Exit, OperationError};

/// Somebody else's tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Peer {
    Esptool,
    Espflash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Modelled {
    On,
    Off,
}

/// What is measured.
#[derive(Args, Clone, Debug)]
struct FlashBench {
    /// Boards written at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    bays: u32,
    /// Size of the image
    #[arg(long, default_value = "1MB")]
    size: String,
    /// Baud rate
    #[arg(long, default_value_t = 921_600)]
    baud: u32,
    /// Whether wire and flash take their time
    #[arg(long, value_enum, default_value = "on")]
    modelled: Modelled,
    /// Other tools to measure in the same run
    #[arg(long, value_enum)]
    peer: Vec<Peer>,
    /// The esptool program
    #[arg(long, default_value = "esptool", value_name = "PROGRAM")]
    esptool: PathBuf,
    /// The espflash library as a program (default: the example `espflash_write` beside this program)
    #[arg(long, value_name = "PROGRAM")]
    espflash: Option<PathBuf>,
    /// File for the figures as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The command's declaration.
pub(super) fn command() -> Command {
    Command::new("bench")
        .about("Measure the station against the wire and against other tools")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            FlashBench::augment_args(Command::new("flash"))
                .about("Write an image, half of it compressible, to blank virtual boards"),
        )
        .subcommand(
            files::FilesBench::augment_args(Command::new("files"))
                .about("Make an NVS partition for each unit, and an image ready for the wire"),
        )
        .subcommand(host::HostOptions::augment_args(
            Command::new("host").hide(true),
        ))
}

/// Measures.
pub(super) fn run(
    matches: &ArgMatches,
    _options: &GlobalOptions,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (name, matches) = matches.subcommand().expect("clap requires a subcommand");
    let refuse =
        |error: clap::Error| OperationError::usage("parameters-invalid", error.to_string());
    match name {
        "host" => host::run(
            &host::HostOptions::from_arg_matches(matches).map_err(refuse)?,
            output,
        )?,
        "files" => files::run(
            &files::FilesBench::from_arg_matches(matches).map_err(refuse)?,
            output,
        )?,
        _ => contest::run(
            &FlashBench::from_arg_matches(matches).map_err(refuse)?,
            output,
        )?,
    }
    Ok(Exit::Passed)
}

fn broken(error: &dyn std::error::Error) -> OperationError {
    OperationError::new("bench-failed", error.to_string())
}
