//! The command tree: operations by their declared place, and the program's own commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::output::Output;
use super::{bench, docs, report, run, terminal, virtual_serve};
use crate::operation::{AnyOperation, Call, Effect, Exit, Face, OperationError, Registry};
use crate::operations::registry;
use crate::station::{CancelSignals, EndSignals, Station, StationOptions};

/// Options every command understands.
#[derive(Args, Clone, Debug)]
pub(super) struct GlobalOptions {
    /// Journal to write and read (default: station.db, and virtual.db where only virtual boards take part)
    #[arg(long, global = true, value_name = "FILE", env = "STATION_DB")]
    db: Option<PathBuf>,
    /// Station configuration with the jig's bays
    #[arg(long, global = true, value_name = "FILE", env = "STATION_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of sealed keys (default: beside the journal, `station.keys` or `virtual.keys`)
    #[arg(long, global = true, value_name = "DIR", env = "STATION_KEYS")]
    keys: Option<PathBuf>,
    /// One JSON value per line instead of words
    #[arg(long, global = true)]
    json: bool,
}

impl GlobalOptions {
    /// What the station is opened with.
    pub(super) fn station(&self) -> StationOptions {
        StationOptions {
            journal: self.db.clone(),
            config: self.config.clone(),
            keys: self.keys.clone(),
            ..Default::default()
        }
    }
}

/// A command of the program that is not an operation.
struct OwnCommand {
    command: fn() -> Command,
    run: fn(&ArgMatches, &GlobalOptions, &Output) -> Result<Exit, OperationError>,
}

const OWN_COMMANDS: &[OwnCommand] = &[
    OwnCommand {
        command: run::command,
        run: run::run,
    },
    OwnCommand {
        command: report::command,
        run: report::run,
    },
    OwnCommand {
        command: virtual_serve::command,
        run: virtual_serve::run,
    },
    OwnCommand {
        command: bench::command,
        run: bench::run,
    },
    OwnCommand {
        command: mcp_command,
        run: run_mcp,
    },
    OwnCommand {
        command: docs::command,
        run: docs::run,
    },
];

/// Parses and runs one command line; prints what there is to print.
pub fn run_from(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let registry = registry();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Asked before anything is parsed, as a program wants to hear of a wrong command line as well.
    let json = arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json");
    let parsed = tree(&registry)
        .try_get_matches_from(arguments)
        .and_then(|matches| {
            GlobalOptions::from_arg_matches(&matches).map(|options| (matches, options))
        });
    let output = Output::new(json);
    let exit = match parsed {
        Ok((matches, options)) => dispatch(&registry, &matches, &options, &output)
            .unwrap_or_else(|error| output.error(&error)),
        Err(error) => output.usage(&error),
    };
    output.unprinted(exit)
}

fn dispatch(
    registry: &Registry,
    matches: &ArgMatches,
    options: &GlobalOptions,
    output: &Output,
) -> Result<Exit, OperationError> {
    let (name, inner) = matches.subcommand().expect("clap requires a subcommand");
    if let Some(own) = OWN_COMMANDS
        .iter()
        .find(|own| (own.command)().get_name() == name)
    {
        return (own.run)(inner, options, output);
    }
    let mut path = vec![name];
    let mut inner = inner;
    while let Some((name, deeper)) = inner.subcommand() {
        path.push(name);
        inner = deeper;
    }
    let operation = registry
        .iter()
        .find(|operation| operation.declaration().command == path)
        .expect("every leaf of the tree is an operation");
    invoke(operation, inner, options, output)
}

fn invoke(
    operation: &Arc<dyn AnyOperation>,
    matches: &ArgMatches,
    options: &GlobalOptions,
    output: &Output,
) -> Result<Exit, OperationError> {
    let parameters = operation.parameters(matches)?;
    block_on(async {
        let mut end = EndSignals::catch()?;
        let of_virtual_board = |real: &Station| Ok(real.is_of_virtual_board(&parameters));
        let station = open_for(options.station(), of_virtual_board)?;
        if station.is_rehearsing() && operation.declaration().effect != Effect::Read {
            output.note(&format!(
                "rehearsal: the board is virtual, and the record, approvals and keys are in {0} (--db {0})",
                station.journal_path().display()
            ));
        }
        let mut call = Call::silent(Face::Cli, operator());
        call.progress = output.progress();
        call.confirmation = terminal::person(output);
        let stop = call.cancelled.clone();
        let outcome = tokio::select! {
            biased;
            outcome = operation.invoke(&station, parameters, &call) => outcome,
            signal = end.asked() => {
                stop.cancel();
                let message = format!("stopped by {}", signal.word());
                Err(OperationError::new("cancelled", message).exit(Exit::Cancelled))
            }
        };
        output.progress_done();
        station.close().await;
        outcome.map(|invoked| output.answer(&invoked))
    })
}

/// Opens the station with the journal that something belongs into: that of rehearsals where every board is
/// virtual and nobody named one.
pub(super) fn open_for(
    mut options: StationOptions,
    is_rehearsal: impl FnOnce(&Station) -> Result<bool, OperationError>,
) -> Result<Station, OperationError> {
    let station = Station::open(options.clone())?;
    if !is_rehearsal(&station)? {
        return Ok(station);
    }
    options.rehearsal = true;
    Station::open(options)
}

/// Longest wait, at the end of a command, for threads that cannot be interrupted: one that reads standard
/// input would hold the program until somebody presses Enter.
const THREADS_PATIENCE: Duration = Duration::from_millis(500);

/// Runs a future on a runtime of its own; every CLI command does this once.
pub(super) fn block_on<T>(
    future: impl Future<Output = Result<T, OperationError>>,
) -> Result<T, OperationError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| OperationError::new("runtime", format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(async {
        // Whoever has the journal open may be asked by signal to end its runs. A command without runs must
        // not die of that.
        let _caught = CancelSignals::catch()?;
        future.await
    });
    runtime.shutdown_timeout(THREADS_PATIENCE);
    outcome
}

/// Who is at the keyboard, as far as the system knows.
pub(super) fn operator() -> String {
    let user = std::env::var("USER").unwrap_or_default();
    let user: String = user
        .chars()
        .filter(|sign| !sign.is_control())
        .take(100)
        .collect();
    if user.trim().is_empty() {
        "cli".to_owned()
    } else {
        user
    }
}

/// The whole command tree.
pub(super) fn tree(registry: &Registry) -> Command {
    let mut root = GlobalOptions::augment_args(Command::new("station"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Factory production line for boards with ESP32-family chips")
        .subcommand_required(true)
        .arg_required_else_help(true);
    for own in OWN_COMMANDS {
        root = root.subcommand((own.command)());
    }
    for operation in registry.iter() {
        let place = operation.declaration().command;
        // `run` has a command of its own, which follows the run it starts through the operation.
        if place
            .first()
            .is_none_or(|name| root.find_subcommand(name).is_none() || place.len() > 1)
        {
            root = graft(root, place, operation.as_ref());
        }
    }
    root
}

/// Adds an operation at its place, with the families on the way there.
fn graft(parent: Command, path: &[&'static str], operation: &dyn AnyOperation) -> Command {
    let (name, rest) = path
        .split_first()
        .expect("an operation has a place on the command line");
    if rest.is_empty() {
        let declaration = operation.declaration();
        // Said after the arguments are added: adding them replaces it by the doc comment of their type.
        let leaf = operation.arguments(Command::new(*name));
        return parent.subcommand(
            leaf.about(declaration.title)
                .long_about(declaration.summary),
        );
    }
    if parent.find_subcommand(name).is_some() {
        return parent.mut_subcommand(name, |family| graft(family, rest, operation));
    }
    let family = Command::new(*name)
        .about(family_title(name))
        .subcommand_required(true)
        .arg_required_else_help(true);
    parent.subcommand(graft(family, rest, operation))
}

fn family_title(name: &str) -> &'static str {
    match name {
        "chip" => "Look at and talk to one chip",
        "flash" => "Write, read, erase and verify flash",
        "firmware" => "Images: convert, merge, look into, change",
        "partition" => "Partition tables",
        "nvs" => "Key-value storage: images of it and their keys",
        "cert" => "Identity: certificates and keys for flash",
        "ota" => "Updates over the air: packages, slots, serving",
        "security" => "Audit, policies, secure boot, flash encryption, signatures",
        "efuse" => "Read, plan and burn eFuses",
        "keys" => "Sealed keys: generate, list, import, forget",
        "approval" => "Approvals of what cannot be undone",
        "units" => "Units that need a person's look",
        "recipe" => "Check recipes",
        "runs" => "Runs of this journal: list, follow, cancel",
        "quality" => "What the record says about units and yield",
        "journal" => "Check and keep the record",
        "bays" => "The jig's bays",
        _ => "More",
    }
}

fn mcp_command() -> Command {
    Command::new("mcp")
        .about("Serve every operation as MCP tools on standard input and output")
        .arg(
            Arg::new("virtual")
                .long("virtual")
                .value_name("N")
                .value_parser(clap::value_parser!(u32).range(1..=64))
                .action(ArgAction::Set)
                .help("Put N virtual boards in bays virtual:1 … virtual:N; without --db nothing else is reached then, and virtual.db is the journal"),
        )
        .arg(
            Arg::new("root")
                .long("root")
                .value_name("DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .action(ArgAction::Append)
                .help("Folder whose files clients may name and whose recipes, with the programs they start, they may run (default: the current folder)"),
        )
}

fn run_mcp(
    matches: &ArgMatches,
    options: &GlobalOptions,
    _output: &Output,
) -> Result<Exit, OperationError> {
    let mut station = options.station();
    station.virtual_boards = matches.get_one::<u32>("virtual").copied().unwrap_or(0);
    station.rehearsal = station.virtual_boards > 0;
    let roots: Vec<PathBuf> = matches
        .get_many("root")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    station.roots = Some(if roots.is_empty() {
        vec![PathBuf::from(".")]
    } else {
        roots
    });
    block_on(async {
        let station = Arc::new(Station::open(station)?);
        crate::mcp::serve_stdio(registry(), station).await
    })?;
    Ok(Exit::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_board_is_recorded_where_rehearsals_are_unless_a_journal_is_named() {
        let journal = |named: Option<&str>, port: &str| {
            let options = StationOptions {
                journal: named.map(PathBuf::from),
                ..StationOptions::default()
            };
            let parameters = serde_json::json!({ "port": port });
            let of_virtual = |station: &Station| Ok(station.is_of_virtual_board(&parameters));
            let station = open_for(options, of_virtual).unwrap();
            (station.journal_path().to_owned(), station.keys_path())
        };
        let beside = |name: &str| {
            (
                PathBuf::from(format!("{name}.db")),
                format!("{name}.keys").into(),
            )
        };
        assert_eq!(journal(None, "virtual:1"), beside("virtual"));
        assert_eq!(journal(None, "/dev/ttyUSB0"), beside("station"));
        assert_eq!(journal(Some("line.db"), "virtual:1"), beside("line"));
    }

    #[test]
    fn every_family_says_what_it_is() {
        for family in tree(&registry()).get_subcommands() {
            let about = family.get_about().map(ToString::to_string);
            assert!(
                about.as_deref().is_some_and(|about| about != "More"),
                "{}: {about:?}",
                family.get_name()
            );
        }
    }
}
