//! The one place that prints: words for people or one JSON value per line for programs.
//!
//! Answers go to standard output; errors, hints and progress to standard error.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::operation::{CallProgress, Exit, Invoked, OperationError, SilentProgress};

/// How this command prints.
pub(super) struct Output {
    json: bool,
    bar: ProgressBar,
    unprinted: Mutex<Option<std::io::Error>>,
}

impl Output {
    /// Words, or JSON lines.
    pub(super) fn new(json: bool) -> Self {
        let bar = ProgressBar::hidden();
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}") {
            bar.set_style(style);
        }
        Self {
            json,
            bar,
            unprinted: Mutex::default(),
        }
    }

    /// Whether programs read it.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints what clap says: help and version are no error.
    pub(super) fn usage(&self, error: &clap::Error) -> Exit {
        if self.json && error.use_stderr() {
            let words = error.render().to_string();
            let words = words.trim_start_matches("error: ").trim_end();
            return self.error(&OperationError::usage("usage", words));
        }
        // A closed pipe on the other side leaves nothing to report to.
        let _unprinted = error.print();
        if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Passed
        }
    }

    /// The exit code when not everything could be printed: a report that is cut off by a full disk is no
    /// success. A reader that went away wanted no more.
    pub(super) fn unprinted(&self, exit: Exit) -> Exit {
        let why = self
            .unprinted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(why) = why else { return exit };
        self.note(&format!(
            "error: not everything could be printed: {why} [output-unwritable]"
        ));
        if exit == Exit::Passed {
            Exit::StationError
        } else {
            exit
        }
    }

    /// Prints an operation's answer.
    pub(super) fn answer(&self, invoked: &Invoked) -> Exit {
        if self.json {
            self.value(&invoked.answer);
        } else {
            self.words(&invoked.words);
        }
        invoked.exit
    }

    /// Prints words on standard output.
    pub(super) fn words(&self, words: &str) {
        let mut out = std::io::stdout().lock();
        // The line is handed over at once, so that what cannot be written is known now.
        if let Err(error) = writeln!(out, "{words}").and_then(|()| out.flush())
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            *self
                .unprinted
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Prints one JSON value as a line on standard output.
    pub(super) fn value<T: Serialize>(&self, value: &T) {
        match serde_json::to_string(value) {
            Ok(line) => self.words(&line),
            Err(error) => self.note(&format!("cannot be printed as JSON: {error}")),
        }
    }

    /// Prints a remark on standard error.
    #[expect(
        clippy::unused_self,
        reason = "everything printed goes through an Output"
    )]
    pub(super) fn note(&self, words: &str) {
        let _unprinted = writeln!(std::io::stderr().lock(), "{}", harmless(words));
    }

    /// A way to ask a person without a progress bar in between.
    pub(super) fn quiet(&self) -> Quiet {
        Quiet(self.bar.clone())
    }

    /// Prints an error: a JSON object on standard output for programs, words on standard error for people.
    pub(super) fn error(&self, error: &OperationError) -> Exit {
        if self.json {
            self.value(&serde_json::json!({ "error": error }));
        } else {
            if let Some(picture) = &error.picture {
                self.note(picture.trim_end());
            }
            self.note(&format!("error: {error}"));
            let causes = if error.picture.is_some() {
                &[]
            } else {
                error.causes.as_slice()
            };
            for cause in causes {
                self.note(&format!("  because {cause}"));
            }
            if let Some(hint) = &error.hint {
                self.note(&format!("hint: {hint}"));
            }
        }
        error.exit
    }

    /// A progress bar on a terminal, nothing elsewhere.
    pub(super) fn progress(&self) -> Arc<dyn CallProgress> {
        if self.json || !std::io::stderr().is_terminal() {
            return Arc::new(SilentProgress);
        }
        self.bar
            .set_draw_target(indicatif::ProgressDrawTarget::stderr_with_hz(10));
        self.bar.enable_steady_tick(Duration::from_millis(200));
        Arc::new(Bar(self.bar.clone()))
    }

    /// Takes the progress bar away.
    pub(super) fn progress_done(&self) {
        self.bar.finish_and_clear();
    }
}

/// Words without control characters but line ends and tabs: what a recipe or a client wrote must not repaint
/// the terminal on which somebody reads a question or a refusal.
fn harmless(words: &str) -> Cow<'_, str> {
    let bad = |sign: char| sign.is_control() && !matches!(sign, '\n' | '\t');
    if words.contains(bad) {
        Cow::Owned(words.replace(bad, "\u{FFFD}"))
    } else {
        Cow::Borrowed(words)
    }
}

/// Asks while no progress is shown.
#[derive(Clone)]
pub(super) struct Quiet(ProgressBar);

impl Quiet {
    /// Puts a question on standard error and waits for the line that is typed behind it.
    ///
    /// # Errors
    /// Those of standard input.
    pub(super) fn ask(&self, words: &str) -> std::io::Result<String> {
        self.0.suspend(|| {
            let mut err = std::io::stderr().lock();
            write!(err, "{}", harmless(words)).and_then(|()| err.flush())?;
            drop(err);
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            Ok(line)
        })
    }
}

struct Bar(ProgressBar);

impl CallProgress for Bar {
    fn progress(&self, phase: &str, done: u64, total: Option<u64>) {
        self.0.set_message(phase.to_owned());
        match total {
            Some(total) => self.0.set_length(total),
            None => self.0.unset_length(),
        }
        self.0.set_position(done);
    }
}
