//! Scripts as text: TOML in, a checked script out.
//!
//! Invariants: unknown keys are refused; what is refused is named with its place; the built-in
//! script is a text like any other.

use std::sync::Arc;
use std::time::Duration;

use rand_distr::Normal;
use regex::RegexBuilder;
use serde::Deserialize;

use super::command::{Command, Listens};
use super::error::ScriptError;
use super::running::ScriptedApplication;
use super::template::{Allowed, Template};
use super::value::{Source, Value};

/// Longest script, in bytes.
const LONGEST: usize = 256 * 1024;
/// Most boot lines and most commands.
const MOST: usize = 256;
/// Longest delay, in milliseconds.
const LONGEST_DELAY: u64 = 600_000;
/// Memory a compiled pattern may take, in bytes.
const PATTERN_SIZE: usize = 64 * 1024;
/// Largest number a script may speak of: beyond it, rounding to decimals loses digits.
const LARGEST: f64 = 1e9;

/// The built-in script: the console of the demo firmware.
const DEMO: &str = r#"
boot = ["SELFTEST START", "chip={chip} mac={mac}", "SELFTEST READY"]
boot_delay_ms = 20

[[command]]
send = "adc vdd"
answer = "vdd={value}mV"
value = { mean = 3300, sigma = 8 }
min = 3200
max = 3400

[[command]]
send = "temp"
answer = "temp={value}C"
value = { mean = 27.4, sigma = 0.6, decimals = 1 }
min = 20
max = 35

[[command]]
send = "rssi"
answer = "rssi={value}dBm"
value = { mean = -52, sigma = 2 }
min = -60
max = -40

[[command]]
send = "ram test"
answer = "ram=ok"

[[command]]
send = "flash crc"
answer = "flash=ok"

[[command]]
send = "button"
answer = "button=released"

[[command]]
send = "finish"
answer = "SELFTEST PASS"
otherwise = "SELFTEST FAIL"
"#;

/// What an application says and answers, for every unit that runs it.
///
/// Cheap to clone: all units of a fleet share one.
#[derive(Clone, Debug)]
pub struct AppScript {
    pub(super) script: Arc<Script>,
}

/// A checked script.
#[derive(Debug)]
pub(super) struct Script {
    /// Baud rate of the console.
    pub(super) baud: u32,
    /// Time from the start of the application to its first line.
    pub(super) boot_delay: Duration,
    /// Lines said at the start.
    pub(super) boot: Vec<Template>,
    /// Answer to a line that no command listens for.
    pub(super) unknown: Template,
    /// The application runs its commands by itself, in order, without being asked.
    pub(super) unattended: bool,
    /// Fractions of units that fail in their own way.
    pub(super) failing: Failing,
    /// Commands, the first that listens answers.
    pub(super) commands: Vec<Command>,
}

/// Fractions of units (0 to 1) whose application fails, whatever is in its flash.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Failing {
    /// Says nothing at all.
    pub(super) never_boots: f64,
    /// Says its boot lines and then answers nothing.
    pub(super) silent: f64,
    /// Says noise instead of text.
    pub(super) garbage: f64,
    /// Restarts in the middle of an answer.
    pub(super) crash: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptText {
    #[serde(default = "console_baud")]
    baud: u32,
    #[serde(default)]
    boot_delay_ms: u64,
    #[serde(default)]
    boot: Vec<String>,
    #[serde(default = "unknown_answer")]
    unknown: String,
    #[serde(default)]
    unattended: bool,
    #[serde(default)]
    failing: Failing,
    #[serde(default)]
    command: Vec<CommandText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandText {
    send: Option<String>,
    pattern: Option<String>,
    answer: String,
    otherwise: Option<String>,
    value: Option<toml::Value>,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(default)]
    outside: f64,
    #[serde(default)]
    delay_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueText {
    mean: Option<f64>,
    sigma: Option<f64>,
    uniform: Option<[f64; 2]>,
    list: Option<Vec<toml::Value>>,
    #[serde(default)]
    decimals: u8,
}

fn console_baud() -> u32 {
    115_200
}

fn unknown_answer() -> String {
    "ERR unknown".to_owned()
}

impl AppScript {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// The first thing that is not understood or contradicts itself, with its place.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        if text.len() > LONGEST {
            return Err(ScriptError::TooLong {
                bytes: text.len(),
                limit: LONGEST,
            });
        }
        let text: ScriptText =
            toml::from_str(text).map_err(|error| ScriptError::Syntax(error.to_string()))?;
        Ok(Self {
            script: Arc::new(text.check()?),
        })
    }

    /// The built-in script, which speaks like the demo firmware.
    pub fn demo() -> Self {
        Self::parse(DEMO).expect("the built-in script is tested")
    }

    /// The text of the built-in script, to start one's own from.
    pub fn demo_text() -> &'static str {
        DEMO.trim_start()
    }

    /// The application of unit `unit` of the fleet with `seed`.
    pub fn instantiate(&self, unit: u64, seed: u64) -> ScriptedApplication {
        ScriptedApplication::new(self.clone(), seed, unit)
    }

    /// Baud rate of the application's console.
    pub fn baud(&self) -> u32 {
        self.script.baud
    }
}

impl ScriptText {
    fn check(self) -> Result<Script, ScriptError> {
        let whole = "script";
        if !(300..=5_000_000).contains(&self.baud) {
            return Err(ScriptError::value(
                whole,
                format!("a baud of {} is unusable", self.baud),
            ));
        }
        if self.boot.len() > MOST || self.command.len() > MOST {
            let problem = format!("more than {MOST} boot lines or commands");
            return Err(ScriptError::value(whole, problem));
        }
        let boot = self.boot.iter().enumerate().map(|(index, line)| {
            Template::parse(
                line,
                &format!("boot line {}", index + 1),
                Allowed::default(),
            )
        });
        Ok(Script {
            baud: self.baud,
            boot_delay: delay(self.boot_delay_ms, whole)?,
            boot: boot.collect::<Result<_, _>>()?,
            unknown: Template::parse(&self.unknown, "unknown", Allowed::default())?,
            unattended: self.unattended,
            failing: self.failing.check()?,
            commands: self
                .command
                .into_iter()
                .enumerate()
                .map(|(index, command)| command.check(index + 1))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Failing {
    fn check(self) -> Result<Self, ScriptError> {
        let fractions = [self.never_boots, self.silent, self.garbage, self.crash];
        let all: f64 = fractions.iter().sum();
        if fractions
            .iter()
            .all(|fraction| (0.0..=1.0).contains(fraction))
            && all <= 1.0
        {
            Ok(self)
        } else {
            Err(ScriptError::value(
                "failing",
                "fractions are from 0 to 1, and so is their sum",
            ))
        }
    }
}

impl CommandText {
    fn check(self, number: usize) -> Result<Command, ScriptError> {
        let name = self
            .send
            .as_ref()
            .or(self.pattern.as_ref())
            .map_or("", String::as_str);
        let place = format!(
            "command {number} ({})",
            name.chars().take(40).collect::<String>()
        );
        let listens = match (&self.send, &self.pattern) {
            (Some(line), None) => exact(line, &place)?,
            (None, Some(pattern)) => compiled(pattern, &place)?,
            _ => {
                let problem = "has either `send`, an exact line, or `pattern`, an expression";
                return Err(ScriptError::value(&place, problem));
            }
        };
        let value = self
            .value
            .as_ref()
            .map(|value| source(value, &place))
            .transpose()?;
        let limits = limits(self.min, self.max, &place)?;
        if !(0.0..=1.0).contains(&self.outside) {
            return Err(ScriptError::value(
                &place,
                "`outside` is a fraction from 0 to 1",
            ));
        }
        if value.is_none() && limits.is_some() || limits.is_none() && self.outside > 0.0 {
            let problem = "`outside` needs `min` and `max`, and these need a `value`";
            return Err(ScriptError::value(&place, problem));
        }
        let drawn = matches!(value, Some((Source::Normal(_) | Source::Uniform(..), _)));
        if self.outside > 0.0 && !drawn {
            let problem = "`outside` needs a value with `mean` and `sigma`, or `uniform`";
            return Err(ScriptError::value(&place, problem));
        }
        let allowed = Allowed {
            value: value.is_some(),
            captures: listens.groups(),
        };
        let answer = Template::parse(&self.answer, &place, allowed)?;
        if value.is_some() && !answer.shows_value() {
            return Err(ScriptError::value(
                &place,
                "`answer` does not show its `{value}`",
            ));
        }
        let otherwise = self
            .otherwise
            .map(|text| Template::parse(&text, &place, allowed));
        let outside = self.outside;
        Ok(Command {
            listens,
            answer,
            otherwise: otherwise.transpose()?,
            value: value.map(|(source, decimals)| Value {
                source,
                decimals,
                limits,
                outside,
            }),
            delay: delay(self.delay_ms, &place)?,
        })
    }
}

/// A delay that ends.
fn delay(milliseconds: u64, place: &str) -> Result<Duration, ScriptError> {
    if milliseconds > LONGEST_DELAY {
        let problem = format!("a delay of {milliseconds} ms is more than {LONGEST_DELAY} ms");
        return Err(ScriptError::value(place, problem));
    }
    Ok(Duration::from_millis(milliseconds))
}

/// An exact line: what a terminal can send and what is left of it after trimming.
fn exact(line: &str, place: &str) -> Result<Listens, ScriptError> {
    if line.is_empty() || line.trim() != line || line.contains(['\r', '\n']) || line.len() > 200 {
        let problem = "`send` is one line of 1 to 200 bytes without space around it";
        return Err(ScriptError::value(place, problem));
    }
    Ok(Listens::Line(line.to_owned()))
}

/// A pattern for whole lines.
fn compiled(pattern: &str, place: &str) -> Result<Listens, ScriptError> {
    let whole = format!("^(?:{pattern})$");
    let compiled = RegexBuilder::new(&whole).size_limit(PATTERN_SIZE).build();
    compiled.map(Listens::Pattern).map_err(|error| {
        let last = error.to_string();
        let last = last.lines().last().unwrap_or_default().trim();
        ScriptError::value(place, format!("`pattern` is not an expression: {last}"))
    })
}

/// Limits that make sense together.
fn limits(
    min: Option<f64>,
    max: Option<f64>,
    place: &str,
) -> Result<Option<(f64, f64)>, ScriptError> {
    match (min, max) {
        (None, None) => Ok(None),
        (Some(min), Some(max)) if min < max && min.abs() <= LARGEST && max.abs() <= LARGEST => {
            Ok(Some((min, max)))
        }
        _ => Err(ScriptError::value(
            place,
            "`min` and `max` stand together, `min` below `max`",
        )),
    }
}

/// Where a command's values come from, and how many decimals they have.
fn source(value: &toml::Value, place: &str) -> Result<(Source, u8), ScriptError> {
    let toml::Value::Table(_) = value else {
        return Ok((Source::Constant(scalar(value, place)?), 0));
    };
    let text: ValueText = value
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| ScriptError::value(place, error.message()))?;
    if text.decimals > 6 {
        return Err(ScriptError::value(place, "`decimals` is from 0 to 6"));
    }
    let small = |number: f64| number.abs() <= LARGEST;
    let source = match (text.mean, text.sigma, text.uniform, &text.list) {
        (Some(mean), Some(sigma), None, None) if small(mean) && small(sigma) && sigma >= 0.0 => {
            Normal::new(mean, sigma).ok().map(Source::Normal)
        }
        (None, None, Some([low, high]), None) if low <= high && small(low) && small(high) => {
            Some(Source::Uniform(low, high))
        }
        (None, None, None, Some(list)) if (1..=1024).contains(&list.len()) => Some(Source::List(
            list.iter()
                .map(|text| scalar(text, place))
                .collect::<Result<_, _>>()?,
        )),
        _ => None,
    };
    let problem = "`value` is a constant, { mean, sigma }, { uniform = [low, high] } or { list }";
    let source = source.ok_or_else(|| ScriptError::value(place, problem))?;
    Ok((source, text.decimals))
}

/// The text of a constant.
fn scalar(value: &toml::Value, place: &str) -> Result<String, ScriptError> {
    match value {
        toml::Value::String(text) if text.len() <= 256 => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        toml::Value::String(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => Err(ScriptError::value(
            place,
            "a constant is a number or a text of up to 256 bytes",
        )),
    }
}
