//! The top of the file and `[run]`: product, chips, how a run goes.

use std::time::Duration;

use station_esp::chip::{Chip, Revision};
use toml::Spanned;

use super::Context;
use crate::plan::{Mode, RunSettings, SeenBefore};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::quantity::parse_revision;
use crate::recipe::syntax::{At, ModeWord, RecipeFile, RunTable, SeenBeforeWord, Texts};
use crate::template::closest;

/// The version of the language this compiler reads.
const FORMAT: i64 = 1;

/// What stands at the top.
#[derive(Debug)]
pub(super) struct Header {
    /// `None` if it is wrong or missing, which was reported.
    pub(super) product: Option<String>,
    pub(super) revision: Option<String>,
    /// Empty if they are wrong or missing, which was reported.
    pub(super) chips: Vec<Chip>,
    pub(super) min_chip_revision: Option<u16>,
    pub(super) run: RunSettings,
}

impl Header {
    /// The least revision a chip may have.
    pub(super) fn least_revision(&self) -> Revision {
        let part = |number: u16| u8::try_from(number).unwrap_or(u8::MAX);
        let number = self.min_chip_revision.unwrap_or(0);
        Revision::new(part(number / 100), part(number % 100))
    }
}

pub(super) fn compile(file: &RecipeFile, context: &mut Context) -> Header {
    if let Some(format) = &file.format
        && *format.get_ref() != FORMAT
    {
        let message = format!("format {} is not known", format.get_ref());
        context.error(
            Finding::new(Code::UnknownFormat, format.span(), message)
                .hint(format!("this station reads format {FORMAT}")),
        );
    }
    let product = file
        .product
        .as_ref()
        .and_then(|product| label("product", product, context));
    let revision = file
        .revision
        .as_ref()
        .and_then(|revision| label("revision", revision, context));
    let min_chip_revision = file.min_revision.as_ref().and_then(|text| {
        parse_revision(text.get_ref())
            .map_err(|error| {
                context.error(
                    Finding::new(
                        Code::BadValue,
                        text.span(),
                        format!("`min_revision`: {error}"),
                    )
                    .hint("write major and minor, for example `\"0.3\"`"),
                );
            })
            .ok()
    });
    let chips = chips(&file.chip, context).unwrap_or_default();
    let defaults = RunTable::default();
    let run = run(file.run.as_ref().unwrap_or(&defaults), context);
    Header {
        product,
        revision,
        chips,
        min_chip_revision,
        run,
    }
}

/// Checks a text that stands in reports and on labels.
fn label(name: &str, text: &Spanned<String>, context: &mut Context) -> Option<String> {
    let label = text.get_ref();
    let printable = !label.chars().any(char::is_control);
    if !label.is_empty() && label.len() <= 64 && label.trim() == label && printable {
        return Some(label.clone());
    }
    context.error(
        Finding::new(
            Code::BadName,
            text.span(),
            format!("`{name}` cannot be this text"),
        )
        .hint("1 to 64 bytes, no control characters, no blanks at the ends"),
    );
    None
}

/// Reads chip names, in the order written. `None` if there are none.
pub(super) fn chips(names: &At<Texts>, context: &mut Context) -> Option<Vec<Chip>> {
    let names = names.as_ref()?;
    let mut chips = Vec::new();
    for (name, span) in names.get_ref().iter(names.span()) {
        match Chip::ALL.into_iter().find(|chip| chip.name() == name) {
            Some(chip) if chips.contains(&chip) => {
                let message = format!("chip `{name}` is named twice");
                context.error(Finding::new(Code::DuplicateName, span, message));
            }
            Some(chip) => chips.push(chip),
            None => {
                let known: Vec<_> = Chip::ALL.into_iter().map(Chip::name).collect();
                let shown: String = name.chars().take(60).collect();
                // "ESP32-C3" is the most likely slip, and only its spelling is wrong.
                let plain = name.to_lowercase().replace('-', "");
                let finding = Finding::new(
                    Code::UnknownChip,
                    span,
                    format!("no chip is called `{shown}`"),
                );
                context.error(match closest(&plain, known.iter().copied()) {
                    Some(suggestion) => finding.suggest(Some(suggestion)),
                    None => finding.hint(format!("chips are {}", known.join(", "))),
                });
            }
        }
    }
    if names.get_ref().iter(0..0).next().is_none() {
        let message = "`chip` names no chip";
        context.error(Finding::new(Code::OutOfRange, names.span(), message));
    }
    Some(chips)
}

fn run(table: &RunTable, context: &mut Context) -> RunSettings {
    let bauds = match &table.bauds {
        None => vec![921_600, 460_800, 115_200],
        Some(bauds) => {
            let falling = bauds
                .get_ref()
                .windows(2)
                .all(|pair| pair.first() > pair.last());
            if bauds.get_ref().is_empty() || !falling {
                context.error(
                    Finding::new(
                        Code::OutOfRange,
                        bauds.span(),
                        "`bauds` must be a list of rates that fall",
                    )
                    .hint("for example `[921600, 460800, 115200]`"),
                );
            }
            bauds.get_ref().clone()
        }
    };
    RunSettings {
        mode: match table.mode {
            Some(ModeWord::Independent) | None => Mode::Independent,
            Some(ModeWord::Carrier) => Mode::Carrier,
        },
        attempt_timeout: context.positive(
            "attempt_timeout",
            &table.attempt_timeout,
            Duration::from_secs(120),
        ),
        auto_start: table.auto_start.unwrap_or(true),
        seen_before: match table.seen_before {
            Some(SeenBeforeWord::Refuse) | None => SeenBefore::Refuse,
            Some(SeenBeforeWord::Repeat) => SeenBefore::Repeat,
            Some(SeenBeforeWord::Verify) => SeenBefore::Verify,
        },
        quota: table.quota,
        quarantine_after: table.quarantine_after.unwrap_or(3),
        bauds,
    }
}
