//! `station virtual serve`: virtual boards for other programs, until stopped.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use station_esp::Chip;
use station_virtual::fault::Faults;
use station_virtual::fleet::{self, FleetConfig, Strap};
use station_virtual::nor::FlashTiming;
use station_virtual::script::AppScript;
use station_virtual::wire::Wire;

use super::command::{GlobalOptions, block_on};
use super::output::Output;
use crate::operation::{Exit, OperationError};
use crate::station::{EndSignals, read_bounded};

/// Largest script or list of faults.
const MAX_FILE: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Timing {
    Typical,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StrapChoice {
    Download,
    Flash,
}

/// Serves virtual boards over PTYs, TCP and RFC 2217 until it is stopped. Prints one JSON line when ready.
#[derive(Args, Debug)]
struct ServeOptions {
    /// Chip of the boards
    #[arg(long, default_value = "esp32c3")]
    chip: Chip,
    /// How many boards
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    count: u16,
    /// Folder for PTY links (bay1 …) and control sockets (bay1.ctl …)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// First TCP port, one per board; 0 takes free ones
    #[arg(long, value_name = "PORT")]
    tcp: Option<u16>,
    /// First RFC 2217 port, one per board; 0 takes free ones
    #[arg(long, value_name = "PORT")]
    rfc2217: Option<u16>,
    /// Whether bytes take time on the wire
    #[arg(long, value_enum, default_value = "on")]
    wire: Switch,
    /// Whether flash operations take time
    #[arg(long, value_enum, default_value = "typical")]
    flash_timing: Timing,
    /// How the boards start: waiting for a download, or from flash
    #[arg(long, value_enum, default_value = "download")]
    strap: StrapChoice,
    /// Scripted application of the boards (TOML)
    #[arg(long, value_name = "FILE")]
    app: Option<PathBuf>,
    /// Faults of the boards (TOML)
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// What MACs, measured values and faults follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder where boards keep flash and eFuses between starts
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// The command's declaration.
pub(super) fn command() -> Command {
    Command::new("virtual")
        .about("Virtual boards for other programs")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            ServeOptions::augment_args(Command::new("serve"))
                .about("Serve virtual boards over PTYs, TCP and RFC 2217 until stopped"),
        )
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(
    matches: &ArgMatches,
    _options: &GlobalOptions,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (_, matches) = matches.subcommand().expect("clap requires a subcommand");
    let options = ServeOptions::from_arg_matches(matches)
        .map_err(|error| OperationError::usage("parameters-invalid", error.to_string()))?;
    let config = options.config()?;
    block_on(async {
        let mut end = EndSignals::catch()?;
        let stopped = async move {
            let _signal = end.asked().await;
        };
        let ready = |ready: &fleet::Ready| output.value(ready);
        fleet::serve(config, stopped, ready)
            .await
            .map_err(|error| OperationError::new(error.code(), error.to_string()).caused_by(&error))
    })?;
    Ok(Exit::Passed)
}

impl ServeOptions {
    fn config(self) -> Result<FleetConfig, OperationError> {
        let read = |path: &PathBuf| {
            String::from_utf8(read_bounded(path, MAX_FILE)?).map_err(|error| {
                OperationError::usage(
                    "file-unreadable",
                    format!("`{}` is no text: {error}", path.display()),
                )
            })
        };
        let app = match &self.app {
            None => None,
            Some(path) => Some(AppScript::parse(&read(path)?).map_err(|error| {
                OperationError::usage(error.code(), format!("`{}`: {error}", path.display()))
            })?),
        };
        let faults = match &self.faults {
            None => None,
            Some(path) => Some(Faults::from_toml(&read(path)?).map_err(|error| {
                OperationError::usage(error.code(), format!("`{}`: {error}", path.display()))
            })?),
        };
        Ok(FleetConfig {
            chip: self.chip,
            count: self.count,
            dir: self.dir,
            tcp: self.tcp,
            rfc2217: self.rfc2217,
            wire: if self.wire == Switch::On {
                Wire::On
            } else {
                Wire::Off
            },
            flash_timing: if self.flash_timing == Timing::Typical {
                FlashTiming::Typical
            } else {
                FlashTiming::Off
            },
            strap: if self.strap == StrapChoice::Download {
                Strap::Download
            } else {
                Strap::Flash
            },
            app,
            faults,
            seed: self.seed,
            state: self.state,
        })
    }
}
