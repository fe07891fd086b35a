//! `station run`: starts a run through its operation, shows it live, and waits for its end.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use station_line::event::{BayName, CancelMode, Event, EventKind, RunId};
use station_line::journal::{FeedError, MAX_EVENTS, Subscription};
use station_line::runner::{RunReport, RunVerdict};

use super::command::{GlobalOptions, block_on, open_for, operator};
use super::live::{LiveView, PlainView, View};
use super::output::Output;
use crate::operation::{Call, Confirmation, Exit, Face, OperationError, Question};
use crate::operations::{BatchParameters, batch_order, registry};
use crate::station::{CancelSignals, EndSignal, EndSignals, LiveRun, Station};

/// The command's declaration.
pub(super) fn command() -> Command {
    BatchParameters::augment_args(Command::new("run"))
        .about("Run a recipe on many bays, real or virtual")
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("N")
                .value_parser(clap::value_parser!(u64))
                .help("Which virtual boards: the same seed makes the same MACs, blank again (default: new ones)"),
        )
        .arg(
            Arg::new("arm")
                .long("arm")
                .action(ArgAction::SetTrue)
                .conflicts_with("approval")
                .help("Approve this one run of a released plan that does what cannot be undone, as the operator"),
        )
        .arg(
            Arg::new("plain")
                .long("plain")
                .action(ArgAction::SetTrue)
                .help("Plain lines, also on a terminal"),
        )
}

/// Runs to the end.
pub(super) fn run(
    matches: &ArgMatches,
    options: &GlobalOptions,
    output: &Output,
) -> Result<Exit, OperationError> {
    let mut parameters = BatchParameters::from_arg_matches(matches)
        .map_err(|error| OperationError::usage("parameters-invalid", error.to_string()))?;
    parameters.operator = parameters.operator.or_else(|| Some(operator()));
    let mut station = options.station();
    station.rack.seed = matches.get_one("seed").copied().unwrap_or_else(fresh_seed);
    let live = !output.is_json()
        && !matches.get_flag("plain")
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal();
    let mut call = Call::silent(Face::Cli, operator());
    let armed = matches.get_flag("arm");
    if armed {
        call.by = parameters.operator.clone().unwrap_or_else(operator);
        call.confirmation = Arc::new(Armed);
    }
    block_on(async {
        let virtual_alone = |real: &Station| real.is_rehearsal(&batch_order(parameters.clone()));
        let station = open_for(station, virtual_alone)?;
        let outcome = follow(&station, &parameters, &call, live, output).await;
        station.close().await;
        outcome
    })
}

/// Boards nobody has seen before.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// The operator's word for one run, given before it is asked for. Nothing is granted unless the run needs it:
/// a refused or rehearsed one leaves no approval behind that somebody else could use.
struct Armed;

#[async_trait]
impl Confirmation for Armed {
    fn at_hand(&self) -> bool {
        true
    }

    fn validity(&self) -> Option<Duration> {
        Some(ARMED)
    }

    async fn confirm(&self, _question: &Question) -> Result<(), OperationError> {
        Ok(())
    }
}

/// How long an approval by `--arm` can wait for the run to begin.
const ARMED: Duration = Duration::from_secs(600);

async fn follow(
    station: &Station,
    parameters: &BatchParameters,
    call: &Call,
    live: bool,
    output: &Output,
) -> Result<Exit, OperationError> {
    // Caught before anything is begun: a signal that comes meanwhile is acted upon as soon as there is a run.
    let others = CancelSignals::catch()?;
    let end = EndSignals::catch()?;
    let run = start(station, parameters, call).await?;
    let events = run
        .take_events()
        .ok_or_else(|| OperationError::new("internal", "the run has no events"))?;
    if call.confirmation.at_hand() && !run.plan.is_irreversible() {
        output.note("nothing in this plan is irreversible: --arm changes nothing");
    }
    if run.rehearsal {
        output.note(&rehearsal(station, run.plan.is_irreversible()));
    }
    if let Some(warning) = &run.warning {
        output.note(&format!("warning: {warning}"));
    }
    let mut view: Box<dyn View> = if output.is_json() {
        Box::new(JsonView(output))
    } else if live {
        Box::new(LiveView::new(&run))
    } else {
        Box::new(PlainView::new(output))
    };
    let cancel = tokio::spawn(cancel_on_signals(run.clone(), end, others));
    if !run.plan.contents().run.auto_start {
        output.note("waiting: a bay's name and Enter starts its board, Enter alone starts all");
        start_on_lines(run.clone());
    }
    if !output.is_json() && !run.vacant.is_empty() {
        let bays: Vec<&str> = run.vacant.iter().map(BayName::as_str).collect();
        output.note(&format!("waiting for a board in {}", bays.join(", ")));
    }
    let shown = show(station, &run, events, view.as_mut()).await;
    // Whatever became of the view, the run goes on to its end, and signals reach it until then.
    let report = run.report().await;
    cancel.abort();
    let report = report.ok_or_else(|| {
        OperationError::new(
            "internal",
            "the run broke off; the next start closes what it left open",
        )
    })?;
    view.finished(&report);
    if let Some(lost) = &report.journal_lost {
        return Err(OperationError::new(
            "journal-lost",
            format!("the journal was lost and the line stopped: {lost}"),
        )
        .hint("boards of this run that show no PASS in the journal must be run again"));
    }
    shown?;
    Ok(exit(&report))
}

/// What a rehearsal is, and where it is recorded.
fn rehearsal(station: &Station, irreversible: bool) -> String {
    let burns = match irreversible {
        true => " nothing is burned into a chip,",
        false => "",
    };
    format!(
        "rehearsal: every board is virtual,{burns} and the record, the serial numbers and the keys are in {} \
         (--db)",
        station.journal_path().display()
    )
}

/// Starts through the operation, so that the CLI does what every other face does.
async fn start(
    station: &Station,
    parameters: &BatchParameters,
    call: &Call,
) -> Result<LiveRun, OperationError> {
    let registry = registry();
    let operation = registry
        .find("esp_batch_program")
        .ok_or_else(|| OperationError::new("internal", "there is no operation to start a run"))?;
    let parameters = serde_json::to_value(parameters)
        .map_err(|error| OperationError::usage("parameters-invalid", error.to_string()))?;
    let started = operation.invoke(station, parameters, call).await?;
    let id = started
        .answer
        .get("run")
        .and_then(serde_json::Value::as_u64)
        .map(RunId);
    id.and_then(|id| station.live_run(id))
        .ok_or_else(|| OperationError::new("internal", "the run that was started is not there"))
}

/// Shows every event of the run, in order, until its last one, or until the run has ended without one
/// because the journal was lost or its coordinator broke off.
async fn show(
    station: &Station,
    run: &LiveRun,
    mut events: Subscription,
    view: &mut dyn View,
) -> Result<(), OperationError> {
    loop {
        let next = tokio::select! {
            biased;
            next = events.next() => next,
            report = run.report() => {
                // What is not in the feed any more is in the database, if that can still be read.
                let caught_up = catch_up(station, run, &mut events, view).await;
                let whole = report.is_some_and(|report| report.journal_lost.is_none());
                return if whole { caught_up.map(drop) } else { Ok(()) };
            }
        };
        let over = match next {
            Ok(event) => show_one(run, view, &event),
            Err(FeedError::Lagged(_)) => catch_up(station, run, &mut events, view).await?,
            Err(FeedError::Closed) => return Ok(()),
        };
        if over {
            return Ok(());
        }
    }
}

/// Shows what the view was too slow for, page by page; says whether the run's last event was among it.
async fn catch_up(
    station: &Station,
    run: &LiveRun,
    events: &mut Subscription,
    view: &mut dyn View,
) -> Result<bool, OperationError> {
    loop {
        let after = events.last();
        let missed = station
            .read(move |reader| Ok(reader.events_since(after, None, MAX_EVENTS)?))
            .await?;
        if missed.is_empty() {
            return Ok(false);
        }
        for event in missed {
            events.resume_after(event.seq);
            if show_one(run, view, &event) {
                return Ok(true);
            }
        }
    }
}

/// Shows an event if it is the run's; says whether it was the last.
fn show_one(run: &LiveRun, view: &mut dyn View, event: &Event) -> bool {
    if event.run != Some(run.id) {
        return false;
    }
    view.event(event);
    matches!(event.kind, EventKind::RunFinished { .. })
}

/// First Ctrl-C drains, the second stops, as SIGTERM and a lost terminal do; another process says which it
/// means.
async fn cancel_on_signals(run: LiveRun, mut end: EndSignals, mut others: CancelSignals) {
    let mut on_interrupt = CancelMode::Drain;
    loop {
        tokio::select! {
            signal = end.asked() => {
                let mode = match signal {
                    EndSignal::Interrupt => std::mem::replace(&mut on_interrupt, CancelMode::Stop),
                    EndSignal::Terminate | EndSignal::Hangup => CancelMode::Stop,
                };
                run.control.cancel(mode, signal.word()).await;
            }
            asked = others.asked() => run.control.cancel(asked, "another terminal").await,
        }
    }
}

/// Starts boards as lines come in: an operator's Enter, or a jig that writes a bay's name. The reading
/// thread is not waited for; it ends with its input or with the program.
fn start_on_lines(run: LiveRun) {
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let name = line.trim();
            let bay = (!name.is_empty()).then(|| BayName::new(name));
            runtime.block_on(run.control.start(bay));
            if run.is_over() {
                return;
            }
        }
    });
}

fn exit(report: &Arc<RunReport>) -> Exit {
    match report.verdict() {
        RunVerdict::AllPassed => Exit::Passed,
        RunVerdict::SomeFailed => Exit::SomeFailed,
        RunVerdict::StationError => Exit::StationError,
        RunVerdict::Cancelled => Exit::Cancelled,
    }
}

struct JsonView<'a>(&'a Output);

impl View for JsonView<'_> {
    fn event(&mut self, event: &Event) {
        self.0.value(event);
    }

    fn finished(&mut self, _report: &RunReport) {}
}
