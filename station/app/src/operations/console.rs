//! The running application: `esp_reset_chip`, `esp_serial_monitor`.

use async_trait::async_trait;
use clap::ValueEnum;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::{ResetTo, Terminal};

use super::attached::reported;
use super::text::duration;
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// Where a reset leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetTarget {
    /// What is in flash
    Application,
    /// The ROM loader, waiting for a download
    Bootloader,
}

/// Parameters of `esp_reset_chip`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ResetParameters {
    /// Bay name or address
    #[arg(long, short)]
    pub port: String,
    /// Where the reset leads
    #[arg(long, value_enum, default_value = "application")]
    #[serde(default = "application")]
    pub to: ResetTarget,
    /// How long to listen to what the chip prints then
    #[arg(long, default_value = "1s")]
    #[serde(default = "one_second")]
    pub listen: String,
    /// Console baud rate
    #[arg(long, default_value_t = 115_200, value_parser = clap::value_parser!(u32).range(1_200..=5_000_000))]
    #[serde(default = "console_baud")]
    #[schemars(range(min = 1_200, max = 5_000_000))]
    pub baud: u32,
}

fn application() -> ResetTarget {
    ResetTarget::Application
}

fn one_second() -> String {
    "1s".to_owned()
}

fn console_baud() -> u32 {
    115_200
}

/// What a chip did after a reset.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ResetView {
    /// How it was reset
    pub means: String,
    /// What it printed
    pub console: String,
    /// The boot mode its log names, `0xc (SPI_FAST_FLASH_BOOT)`
    pub boot_mode: Option<String>,
}

/// `esp_reset_chip`.
#[derive(Debug)]
pub struct ResetChip;

#[async_trait]
impl Operation for ResetChip {
    const DECLARATION: Declaration = Declaration {
        name: "esp_reset_chip",
        aliases: &[],
        command: &["chip", "reset"],
        title: "Reset a chip and hear what it says",
        summary: "Resets a chip into its application or its bootloader through whatever its port can do, and returns what it printed then.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = ResetParameters;
    type Output = ResetView;

    async fn invoke(
        station: &Station,
        parameters: ResetParameters,
        call: &Call,
    ) -> Result<ResetView, OperationError> {
        let listen = duration(&parameters.listen)?;
        let mut port = station.connector(&parameters.port)?.open().await?;
        let means = port.reset.means();
        if matches!(
            means,
            station_device::reset::ResetMeans::None | station_device::reset::ResetMeans::Watchdog
        ) {
            return Err(OperationError::new(
                "no-reset-line",
                format!("`{}` has no line to reset the chip", parameters.port),
            )
            .hint("configure a reset for the bay, or press the button"));
        }
        port.link.set_baud(parameters.baud).await.map_err(|error| {
            OperationError::usage("baud-invalid", format!("{} baud: {error}", parameters.baud))
        })?;
        let to = match parameters.to {
            ResetTarget::Application => ResetTo::Application,
            ResetTarget::Bootloader => ResetTo::Bootloader,
        };
        let station_device::Port { link, reset, .. } = &mut port;
        reset.apply(link.as_mut(), to).await?;
        let mut terminal = Terminal::open(port);
        let console = reported(call, "listening", Some(listen), terminal.listen(listen)).await;
        Ok(ResetView {
            means: means.to_string(),
            boot_mode: boot_mode(&console),
            console,
        })
    }

    fn words(output: &ResetView) -> String {
        format!("reset by {}\n{}", output.means, output.console.trim_end())
    }
}

/// The boot mode a ROM's log names.
fn boot_mode(console: &str) -> Option<String> {
    let after = console.split("boot:").nth(1)?;
    Some(after.lines().next()?.trim().to_owned())
}

/// Parameters of `esp_serial_monitor`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MonitorParameters {
    /// Bay name or address
    #[arg(long, short)]
    pub port: String,
    /// How long to listen at most
    #[arg(long = "for", default_value = "10s")]
    #[serde(default = "ten_seconds", rename = "for")]
    pub time: String,
    /// Stop at text that matches this regular expression
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Line to send first
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// Reset the chip into its application first
    #[arg(long)]
    #[serde(default)]
    pub reset: bool,
    /// Console baud rate
    #[arg(long, default_value_t = 115_200, value_parser = clap::value_parser!(u32).range(1_200..=5_000_000))]
    #[serde(default = "console_baud")]
    #[schemars(range(min = 1_200, max = 5_000_000))]
    pub baud: u32,
}

fn ten_seconds() -> String {
    "10s".to_owned()
}

/// What was heard.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MonitorView {
    /// What the chip printed
    pub console: String,
    /// The pattern that was waited for
    pub until: Option<String>,
    /// The text that matched it; absent if none did in time
    pub matched: Option<String>,
    /// Bytes that were too many to keep
    pub dropped: u64,
}

/// `esp_serial_monitor`.
#[derive(Debug)]
pub struct SerialMonitor;

#[async_trait]
impl Operation for SerialMonitor {
    const DECLARATION: Declaration = Declaration {
        name: "esp_serial_monitor",
        aliases: &[],
        command: &["chip", "monitor"],
        title: "Listen to a chip's console",
        summary: "Listens to the console for a time or until a pattern appears; can reset the chip and send a line first.",
        effect: Effect::Read,
        idempotent: false,
    };
    type Parameters = MonitorParameters;
    type Output = MonitorView;

    async fn invoke(
        station: &Station,
        parameters: MonitorParameters,
        call: &Call,
    ) -> Result<MonitorView, OperationError> {
        let time = duration(&parameters.time)?;
        let until = parameters.until.as_deref().map(pattern).transpose()?;
        let mut port = station.connector(&parameters.port)?.open().await?;
        port.link.set_baud(parameters.baud).await.map_err(|error| {
            OperationError::usage("baud-invalid", format!("{} baud: {error}", parameters.baud))
        })?;
        if parameters.reset {
            let station_device::Port { link, reset, .. } = &mut port;
            reset.apply(link.as_mut(), ResetTo::Application).await?;
        }
        let mut terminal = Terminal::open(port);
        if let Some(line) = &parameters.send {
            terminal.send_line(line).await?;
        }
        let matched = match &until {
            None => {
                reported(call, "listening", Some(time), terminal.listen(time)).await;
                None
            }
            Some(until) => match reported(
                call,
                "listening",
                Some(time),
                terminal.expect(&[until], time),
            )
            .await
            {
                Ok(seen) => Some(seen.text),
                Err(station_device::DeviceError::NotHeard { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        Ok(MonitorView {
            console: terminal.transcript(),
            until: parameters.until,
            matched,
            dropped: terminal.dropped(),
        })
    }

    fn words(output: &MonitorView) -> String {
        output.console.trim_end().to_owned()
    }

    fn exit(output: &MonitorView) -> Exit {
        if output.until.is_some() && output.matched.is_none() {
            Exit::SomeFailed
        } else {
            Exit::Passed
        }
    }
}

fn pattern(text: &str) -> Result<Regex, OperationError> {
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .build()
        .map_err(|error| {
            OperationError::usage(
                "pattern-invalid",
                format!("`{text}` is no regular expression: {error}"),
            )
        })
}
