//! How a run begins.

use std::collections::BTreeSet;
use std::sync::Arc;

use station_device::session::ConnectOptions;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bay::BayRules;
use super::context::{BayContext, RunContext};
use super::coordinator::{Coordinator, RunState, Seat};
use super::cursor::rules_of;
use super::gate::Gate;
use super::handle::{RunControl, RunHandle};
use super::permission;
use super::prepared::{Ciphertexts, ReadyImage, prepare};
use super::progress::ProgressBoard;
use super::record::Record;
use super::request::{Bay, MAX_BAYS, RunRequest, StartError};
use super::resources::ResourcePool;
use super::task::BayTask;
use crate::approval::ApprovalId;
use crate::clock::Clock;
use crate::event::{EventKind, Mac, RunId};
use crate::journal::{Journal, JournalError, PlanRecord, Share};
use crate::plan::Plan;

/// Messages of all bays that may wait for the coordinator.
const MESSAGES: usize = 1024;

/// Orders that may wait for a bay; more than are ever under way.
const ORDERS: usize = 32;

/// Begins a run: images are made ready, the plan and the beginning are recorded, then every bay
/// lives.
///
/// Wait for its end: whoever drops the future while the beginning is being recorded may leave a run
/// in the journal that only its next opening closes.
///
/// # Errors
/// Why it did not begin; nothing was recorded of it then, except perhaps the plan.
pub async fn start(
    request: RunRequest,
    journal: &Journal,
    clock: Arc<dyn Clock>,
) -> Result<RunHandle, StartError> {
    check_bays(&request.bays)?;
    let plan = Arc::clone(&request.plan);
    let images = prepare(&plan).await?;
    let passed = passed_units(journal, &plan).await?;
    // The last thing before the beginning: what is used up here is used up.
    let approval = permission::of_run(&request, journal, clock.as_ref()).await?;
    let run = journal.next_run();
    let share = share(journal, &plan, run, passed)?;
    journal
        .store_plan(clock.now(), PlanRecord::of(&plan, &request.station))
        .await?;
    let events = journal.subscribe();
    let mut record = Record::new(journal.clone(), Arc::clone(&clock), run);
    record.add(run_started(&request));
    record.flush().await?;
    let (progress, pens) = ProgressBoard::new(request.bays.len());
    let (controls, controlled) = mpsc::channel(ORDERS);
    let (tell, messages) = mpsc::channel(MESSAGES);
    let gate = Gate::new(plan.contents().run.mode, request.bays.len(), request.units);
    let bays = request.bays.clone();
    let means = Means {
        journal: journal.clone(),
        approval,
        clock,
    };
    let context = Arc::new(context(request, run, images, means));
    let mut tasks = JoinSet::new();
    let mut seats = Vec::with_capacity(bays.len());
    for ((index, bay), progress) in bays.into_iter().enumerate().zip(pens) {
        let bay = BayContext {
            index,
            name: bay.name,
            connector: bay.connector,
            connect: connect_options(&plan),
            messages: tell.clone(),
            progress,
        };
        seats.push(seat(&mut tasks, &context, bay));
    }
    // When the last bay is gone the coordinator hears no more, and ends.
    drop(tell);
    let coordinator = Coordinator {
        serials: plan.contents().serial.clone().map(Arc::new),
        context,
        record,
        seats,
        tasks,
        messages,
        controls: controlled,
        gate,
        share,
        state: RunState::default(),
    };
    let control = RunControl::new(run, controls, progress);
    Ok(RunHandle::new(
        control,
        events,
        tokio::spawn(coordinator.run()),
    ))
}

fn run_started(request: &RunRequest) -> EventKind {
    EventKind::RunStarted {
        plan: request.plan.id().clone(),
        product: request.plan.contents().product.clone(),
        bays: request.bays.iter().map(|bay| bay.name.clone()).collect(),
        lot: request.lot.clone(),
        operator: request.operator.clone(),
        units: request.units,
        station: request.station.clone(),
    }
}

/// What a run works with, beside what it was asked for.
struct Means {
    journal: Journal,
    approval: Option<ApprovalId>,
    clock: Arc<dyn Clock>,
}

fn context(request: RunRequest, run: RunId, images: Vec<ReadyImage>, means: Means) -> RunContext {
    let contents = request.plan.contents();
    RunContext {
        run,
        images,
        rules: rules_of(&contents.steps),
        bay_rules: BayRules {
            auto_start: contents.run.auto_start,
            quarantine_after: contents.run.quarantine_after,
        },
        resources: ResourcePool::for_steps(&contents.steps),
        lot: request.lot,
        operator: request.operator,
        once: request.once,
        journal: means.journal,
        keys: request.keys,
        approval: means.approval,
        ciphertexts: Ciphertexts::default(),
        clock: means.clock,
        stop: CancellationToken::new(),
        lost: CancellationToken::new(),
        plan: request.plan,
    }
}

fn check_bays(bays: &[Bay]) -> Result<(), StartError> {
    if bays.is_empty() {
        return Err(StartError::NoBays);
    }
    if bays.len() > MAX_BAYS {
        return Err(StartError::TooManyBays { given: bays.len() });
    }
    let mut names = BTreeSet::new();
    for bay in bays {
        if !names.insert(bay.name.as_str()) {
            return Err(StartError::SameName {
                name: bay.name.clone(),
            });
        }
    }
    Ok(())
}

/// Units that passed this product and revision before.
async fn passed_units(journal: &Journal, plan: &Plan) -> Result<u64, JournalError> {
    let contents = plan.contents();
    // The count is the product's; no unit has this address.
    let nobody = Mac::new("00:00:00:00:00:00");
    let standing = journal
        .standing(&nobody, &contents.product, contents.revision.as_deref())
        .await?;
    Ok(standing.passed_units)
}

/// The run's part in what may still be begun, unless as many as the quota allows have passed.
fn share(journal: &Journal, plan: &Plan, run: RunId, passed: u64) -> Result<Share, StartError> {
    let contents = plan.contents();
    let share = journal.share(&contents.product, contents.revision.as_deref(), run);
    share.learn(passed);
    match contents.run.quota {
        Some(quota) if share.left(quota) == 0 => Err(StartError::QuotaReached {
            quota,
            product: contents.product.clone(),
        }),
        Some(_) | None => Ok(share),
    }
}

fn connect_options(plan: &Plan) -> ConnectOptions {
    let contents = plan.contents();
    ConnectOptions {
        chips: contents.chips.clone(),
        bauds: contents.run.bauds.clone(),
        ..ConnectOptions::default()
    }
}

fn seat(tasks: &mut JoinSet<()>, context: &Arc<RunContext>, bay: BayContext) -> Seat {
    let (orders, ordered) = mpsc::channel(ORDERS);
    let name = bay.name.clone();
    let task = BayTask::new(Arc::clone(context), bay, ordered);
    Seat {
        name,
        orders,
        open: None,
        task: tasks.spawn(task.live()).id(),
    }
}
