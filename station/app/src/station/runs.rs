//! Runs that this process has started: begun from an order, followed, cancelled, waited for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use station_device::{Address, Presence};
use station_line::approval::{ApprovalId, Subject};
use station_line::clock::WallClock;
use station_line::event::{BayName, CancelMode, Event, EventKind, RunId, Seq};
use station_line::journal::{FeedError, Journal, MAX_EVENTS, Reader, Subscription};
use station_line::plan::Plan;
use station_line::quality::{self, Filter};
use station_line::recipe;
use station_line::release::TrustedKeys;
use station_line::runner::{self, Bay, RunControl, RunReport, RunRequest};
use tokio::sync::{RwLock, oneshot, watch};

use super::Station;
use super::bays::APART;
use super::permit::{self, Asked};
use crate::operation::{Call, Exit, OperationError};
use crate::rack::{MAX_BOARDS, Rack};

/// Longest the station waits for its runs when it closes.
const CLOSE_PATIENCE: Duration = Duration::from_secs(20);

/// What a run is asked for, still as text.
#[derive(Clone, Debug, Default)]
pub struct RunOrder {
    /// The recipe.
    pub recipe: PathBuf,
    /// Bays as `NAME=ADDRESS`, or names from the configuration.
    pub bays: Vec<String>,
    /// How many virtual boards take part.
    pub virtual_boards: u32,
    /// Lot the units belong to.
    pub lot: Option<String>,
    /// Who runs it.
    pub operator: Option<String>,
    /// Ends the run after so many units.
    pub units: Option<u64>,
    /// Approval of one run of the plan, if it does what cannot be undone.
    pub approval: Option<String>,
}

/// A run of this process.
#[derive(Clone, Debug)]
pub struct LiveRun {
    /// Its number.
    pub id: RunId,
    /// What it makes of units.
    pub plan: Arc<Plan>,
    /// Its bays.
    pub bays: Vec<BayName>,
    /// Bays that had no board when it began.
    pub vacant: Vec<BayName>,
    /// Whether every board is virtual.
    pub rehearsal: bool,
    /// What is not wrong and yet worth a word.
    pub warning: Option<String>,
    /// What can be asked of it.
    pub control: RunControl,
    report: watch::Receiver<Option<Option<Arc<RunReport>>>>,
    events: Arc<Mutex<Option<Subscription>>>,
}

impl LiveRun {
    /// Waits for its end. `None` means the coordinator broke off.
    pub async fn report(&self) -> Option<Arc<RunReport>> {
        let mut report = self.report.clone();
        let ended = report.wait_for(Option::is_some).await.ok()?;
        ended.clone().flatten()
    }

    /// Its events from just before the first one. Can be taken once.
    pub fn take_events(&self) -> Option<Subscription> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.report.borrow().is_some()
    }
}

/// Every run this process has started.
#[derive(Debug, Default)]
pub(super) struct LiveRuns {
    runs: Mutex<BTreeMap<RunId, LiveRun>>,
    /// Held while a run begins: who closes the station waits until it is known.
    beginning: Arc<RwLock<()>>,
}

impl LiveRuns {
    /// Adds a run; those that have ended are forgotten, as a server lives long.
    fn add(&self, run: LiveRun) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|_, earlier| !earlier.is_over());
        runs.insert(run.id, run);
    }

    fn find(&self, id: RunId) -> Option<LiveRun> {
        self.runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    /// Whether any run has not ended.
    pub(super) fn any_live(&self) -> bool {
        self.runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .any(|run| !run.is_over())
    }

    fn all_live(&self) -> Vec<LiveRun> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.values()
            .filter(|run| !run.is_over())
            .cloned()
            .collect()
    }

    /// Asks every run to end.
    async fn cancel_all(&self, mode: CancelMode, by: &str) {
        for run in self.all_live() {
            run.control.cancel(mode, by).await;
        }
    }

    /// Stops every run and waits for their last events, for a bounded time.
    pub(super) async fn stop_all(&self) {
        let end = tokio::time::Instant::now() + CLOSE_PATIENCE;
        let begun = tokio::time::timeout_at(end, self.beginning.write()).await;
        let stopped = self.all_live().into_iter().map(|run| async move {
            let ended = async {
                run.control.cancel(CancelMode::Stop, "the station is closing").await;
                run.report().await
            };
            if tokio::time::timeout_at(end, ended).await.is_err() {
                tracing::error!(run = %run.id, "the run did not end in time; the next start closes it");
            }
        });
        futures_util::future::join_all(stopped).await;
        drop(begun);
    }
}

/// How many runs of a journal have not ended.
///
/// # Errors
/// Those of the journal.
pub(super) fn under_way(reader: &Reader) -> Result<usize, OperationError> {
    let runs = quality::runs(reader, &Filter::default())?;
    Ok(runs
        .rows
        .iter()
        .filter(|run| run.finished_at.is_none())
        .count())
}

impl Station {
    /// The run of this process with that number.
    pub fn live_run(&self, id: RunId) -> Option<LiveRun> {
        self.runs.find(id)
    }

    /// Asks every run of this process to end.
    pub async fn cancel_runs(&self, mode: CancelMode, by: &str) {
        self.runs.cancel_all(mode, by).await;
    }

    /// Compiles the recipe, opens the journal and starts a run.
    ///
    /// # Errors
    /// Those of the recipe, of the journal, and `no-bays`, `bay-invalid` and their kin. Nothing has
    /// been started then.
    pub async fn start_run(&self, order: RunOrder, call: &Call) -> Result<LiveRun, OperationError> {
        check_words(&order)?;
        let plan = self
            .compile(&order.recipe)
            .await?
            .map_err(OperationError::from)?
            .plan;
        let (seats, once) = self.seats(&order)?;
        let rehearsal = seats.iter().all(|seat| seat.board.is_some());
        self.keeps_apart(&seats)?;
        // Keys of a rehearsal open nothing.
        let warning = (!rehearsal).then(|| self.escrow_warning(&plan)).flatten();
        let journal = self.journal().await?;
        let approval = self.leave(&journal, &plan, &order, rehearsal, call).await?;
        let keys = if plan.is_irreversible() {
            Some(self.keys().await?)
        } else {
            None
        };
        let boards = seats
            .iter()
            .filter_map(|seat| Some((seat.bay.name.clone(), seat.board?)))
            .collect();
        let mut request = RunRequest::new(plan, seats.into_iter().map(|seat| seat.bay).collect());
        request.lot = order.lot;
        request.operator = order.operator;
        request.units = order.units;
        request.once = once;
        request.keys = keys;
        request.rehearsal = rehearsal;
        request.arm = approval.is_some();
        request.approval = approval;
        let swapper = (!once).then(|| Swapper {
            rack: Arc::clone(&self.rack),
            boards,
            events: journal.subscribe(),
            journal: self.journal_path().to_owned(),
        });
        // On a task of its own: a run whose beginning is recorded must live and be known, also when
        // whoever asked for it goes away at that moment. It is stopped then.
        let (tell, told) = oneshot::channel();
        let beginning = Arc::clone(&self.runs.beginning).read_owned().await;
        let runs = Arc::clone(&self.runs);
        tokio::spawn(async move {
            let started = begin(&runs, request, &journal, (swapper, warning)).await;
            drop(beginning);
            if let Err(Ok(run)) = tell.send(started) {
                run.control
                    .cancel(CancelMode::Stop, "whoever asked for it went away")
                    .await;
            }
        });
        told.await
            .map_err(|_| OperationError::new("internal", "starting the run broke off"))?
    }

    /// The approval that a run of the plan needs, if it does what cannot be undone to boards that are not
    /// virtual. What is used up is used by the run itself, when it begins.
    async fn leave(
        &self,
        journal: &Journal,
        plan: &Plan,
        order: &RunOrder,
        rehearsal: bool,
        call: &Call,
    ) -> Result<Option<ApprovalId>, OperationError> {
        if rehearsal || !plan.is_irreversible() {
            return Ok(None);
        }
        let text = recipe::describe(plan);
        let asked = Asked {
            operation: RUN,
            subject: Subject::Plan(plan.id().clone()),
            text: &text,
        };
        let trusted = if self.has_keys() {
            self.keys().await?.trusted_keys()?
        } else {
            TrustedKeys::default()
        };
        if let Err(error) = journal.released(plan.id(), &trusted) {
            let error = OperationError::from(error).exit(Exit::Refused);
            return Err(permit::record(journal, RUN, error).await?);
        }
        permit::named(journal, call, &asked, order.approval.as_deref())
            .await
            .map(Some)
    }

    /// Whether every board of an order is virtual.
    ///
    /// # Errors
    /// Those of its bays.
    pub fn is_rehearsal(&self, order: &RunOrder) -> Result<bool, OperationError> {
        let (seats, _) = self.seats(order)?;
        Ok(seats.iter().all(|seat| seat.board.is_some()))
    }

    /// Virtual boards take no serial numbers and keys of real ones, unless somebody named the journal in
    /// which they may.
    fn keeps_apart(&self, seats: &[Seat]) -> Result<(), OperationError> {
        let virtual_boards = seats.iter().filter(|seat| seat.board.is_some()).count();
        if !self.is_unnamed() || self.options.rehearsal || virtual_boards == 0 {
            return Ok(());
        }
        let journal = self.journal_path().display();
        if virtual_boards == seats.len() {
            let message = format!(
                "virtual boards would take serial numbers and keys of `{journal}`, which are for real units"
            );
            return Err(OperationError::usage("rehearsal-in-real-journal", message).hint(APART));
        }
        let message = format!(
            "virtual and real boards in one run would share the serial numbers and keys of `{journal}`"
        );
        Err(OperationError::usage("boards-mixed", message)
            .hint("run them apart, or name the journal that both may use: `--db FILE`"))
    }

    /// The bays of an order, and whether each takes part once.
    pub(super) fn seats(&self, order: &RunOrder) -> Result<(Vec<Seat>, bool), OperationError> {
        if order.virtual_boards > MAX_BOARDS {
            let message = format!(
                "at most {MAX_BOARDS} virtual boards, not {}",
                order.virtual_boards
            );
            return Err(OperationError::usage("too-many-bays", message));
        }
        let mut seats = Vec::new();
        for bay in &order.bays {
            let (name, port) = match bay.split_once('=') {
                Some((name, port)) => (bay_name(name)?, port),
                None => (BayName::new(bay), bay.as_str()),
            };
            seats.push(self.seat(name, port)?);
        }
        for number in 1..=order.virtual_boards {
            let port = Address::Virtual(number).to_string();
            seats.push(self.seat(BayName::new(format!("bay{number}")), &port)?);
        }
        let named = !seats.is_empty();
        if !named {
            for entry in &self.config().bays {
                seats.push(self.seat(BayName::new(&entry.name), &entry.name)?);
            }
        }
        if seats.is_empty() {
            return Err(OperationError::usage("no-bays", "a run needs bays").hint(
                "add `--virtual 8`, `--bay NAME=tty:/dev/ttyUSB0`, or `--config station.toml`",
            ));
        }
        let mut places = BTreeMap::new();
        for seat in &seats {
            if let Some(first) = places.insert(&seat.place, &seat.bay.name) {
                let message = format!(
                    "bays `{first}` and `{}` are the same place, `{}`",
                    seat.bay.name, seat.place
                );
                return Err(OperationError::usage("bay-same-place", message)
                    .hint("a place holds one board: name it once"));
            }
        }
        Ok((seats, named && order.units.is_none()))
    }

    fn seat(&self, name: BayName, port: &str) -> Result<Seat, OperationError> {
        let connector = self.connector(port)?;
        let (place, board) = self.place(port);
        Ok(Seat {
            bay: Bay { name, connector },
            place,
            board,
        })
    }
}

/// A bay of a run that begins.
pub(super) struct Seat {
    pub(super) bay: Bay,
    /// Its address or USB key: what no other bay may have.
    place: String,
    /// Its number in the rack, if its board is virtual.
    pub(super) board: Option<u32>,
}

/// Starts a run and makes it known.
async fn begin(
    runs: &LiveRuns,
    request: RunRequest,
    journal: &Journal,
    (swapper, warning): (Option<Swapper>, Option<String>),
) -> Result<LiveRun, OperationError> {
    let plan = Arc::clone(&request.plan);
    let bays = request.bays.iter().map(|bay| bay.name.clone()).collect();
    let absent = |bay: &&Bay| *bay.connector.presence().borrow() == Presence::Absent;
    let vacant = request
        .bays
        .iter()
        .filter(absent)
        .map(|bay| bay.name.clone())
        .collect();
    let rehearsal = request.rehearsal;
    let mut handle = runner::start(request, journal, Arc::new(WallClock)).await?;
    if let Some(swapper) = swapper {
        tokio::spawn(swapper.swap_boards(handle.id()));
    }
    let events = Arc::new(Mutex::new(handle.take_events()));
    let (ended, report) = watch::channel(None);
    let run = LiveRun {
        id: handle.id(),
        plan,
        bays,
        vacant,
        rehearsal,
        warning,
        control: handle.control(),
        report,
        events,
    };
    tokio::spawn(async move {
        let report = handle.join().await.map(Arc::new);
        ended.send_replace(Some(report));
    });
    runs.add(run.clone());
    Ok(run)
}

/// Name of the operation that starts runs, for the record.
const RUN: &str = "esp_batch_program";

/// Longest lot or operator.
const MAX_WORDS: usize = 100;

/// What people call things stands in every record and on every screen: one line of it, not a book.
fn check_words(order: &RunOrder) -> Result<(), OperationError> {
    for (what, words) in [("lot", &order.lot), ("operator", &order.operator)] {
        let wrong = |words: &String| {
            words.trim().is_empty()
                || words.chars().count() > MAX_WORDS
                || words.chars().any(char::is_control)
        };
        if words.as_ref().is_some_and(wrong) {
            let message = format!("`{what}` must be one line of 1 to {MAX_WORDS} characters");
            return Err(OperationError::usage("words-invalid", message));
        }
    }
    Ok(())
}

/// Names of bays are as in `station.toml`.
pub(super) fn bay_name(name: &str) -> Result<BayName, OperationError> {
    let good = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.');
    if name.is_empty() || name.len() > 32 || name.starts_with('-') || !name.chars().all(good) {
        let message = format!("`{}` is no name of a bay", name.escape_debug());
        return Err(OperationError::usage("bay-name", message)
            .hint("up to 32 letters, digits, `-`, `_` and `.`: --bay left=tty:/dev/ttyUSB0"));
    }
    Ok(BayName::new(name))
}

/// Plays the operator at the virtual bays of a run: takes a finished board out and puts the next one in.
struct Swapper {
    rack: Arc<Rack>,
    boards: BTreeMap<BayName, u32>,
    events: Subscription,
    journal: PathBuf,
}

impl Swapper {
    async fn swap_boards(mut self, run: RunId) {
        while !self.boards.is_empty() {
            match self.events.next().await {
                Ok(event) => {
                    if self.saw(&event, run).await {
                        return;
                    }
                }
                Err(FeedError::Lagged(seq)) => match self.missed(seq).await {
                    Ok(missed) => {
                        for event in missed {
                            self.events.resume_after(event.seq);
                            if self.saw(&event, run).await {
                                return;
                            }
                        }
                    }
                    Err(error) => {
                        tracing::error!(%run, %error, "virtual boards are no longer swapped");
                        return;
                    }
                },
                Err(FeedError::Closed) => return,
            }
        }
    }

    /// Events it was too slow for; a page of them at a time, as the next event brings the next page.
    async fn missed(&self, after: Seq) -> Result<Vec<Event>, OperationError> {
        let journal = self.journal.clone();
        tokio::task::spawn_blocking(move || {
            Ok(Reader::open(&journal)?.events_since(after, None, MAX_EVENTS)?)
        })
        .await
        .map_err(|error| OperationError::new("internal", error.to_string()))?
    }

    /// Acts on an event; says whether it was the run's last.
    async fn saw(&mut self, event: &Event, run: RunId) -> bool {
        if event.run != Some(run) {
            return false;
        }
        if let EventKind::AttemptFinished { bay, .. } = &event.kind
            && let Some(number) = self.boards.get(bay)
            && self.rack.swap(*number).await.is_err()
        {
            self.boards.remove(bay);
        }
        matches!(event.kind, EventKind::RunFinished { .. })
    }
}
