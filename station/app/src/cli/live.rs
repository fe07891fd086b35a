//! How people see a run: a line a bay on a terminal, or plain lines elsewhere. Words first, colour second.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use station_esp::words::counted;
use station_line::event::{AttemptId, BayName, Event, EventKind, Tally};
use station_line::outcome::{Measurement, Outcome, Value};
use station_line::runner::RunReport;
use tokio::task::JoinHandle;

use super::output::Output;
use crate::station::LiveRun;

/// Somebody who shows a run.
pub(super) trait View: Send {
    /// Shows one event.
    fn event(&mut self, event: &Event);

    /// Shows the end.
    fn finished(&mut self, report: &RunReport);
}

/// What is shown of an attempt that has ended, in one line.
fn attempt_line(event: &EventKind, measured: &[Measurement]) -> Option<String> {
    let EventKind::AttemptFinished {
        bay,
        mac,
        serial,
        outcome,
        took_us,
        failure,
        failed_step,
        ..
    } = event
    else {
        return None;
    };
    let mut line = format!("{:<7} {bay:<8}", outcome.word().to_uppercase());
    line += &format!(" {:<17}", mac.as_ref().map_or("-", |mac| mac.as_str()));
    if let Some(serial) = serial {
        line += &format!("  {serial}");
    }
    for measurement in measured {
        line += &format!("  {}", measurement_words(measurement));
    }
    line += &format!("  {:.1} s", Duration::from_micros(*took_us).as_secs_f64());
    if let Some(failure) = failure {
        let step = failed_step
            .as_ref()
            .map_or_else(String::new, |step| format!(" in `{step}`"));
        line += &format!(
            "\n        {}{step}: {}",
            failure.code,
            shown(&failure.message)
        );
        if let Some(hint) = &failure.hint {
            line += &format!("\n        hint: {}", shown(hint));
        }
    }
    Some(line)
}

/// Text that may come from a chip, as one line that moves no cursor.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .map(|sign| if sign.is_control() { ' ' } else { sign })
        .collect()
}

/// `vdd=3301mV`.
pub(super) fn measurement_words(measurement: &Measurement) -> String {
    let unit = measurement.unit.as_deref().unwrap_or_default();
    match &measurement.value {
        Value::Number(number) => format!("{}={number}{unit}", measurement.name),
        Value::Text(text) => format!("{}={}", measurement.name, shown(text)),
    }
}

/// Units per hour and the share that passed.
fn totals(tally: Tally, took: Duration) -> String {
    let ended = tally.pass + tally.fail + tally.error;
    let mut words = format!(
        "{} pass, {} fail, {} error, {} aborted",
        tally.pass, tally.fail, tally.error, tally.aborted
    );
    if ended > 0 && took > Duration::ZERO {
        words += &format!(
            "; {:.0} units an hour, yield {:.1} %",
            ended as f64 * 3600.0 / took.as_secs_f64(),
            tally.pass as f64 * 100.0 / ended as f64
        );
    }
    words
}

/// Measurements of attempts under way: of each name the last, as tries are repeated.
#[derive(Default)]
struct Measured(BTreeMap<AttemptId, Vec<Measurement>>);

impl Measured {
    fn note(&mut self, event: &EventKind) {
        if let EventKind::Measured {
            attempt,
            measurement,
            ..
        } = event
        {
            let list = self.0.entry(*attempt).or_default();
            list.retain(|earlier| earlier.name != measurement.name);
            list.push(measurement.clone());
        }
    }

    fn take(&mut self, event: &EventKind) -> Vec<Measurement> {
        let EventKind::AttemptFinished { attempt, .. } = event else {
            return Vec::new();
        };
        self.0.remove(attempt).unwrap_or_default()
    }
}

/// Plain lines: one for each attempt that ended.
pub(super) struct PlainView<'a> {
    output: &'a Output,
    measured: Measured,
}

impl<'a> PlainView<'a> {
    /// Lines on standard output.
    pub(super) fn new(output: &'a Output) -> Self {
        Self {
            output,
            measured: Measured::default(),
        }
    }
}

impl View for PlainView<'_> {
    fn event(&mut self, event: &Event) {
        self.measured.note(&event.kind);
        let measured = self.measured.take(&event.kind);
        if let EventKind::RunStarted {
            plan,
            product,
            bays,
            ..
        } = &event.kind
        {
            let run = event.run.map_or(0, |run| run.0);
            let plan = plan.as_str().get(..12).unwrap_or(plan.as_str());
            let bays = counted(bays.len(), "bay");
            self.output
                .words(&format!("run {run}: {product}, plan {plan}, {bays}"));
        } else if let EventKind::Refused { code, reason, .. } = &event.kind {
            self.output
                .words(&format!("refused: {} [{code}]", shown(reason)));
        } else if let Some(line) = attempt_line(&event.kind, &measured) {
            self.output.words(&line);
        }
    }

    fn finished(&mut self, report: &RunReport) {
        if let Some(reason) = &report.reason {
            self.output.words(&format!("ended: {reason}"));
        }
        self.output.words(&totals(report.tally, report.took));
    }
}

/// A line a bay, totals below, on a terminal.
pub(super) struct LiveView {
    screen: MultiProgress,
    bays: BTreeMap<BayName, ProgressBar>,
    total: ProgressBar,
    measured: Measured,
    tally: Tally,
    started: std::time::Instant,
    painter: JoinHandle<()>,
}

impl LiveView {
    /// Draws every bay of the run.
    pub(super) fn new(run: &LiveRun) -> Self {
        let screen = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:>8} {bar:24} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bays: BTreeMap<BayName, ProgressBar> = run
            .bays
            .iter()
            .map(|bay| {
                let bar = screen.add(ProgressBar::new(1));
                bar.set_style(style.clone());
                bar.set_prefix(bay.to_string());
                bar.set_message("waiting");
                (bay.clone(), bar)
            })
            .collect();
        let total = screen.add(ProgressBar::new_spinner());
        total.set_style(
            ProgressStyle::with_template("{wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let painter = tokio::spawn(paint(run.clone(), bays.clone()));
        Self {
            screen,
            bays,
            total,
            measured: Measured::default(),
            tally: Tally::default(),
            started: std::time::Instant::now(),
            painter,
        }
    }
}

/// Moves the bars a few times a second; what a bar shows is never decided upon.
async fn paint(run: LiveRun, bays: BTreeMap<BayName, ProgressBar>) {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while !run.is_over() {
        tick.tick().await;
        for progress in run.control.progress().latest() {
            let Some(bar) = bays.get(&progress.bay) else {
                continue;
            };
            bar.set_length(progress.total.unwrap_or(1).max(1));
            bar.set_position(progress.done);
            bar.set_message(format!("{}: {}", progress.step, progress.phase));
        }
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        // Also when the run broke off: nobody paints on a screen that is gone.
        self.painter.abort();
    }
}

impl View for LiveView {
    fn event(&mut self, event: &Event) {
        self.measured.note(&event.kind);
        let measured = self.measured.take(&event.kind);
        if let Some(line) = attempt_line(&event.kind, &measured)
            && let EventKind::AttemptFinished {
                bay,
                outcome,
                serial,
                ..
            } = &event.kind
        {
            self.tally.add(*outcome);
            if let Some(bar) = self.bays.get(bay) {
                bar.set_length(1);
                bar.set_position(u64::from(*outcome == Outcome::Pass));
                let serial = serial.as_ref().map_or("", |serial| serial.as_str());
                bar.set_message(format!("{} {serial}", outcome.word().to_uppercase()));
            }
            // A terminal that went away changes nothing for the run.
            let _gone = self.screen.println(line);
            self.total
                .set_message(totals(self.tally, self.started.elapsed()));
        }
    }

    fn finished(&mut self, report: &RunReport) {
        self.painter.abort();
        let _gone = self.screen.clear();
        if let Some(reason) = &report.reason {
            let _gone = self.screen.println(format!("ended: {reason}"));
        }
        let _gone = self.screen.println(totals(report.tally, report.took));
    }
}

#[cfg(test)]
mod tests {
    use station_device::FailureClass;
    use station_line::event::{AttemptId, BayName, EventKind, Mac, Serial, StepName};
    use station_line::outcome::{Failure, Limits, Measurement, Outcome, Value, Verdict};

    use super::*;

    fn measured(name: &str, value: Value, unit: Option<&str>) -> Measurement {
        let unit = unit.map(str::to_owned);
        Measurement {
            name: name.to_owned(),
            value,
            unit,
            limits: Limits::default(),
            verdict: Verdict::Recorded,
        }
    }

    fn finished(outcome: Outcome, failure: Option<Failure>) -> EventKind {
        EventKind::AttemptFinished {
            attempt: AttemptId(1),
            bay: BayName::new("bay1"),
            mac: Some(Mac::new("7c:df:a1:00:00:01")),
            serial: Some(Serial::new("SN-000001")),
            outcome,
            took_us: 2_340_000,
            failed_step: failure.as_ref().map(|_| StepName::new("self test")),
            failure,
        }
    }

    #[test]
    fn a_pass_is_one_line_with_serial_and_measurements() {
        let measurements = [
            measured("vdd", Value::Number(3301.0), Some("mV")),
            measured("version", Value::Text("1.2".to_owned()), None),
        ];
        assert_eq!(
            attempt_line(&finished(Outcome::Pass, None), &measurements).unwrap(),
            "PASS    bay1     7c:df:a1:00:00:01  SN-000001  vdd=3301mV  version=1.2  2.3 s"
        );
    }

    #[test]
    fn a_failure_says_where_and_why_and_moves_no_cursor() {
        let failure = Failure {
            class: FailureClass::Boot,
            code: "not-heard".to_owned(),
            message: "heard \u{1b}[2J\rjunk\n".to_owned(),
            hint: Some("look\tat it".to_owned()),
        };
        let line = attempt_line(&finished(Outcome::Fail, Some(failure)), &[]).unwrap();
        let lines: Vec<&str> = line.lines().collect();
        assert!(lines[0].starts_with("FAIL    bay1"), "{line}");
        assert_eq!(
            lines[1].trim_end(),
            "        not-heard in `self test`: heard  [2J junk"
        );
        assert_eq!(lines[2], "        hint: look at it");
        assert_eq!(lines.len(), 3, "{line:?}");
    }

    #[test]
    fn only_the_end_of_an_attempt_is_a_line() {
        let asked = EventKind::CancelRequested {
            by: "somebody".to_owned(),
            mode: station_line::event::CancelMode::Drain,
        };
        assert_eq!(attempt_line(&asked, &[]), None);
    }

    #[test]
    fn totals_count_no_aborted_unit_into_the_yield() {
        let tally = Tally {
            pass: 3,
            fail: 1,
            error: 0,
            aborted: 4,
        };
        assert_eq!(
            totals(tally, Duration::from_secs(3600)),
            "3 pass, 1 fail, 0 error, 4 aborted; 4 units an hour, yield 75.0 %"
        );
        assert_eq!(
            totals(Tally::default(), Duration::ZERO),
            "0 pass, 0 fail, 0 error, 0 aborted"
        );
    }

    #[test]
    fn of_a_measurement_that_was_repeated_the_last_is_shown() {
        let mut seen = Measured::default();
        for value in [1.0, 2.0] {
            seen.note(&EventKind::Measured {
                attempt: AttemptId(1),
                step: StepName::new("self test"),
                try_number: 1,
                measurement: measured("vdd", Value::Number(value), None),
            });
        }
        let shown = seen.take(&finished(Outcome::Pass, None));
        assert_eq!(
            shown.iter().map(measurement_words).collect::<Vec<_>>(),
            ["vdd=2"]
        );
        assert!(seen.0.is_empty());
    }
}
