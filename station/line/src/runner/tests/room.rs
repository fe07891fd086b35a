//! A jig of virtual bays, a recipe with tiny images, and a journal that writes at once.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use station_device::link::memory::{BoardControl, BoardReset, MemoryLink};
use station_device::{Connector, DeviceError, Port, Presence, ResetTo};
use station_esp::Chip;
use station_virtual::AppScript;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::Faults;
use station_virtual::server::{self, Control, memory};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::clock::SimulatedClock;
use crate::event::{BayCondition, BayName, Event, EventKind};
use crate::journal::{Grammar, Journal, OpenOptions, Reader};
use crate::outcome::StepOutcome;
use crate::plan::Plan;
use crate::runner::{Bay, RunHandle, RunReport, RunRequest, start};

/// The partition table of every test recipe.
const PARTITIONS: &str = "\
nvs,data,nvs,0x9000,0x6000,
factory,app,factory,0x10000,0x10000,
serial,data,0x40,0x20000,0x1000,
";

/// Head of every test recipe; `[run]` comes from the test.
const HEAD: &str = r#"
format = 1
product = "node"
chip = "esp32c3"
[images]
bootloader = { file = "bootloader.bin", at = 0x0 }
table = { file = "partitions.csv", at = 0x8000 }
app = { file = "app.bin", at = "factory" }
"#;

/// The usual steps.
pub(super) const STEPS: &str = r#"
[serial]
pattern = "SN-{counter:06}"
[[step]]
name = "identify"
identify = { flash_size = "4MB" }
retry = { times = 2, on = ["contact", "link", "timeout"] }
[[step]]
name = "flash"
flash = { images = ["bootloader", "table", "app"] }
retry = { times = 3, on = ["contact", "link", "timeout"] }
[[step]]
name = "serial"
serial = { at = "serial" }
retry = { times = 2, on = ["contact", "link", "timeout"] }
[[step]]
name = "self test"
test = { boot = true, expect = "SELFTEST READY", within = "3s", script = [
  { send = "adc vdd", pattern = 'vdd=(\d+)mV', measure = "vdd", unit = "mV",
    min = 3200, max = 3400 },
  { send = "finish", pattern = 'SELFTEST (PASS|FAIL)', measure = "verdict", equals = "PASS" } ] }
"#;

/// A sound application.
pub(super) const SOUND: &str = r#"
boot = ["SELFTEST START", "SELFTEST READY"]
[[command]]
send = "adc vdd"
answer = "vdd={value}mV"
value = { mean = 3300, sigma = 5 }
[[command]]
send = "finish"
answer = "SELFTEST PASS"
"#;

/// One bay of the jig.
#[derive(Debug)]
pub(super) struct VirtualBay {
    pub(super) control: Control,
    presence: watch::Receiver<Presence>,
    name: String,
}

#[derive(Debug)]
struct Board(Control);

#[async_trait]
impl BoardControl for Board {
    async fn reset(&self, to: ResetTo) -> io::Result<()> {
        let to = match to {
            ResetTo::Bootloader => server::ResetTo::Bootloader,
            ResetTo::Application => server::ResetTo::Application,
        };
        self.0.reset(to).await.map_err(io::Error::other)
    }

    async fn set_baud(&self, baud: u32) -> io::Result<()> {
        self.0.set_baud(baud).await.map_err(io::Error::other)
    }
}

impl VirtualBay {
    fn new(name: String) -> Self {
        let control = memory::spawn_empty();
        let mut boards = control.presence();
        let (tell, presence) = watch::channel(Presence::Absent);
        tokio::spawn(async move {
            loop {
                let now = match *boards.borrow_and_update() {
                    server::Presence::Absent => Presence::Absent,
                    server::Presence::Present(number) => Presence::Present(number),
                };
                tell.send_replace(now);
                if boards.changed().await.is_err() {
                    return;
                }
            }
        });
        Self {
            control,
            presence,
            name,
        }
    }
}

impl VirtualBay {
    /// The same bay under the name of a virtual one.
    pub(super) fn as_virtual(&self) -> Arc<dyn Connector> {
        Arc::new(Self {
            control: self.control.clone(),
            presence: self.presence.clone(),
            name: "virtual:1".to_owned(),
        })
    }
}

#[async_trait]
impl Connector for VirtualBay {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn open(&self) -> Result<Port, DeviceError> {
        let gone = || DeviceError::NoBoard {
            place: self.name.clone(),
        };
        if *self.presence.borrow() == Presence::Absent {
            return Err(gone());
        }
        let stream = self.control.open().await.map_err(|_| gone())?;
        let board: Arc<dyn BoardControl> = Arc::new(Board(self.control.clone()));
        let link = MemoryLink::new(self.name.clone(), stream, Arc::clone(&board));
        Ok(Port::new(Box::new(link), Box::new(BoardReset::new(board))))
    }

    fn presence(&self) -> watch::Receiver<Presence> {
        self.presence.clone()
    }
}

/// A jig, a journal, a clock.
pub(super) struct Room {
    pub(super) folder: TempDir,
    pub(super) journal: Journal,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) bays: Vec<Arc<VirtualBay>>,
}

impl Room {
    /// A jig of empty bays.
    pub(super) fn new(bays: usize) -> Self {
        Self::with_options(bays, |_| {})
    }

    /// A jig whose journal was opened with other options.
    pub(super) fn with_options(bays: usize, change: impl FnOnce(&mut OpenOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bootloader.bin"), ram_image()).unwrap();
        std::fs::write(folder.path().join("app.bin"), application(8 * 1024)).unwrap();
        std::fs::write(folder.path().join("partitions.csv"), PARTITIONS).unwrap();
        let epoch = DateTime::<Utc>::from_timestamp(1_790_000_000, 0).unwrap();
        let mut options = OpenOptions::simulation(epoch);
        change(&mut options);
        let journal = Journal::open(folder.path().join("journal.db"), &options).unwrap();
        let bays = (1..=bays)
            .map(|bay| Arc::new(VirtualBay::new(bay.to_string())))
            .collect();
        Self {
            folder,
            journal,
            clock: Arc::new(SimulatedClock::starting_at(epoch)),
            bays,
        }
    }

    /// A jig of as many empty bays, with everything on disk as it is at this moment: what a station
    /// finds that comes back after its death.
    pub(super) fn after_death(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
            }
        }
        let now = crate::clock::Clock::now(self.clock.as_ref());
        let options = OpenOptions::simulation(now);
        let journal = Journal::open(folder.path().join("journal.db"), &options).unwrap();
        let bays = self.bays.iter();
        Self {
            folder,
            journal,
            clock: Arc::new(SimulatedClock::starting_at(now)),
            bays: bays
                .map(|bay| Arc::new(VirtualBay::new(bay.name.clone())))
                .collect(),
        }
    }

    /// Closes the journal and opens it again, as a station that is started anew does.
    pub(super) fn reopen(&mut self) {
        let path = self.journal.path().to_owned();
        let options = OpenOptions::simulation(crate::clock::Clock::now(self.clock.as_ref()));
        let elsewhere = self.folder.path().join("elsewhere.db");
        // The file is free only when its last owner is gone.
        self.journal = Journal::open(&elsewhere, &options).unwrap();
        self.journal = Journal::open(path, &options).unwrap();
    }

    /// Compiles the head, `run` as the `[run]` table, and `steps`.
    pub(super) fn plan(&self, run: &str, steps: &str) -> Arc<Plan> {
        self.plan_headed("", run, steps)
    }

    /// The same with more lines at the top.
    pub(super) fn plan_headed(&self, top: &str, run: &str, steps: &str) -> Arc<Plan> {
        let text = format!("{top}\n{HEAD}\n[run]\n{run}\n{steps}");
        compile(&text, self.folder.path())
    }

    /// Puts a board into a bay (from 0).
    pub(super) async fn insert(&self, bay: usize, board: ChipConfig) {
        self.bays[bay].control.replace(board).await.unwrap();
        self.settle().await;
    }

    /// Takes the board out of a bay.
    pub(super) async fn remove(&self, bay: usize) {
        self.bays[bay].control.remove().await.unwrap();
        self.settle().await;
    }

    /// Lets every task do what it can do at once.
    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// Every bay under its name.
    pub(super) fn request_bays(&self) -> Vec<(BayName, Arc<VirtualBay>)> {
        let bays = self.bays.iter();
        bays.map(|bay| (BayName::new(bay.name.clone()), Arc::clone(bay)))
            .collect()
    }

    pub(super) fn request(&self, plan: &Arc<Plan>) -> RunRequest {
        let bays = self.bays.iter().map(|bay| Bay {
            name: BayName::new(bay.name.clone()),
            connector: Arc::clone(bay) as Arc<dyn Connector>,
        });
        RunRequest::new(Arc::clone(plan), bays.collect())
    }

    pub(super) async fn start(&self, request: RunRequest) -> RunHandle {
        let clock = Arc::clone(&self.clock) as Arc<dyn crate::clock::Clock>;
        start(request, &self.journal, clock).await.unwrap()
    }

    /// Runs every bay's board once.
    pub(super) async fn run_once(&self, plan: &Arc<Plan>) -> RunReport {
        let request = RunRequest {
            once: true,
            ..self.request(plan)
        };
        self.finish(self.start(request).await).await
    }

    /// Waits for the end of a run, but not for ever.
    pub(super) async fn finish(&self, handle: RunHandle) -> RunReport {
        let patience = Duration::from_secs(24 * 3600);
        tokio::time::timeout(patience, handle.join())
            .await
            .expect("the run ends")
            .unwrap()
    }

    /// Waits until an event is recorded of which `wanted` holds, and returns it.
    pub(super) async fn until(&self, wanted: impl Fn(&EventKind) -> bool) -> Event {
        let mut events = self.journal.subscribe();
        if let Some(event) = self.events().into_iter().find(|event| wanted(&event.kind)) {
            return event;
        }
        let patience = tokio::time::Instant::now() + Duration::from_secs(3600);
        loop {
            let event = tokio::time::timeout_at(patience, events.next()).await;
            let event = event.expect("it happens within an hour").unwrap();
            if wanted(&event.kind) {
                return event.as_ref().clone();
            }
        }
    }

    /// Every event of the journal, after checking their grammar.
    pub(super) fn events(&self) -> Vec<Event> {
        let reader = self.journal.reader().unwrap();
        all_events(&reader)
    }

    /// Tries and outcomes of one step, over all attempts.
    pub(super) fn tries(&self, name: &str) -> Vec<(u32, StepOutcome)> {
        let tries = self.events().into_iter().filter_map(|event| {
            if let EventKind::StepFinished {
                step,
                try_number,
                outcome,
                ..
            } = event.kind
                && step.as_str() == name
            {
                Some((try_number, outcome))
            } else {
                None
            }
        });
        tries.collect()
    }

    /// What the flash of the board in a bay holds.
    pub(super) async fn flash(&self, bay: usize, offset: u32, length: u32) -> Vec<u8> {
        let look = move |chip: Option<&station_virtual::VirtualChip>| {
            chip.map(|chip| chip.flash().bytes(offset, length))
        };
        self.bays[bay].control.inspect(look).await.unwrap().unwrap()
    }

    /// What the bays were, in order.
    pub(super) fn conditions(&self) -> BTreeMap<String, Vec<BayCondition>> {
        let mut conditions: BTreeMap<String, Vec<BayCondition>> = BTreeMap::new();
        for event in self.events() {
            if let EventKind::BayChanged { bay, to, .. } = event.kind {
                conditions.entry(bay.to_string()).or_default().push(to);
            }
        }
        conditions
    }
}

/// Every event, after checking their grammar.
pub(super) fn all_events(reader: &Reader) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events
            .last()
            .map_or(crate::event::Seq(0), |event| event.seq);
        let more = reader.events_since(after, None, 10_000).unwrap();
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    let mut grammar = Grammar::new();
    for event in &events {
        grammar.accept(event).unwrap();
    }
    events
}

pub(super) fn compile(text: &str, folder: &Path) -> Arc<Plan> {
    match crate::recipe::compile_text("test.toml", text, folder) {
        Ok(compiled) => compiled.plan,
        Err(errors) => panic!("{}", errors.render()),
    }
}

/// A sound board: unit `unit`.
pub(super) fn board(unit: u64) -> ChipConfig {
    let mut config = ChipConfig::new(Chip::Esp32C3, unit, 1);
    config.app = Some(AppScript::parse(SOUND).unwrap());
    config
}

/// A board whose application is another one.
pub(super) fn board_saying(unit: u64, script: &str) -> ChipConfig {
    ChipConfig {
        app: Some(AppScript::parse(script).unwrap()),
        ..board(unit)
    }
}

/// A board with something wrong.
pub(super) fn broken_board(unit: u64, breaks: impl FnOnce(&mut Faults)) -> ChipConfig {
    let mut config = board(unit);
    breaks(&mut config.faults);
    config
}

fn image(address: u32, content: &[u8]) -> Vec<u8> {
    image_for(Chip::Esp32C3, address, content)
}

/// An image as the ROM loads it: header, one segment, checksum, SHA-256.
pub(super) fn image_for(chip: Chip, address: u32, content: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    assert_eq!(content.len() % 4, 0);
    let chip_id = chip.spec().image_id;
    let mut bytes = vec![0xE9, 1, 2, 0x20];
    bytes.extend(address.to_le_bytes());
    bytes.extend([0xEE, 0, 0, 0]);
    bytes.extend(chip_id.to_le_bytes());
    bytes.extend([0; 9]);
    bytes.push(1);
    bytes.extend(address.to_le_bytes());
    bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    bytes.extend(content);
    let sum = content.iter().fold(0xEF, |sum, byte| sum ^ byte);
    while bytes.len() % 16 != 15 {
        bytes.push(0);
    }
    bytes.push(sum);
    let hash = Sha256::digest(&bytes);
    bytes.extend(hash);
    bytes
}

/// A bootloader that loads something into RAM.
fn ram_image() -> Vec<u8> {
    image(0x3FCD_5820, &[0x13; 256])
}

/// An application of about `size` bytes, half of which compress.
fn application(size: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_u32;
    let content = (0..size).map(|index| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if index % 1024 < 512 {
            state.to_be_bytes()[0]
        } else {
            0x55
        }
    });
    image(0x3C00_0020, &content.collect::<Vec<u8>>())
}
