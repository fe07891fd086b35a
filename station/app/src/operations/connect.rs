//! How well a chip can be reached: `esp_connect_advanced`, `esp_test_connection`.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::reset::{ModemLines, NoReset, ResetMeans};
use station_device::session::{AfterSession, Session};
use station_device::{DeviceError, Port};
use station_esp::command::RegisterWrite;
use tokio::time::Instant;

use super::attached::{Attached, reported};
use super::chip::ChipView;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Rates that are tried, fastest first.
const LADDER: [u32; 6] = [2_000_000, 1_500_000, 921_600, 460_800, 230_400, 115_200];

/// Exchanges that fail in a row before a link counts as dead: each may have waited for its deadline.
const DEAD_AFTER: u32 = 10;

/// Refuses rates that no chip does, and more of them than anybody waits for.
fn check_bauds(bauds: &[u32]) -> Result<(), OperationError> {
    let good = |baud: &u32| (1_200..=5_000_000).contains(baud);
    if bauds.len() <= 16 && bauds.iter().all(good) {
        return Ok(());
    }
    Err(OperationError::usage(
        "bauds-invalid",
        "`bauds` takes at most 16 rates between 1200 and 5000000",
    ))
}

/// A way to bring a chip into its bootloader.
#[derive(Clone, Copy, Debug)]
enum Strategy {
    /// What the bay or address is configured for.
    Configured,
    /// DTR and RTS one after the other.
    Classic,
    /// DTR and RTS together.
    Tight,
    /// DTR and RTS as USB-Serial-JTAG understands them.
    UsbJtag,
    /// None: the chip already waits.
    NoReset,
}

impl Strategy {
    const ORDER: [Self; 5] = [
        Self::Configured,
        Self::Classic,
        Self::Tight,
        Self::UsbJtag,
        Self::NoReset,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Classic => "classic",
            Self::Tight => "tight",
            Self::UsbJtag => "usb-jtag",
            Self::NoReset => "no-reset",
        }
    }

    /// Fits the port out for it; `None` where the port has no modem lines to do it with.
    fn fit(self, mut port: Port) -> Option<Port> {
        let lines = matches!(
            port.reset.means(),
            ResetMeans::ModemLines | ResetMeans::UsbJtag
        );
        let hold = station_device::reset::HOLD_STRAP;
        match self {
            Self::Configured => return Some(port),
            Self::NoReset => port.reset = Box::new(NoReset),
            Self::Classic if lines => port.reset = Box::new(ModemLines::Classic { hold }),
            Self::Tight if lines => port.reset = Box::new(ModemLines::Tight { hold }),
            Self::UsbJtag if lines => port.reset = Box::new(ModemLines::UsbJtag),
            Self::Classic | Self::Tight | Self::UsbJtag => return None,
        }
        Some(port)
    }
}

/// Parameters of `esp_connect_advanced`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConnectParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Baud rates to try, fastest first (default: 2000000 down to 115200)
    #[arg(long = "bauds", value_delimiter = ',')]
    #[serde(default)]
    pub bauds: Vec<u32>,
}

/// One try.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Try {
    /// How the chip was reset
    pub reset: String,
    /// Baud rate
    pub baud: u32,
    /// Whether the chip answered at that rate
    pub worked: bool,
    /// How long it took in milliseconds
    pub took_ms: u64,
    /// Stable code of the failure
    pub code: Option<String>,
    /// Why it failed
    pub reason: Option<String>,
}

/// What works.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConnectView {
    /// Every try, in the order made
    pub tries: Vec<Try>,
    /// The fastest that works
    pub best: Option<Try>,
    /// The chip, if any try worked
    pub chip: Option<ChipView>,
}

/// `esp_connect_advanced`.
#[derive(Debug)]
pub struct ConnectAdvanced;

#[async_trait]
impl Operation for ConnectAdvanced {
    const DECLARATION: Declaration = Declaration {
        name: "esp_connect_advanced",
        aliases: &[],
        command: &["chip", "connect"],
        title: "Find out how a chip can be reached",
        summary: "Tries ways to reset (as configured, classic, tight, USB-JTAG, none) with baud rates from fast to slow, \
                  and returns every try, the fastest that works, and why others failed. Stops at the first way to reset that works.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ConnectParameters;
    type Output = ConnectView;

    async fn invoke(
        station: &Station,
        parameters: ConnectParameters,
        call: &Call,
    ) -> Result<ConnectView, OperationError> {
        let bauds = if parameters.bauds.is_empty() {
            LADDER.to_vec()
        } else {
            parameters.bauds.clone()
        };
        check_bauds(&bauds)?;
        let mut view = ConnectView {
            tries: Vec::new(),
            best: None,
            chip: None,
        };
        let all = (Strategy::ORDER.len() * bauds.len()) as u64;
        for strategy in Strategy::ORDER {
            for baud in &bauds {
                let port = station.connector(&parameters.attached.port)?.open().await?;
                let Some(port) = strategy.fit(port) else {
                    break;
                };
                let phase = format!("{} at {baud} baud", strategy.word());
                call.progress
                    .progress(&phase, view.tries.len() as u64, Some(all));
                let trying = attempt(&parameters.attached, strategy, *baud, port);
                let (tried, chip) = reported(call, &phase, None, trying).await;
                view.tries.push(tried.clone());
                if let Some(chip) = chip {
                    view.best = Some(tried);
                    view.chip = Some(chip);
                    return Ok(view);
                }
            }
        }
        Ok(view)
    }
}

async fn attempt(
    attached: &Attached,
    strategy: Strategy,
    baud: u32,
    port: Port,
) -> (Try, Option<ChipView>) {
    let mut options = attached.options();
    options.bauds = vec![baud];
    options.resets = 2;
    options.deadline = Duration::from_secs(6);
    let started = Instant::now();
    let outcome = connect_at(port, &options, baud).await;
    let mut tried = Try {
        reset: strategy.word().to_owned(),
        baud,
        worked: outcome.is_ok(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        code: None,
        reason: None,
    };
    match outcome {
        Ok(chip) => (tried, Some(chip)),
        Err(error) => {
            tried.code = Some(error.code().to_owned());
            tried.reason = Some(error.to_string());
            (tried, None)
        }
    }
}

async fn connect_at(
    port: Port,
    options: &station_device::ConnectOptions,
    baud: u32,
) -> Result<ChipView, DeviceError> {
    let session = Session::connect(port, options).await?;
    let view = ChipView::of(&session);
    session.close(AfterSession::Application).await?;
    if view.baud == baud {
        return Ok(view);
    }
    let detail = format!("the conversation fell back to {} baud", view.baud);
    Err(DeviceError::BaudRejected { baud, detail })
}

/// Parameters of `esp_test_connection`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TestParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Register reads per baud rate
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 100_000))]
    pub count: u32,
    /// Baud rates to test (default: the conversation's own)
    #[arg(long = "bauds", value_delimiter = ',')]
    #[serde(default)]
    pub bauds: Vec<u32>,
}

fn hundred() -> u32 {
    100
}

/// How a link did at one rate.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LinkView {
    /// Baud rate
    pub baud: u32,
    /// Exchanges tried
    pub exchanges: u32,
    /// Exchanges that failed or returned wrong bytes
    pub errors: u32,
    /// Half of the exchanges took at most this long, in microseconds
    pub p50_us: u64,
    /// 99 in 100 took at most this long, in microseconds
    pub p99_us: u64,
    /// The slowest, in microseconds
    pub max_us: u64,
    /// Why the rate could not be used, or not to the end
    pub refused: Option<String>,
}

/// How reliable a link is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TestView {
    /// Each rate tested
    pub links: Vec<LinkView>,
    /// The fastest rate without an error
    pub highest_reliable_baud: Option<u32>,
}

/// `esp_test_connection`.
#[derive(Debug)]
pub struct TestConnection;

#[async_trait]
impl Operation for TestConnection {
    const DECLARATION: Declaration = Declaration {
        name: "esp_test_connection",
        aliases: &[],
        command: &["chip", "test-link"],
        title: "Measure how reliable a link is",
        summary: "Reads a register many times and writes patterns to the chip's RAM and back, at one or several baud rates; \
                  returns errors, latency percentiles and the fastest rate without an error.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = TestParameters;
    type Output = TestView;

    async fn invoke(
        station: &Station,
        parameters: TestParameters,
        call: &Call,
    ) -> Result<TestView, OperationError> {
        check_bauds(&parameters.bauds)?;
        let mut bauds: Vec<Option<u32>> = parameters.bauds.iter().copied().map(Some).collect();
        if bauds.is_empty() {
            bauds.push(parameters.attached.baud);
        }
        let mut links = Vec::new();
        for baud in &bauds {
            let mut attached = parameters.attached.clone();
            attached.baud = *baud;
            links.push(test_rate(station, &attached, parameters.count, call).await?);
        }
        let highest_reliable_baud = links
            .iter()
            .filter(|link| link.errors == 0 && link.refused.is_none())
            .map(|link| link.baud)
            .max();
        Ok(TestView {
            links,
            highest_reliable_baud,
        })
    }
}

async fn test_rate(
    station: &Station,
    attached: &Attached,
    count: u32,
    call: &Call,
) -> Result<LinkView, OperationError> {
    let mut session = attached.connect(station, call).await?;
    let mut view = LinkView {
        baud: session.baud(),
        exchanges: 0,
        errors: 0,
        p50_us: 0,
        p99_us: 0,
        max_us: 0,
        refused: None,
    };
    if let Some(wanted) = attached.baud.filter(|wanted| *wanted != view.baud) {
        view.refused = Some(format!("the conversation fell back to {} baud", view.baud));
        view.baud = wanted;
    } else {
        exchange(&mut session, count, &mut view, call).await;
    }
    attached.finish(session, Ok(view)).await
}

/// Alternates reads of a constant register with patterns to a RAM word and back.
async fn exchange(session: &mut Session, count: u32, view: &mut LinkView, call: &Call) {
    let spec = session.identity().chip.spec();
    let constant = spec.uart.date;
    // The SPI controller's data buffer: every flash command writes it anew, so a pattern in it harms nothing.
    let scratch = spec.spi.w0 + 4 * 8;
    let mut times = Vec::with_capacity(count as usize);
    let mut first = None;
    let mut in_a_row = 0;
    let phase = format!("testing {} baud", view.baud);
    for at in 0..count {
        call.progress
            .progress(&phase, u64::from(at), Some(u64::from(count)));
        let started = Instant::now();
        let good = if at % 4 == 3 {
            pattern(session, scratch, 0x5AA5_0FF0_u32.rotate_left(at)).await
        } else {
            match session.read_register(constant).await {
                Ok(value) => *first.get_or_insert(value) == value,
                Err(_) => false,
            }
        };
        times.push(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        view.exchanges += 1;
        view.errors += u32::from(!good);
        in_a_row = if good { 0 } else { in_a_row + 1 };
        if in_a_row == DEAD_AFTER {
            view.refused = Some(format!("the last {DEAD_AFTER} exchanges failed"));
            break;
        }
    }
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get((times.len() * share / 100).min(times.len().saturating_sub(1)))
            .copied()
    };
    view.p50_us = at(50).unwrap_or_default();
    view.p99_us = at(99).unwrap_or_default();
    view.max_us = times.last().copied().unwrap_or_default();
}

async fn pattern(session: &mut Session, address: u32, value: u32) -> bool {
    let write = RegisterWrite {
        address,
        value,
        mask: u32::MAX,
        delay_us: 0,
    };
    session.write_registers(&[write]).await.is_ok()
        && session
            .read_register(address)
            .await
            .is_ok_and(|read| read == value)
}
