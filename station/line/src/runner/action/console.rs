//! `boot` and `test`: the application on the chip, started and talked to.
//!
//! An application that keeps silent is the unit's fault once it was started: a text that does not
//! come in its time is a failure of class Boot, whether at start-up or as an answer. A value
//! outside its limits does not end the conversation: everything is measured, and the first such
//! value decides.

use regex::Regex;
use station_device::DeviceError;
use station_device::flash::ProgressSink;

use super::measure::judge;
use crate::outcome::{Failure, FailureClass};
use crate::plan::{Boot, Exchange, Test};
use crate::runner::attempt::{Attempt, Turn};

/// Starts the application and waits for what it must say.
pub(super) async fn boot(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    boot: &Boot,
) -> Result<(), Failure> {
    attempt.pen(turn.step).progress("boot", 0, None);
    let terminal = attempt.chip.boot(boot.baud).await?;
    let patterns: Vec<&Regex> = boot.reject.iter().chain(&boot.expect).collect();
    if patterns.is_empty() {
        return Ok(());
    }
    match terminal.expect(&patterns, boot.within).await {
        Ok(seen) if seen.pattern < boot.reject.len() => Err(Failure::new(
            FailureClass::Boot,
            "boot-rejected",
            format!("the application printed `{}`", seen.text),
        )),
        Ok(_) => Ok(()),
        // Nothing but the bad signs was looked for, and none came.
        Err(DeviceError::NotHeard { .. }) if boot.expect.is_none() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Goes through a script of questions and answers.
pub(super) async fn test(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    test: &Test,
) -> Result<(), Failure> {
    if let Some(start) = &test.boot {
        boot(attempt, turn, start).await?;
    }
    attempt.chip.terminal()?;
    let count = u64::try_from(test.script.len()).ok();
    let mut first_bad = None;
    for (done, exchange) in (0..).zip(&test.script) {
        attempt.pen(turn.step).progress("test", done, count);
        let bad = ask(attempt, turn, exchange).await?;
        first_bad = first_bad.or(bad);
    }
    match first_bad {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// One exchange. Returns the failure of a value outside its limits; whatever ends the conversation
/// is an error.
async fn ask(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    exchange: &Exchange,
) -> Result<Option<Failure>, Failure> {
    let line = match &exchange.send {
        Some(template) => Some(template.render(&attempt.values)?),
        None => None,
    };
    let needed = turn.split.still_needed(&exchange.needs);
    let _hold = attempt.take(&needed, turn.step, turn.clocks).await?;
    let terminal = attempt.chip.terminal()?;
    if let Some(line) = line {
        terminal.send_line(&line).await?;
    }
    let Some(pattern) = &exchange.pattern else {
        return Ok(None);
    };
    let seen = terminal.expect(&[pattern], exchange.within).await?;
    let Some(measure) = &exchange.measure else {
        return Ok(None);
    };
    let read = match seen.groups.first() {
        Some(group) => group.as_deref().unwrap_or_default(),
        None => &seen.text,
    };
    let (measurement, failure) = judge(measure, read);
    attempt.measured(turn, measurement).await;
    Ok(failure)
}
