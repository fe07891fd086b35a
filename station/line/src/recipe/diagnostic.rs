//! What the compiler has to say about a recipe: codes, messages, places, advice.
//!
//! Invariants: a code never changes its meaning and is never used again for another one; messages
//! are lower-case fragments with names in backticks; everything that is wrong is reported at once,
//! in the order in which it stands in the text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity,
};
use schemars::JsonSchema;
use serde::Serialize;

/// Most findings that are reported; whoever has more has not written a recipe.
const MAX_FINDINGS: usize = 100;

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $word:literal,)+) => {
        /// A stable code; the reference lists all of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl Code {
            /// Every code, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the code as it is printed.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Returns what it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The recipe cannot be read, is larger than 1 MiB, or is not UTF-8.
    Unreadable = "recipe-unreadable",
    /// The text is not TOML.
    Syntax = "recipe-syntax",
    /// The language has no such key at this place.
    UnknownKey = "recipe-unknown-key",
    /// A key that must be there is missing.
    MissingKey = "recipe-missing-key",
    /// A value is of another type than its key takes.
    WrongType = "recipe-wrong-type",
    /// A bare number stands where a unit is meant.
    MissingUnit = "recipe-missing-unit",
    /// A value is not one of those its key takes, or cannot be read as what it is meant to be.
    BadValue = "recipe-bad-value",
    /// A number or duration is outside what makes sense.
    OutOfRange = "recipe-out-of-range",
    /// Two keys exclude each other.
    Conflict = "recipe-conflict",
    /// `format` is one this station does not know.
    UnknownFormat = "recipe-unknown-format",
    /// No chip is called so.
    UnknownChip = "recipe-unknown-chip",
    /// The recipe has no steps.
    NoSteps = "recipe-no-steps",
    /// A step has no action.
    NoAction = "recipe-no-action",
    /// A step has more than one action.
    ManyActions = "recipe-many-actions",
    /// The action is known and this station cannot do it yet.
    ActionUnavailable = "recipe-action-unavailable",
    /// Two steps, images or measurements have one name.
    DuplicateName = "recipe-duplicate-name",
    /// A name has characters that names cannot have, or is too long.
    BadName = "recipe-bad-name",
    /// A step names an image that the recipe does not have.
    UnknownImage = "recipe-unknown-image",
    /// The plan's partition table has no such partition, or there is no table.
    UnknownPartition = "recipe-unknown-partition",
    /// A step of a group stands apart from the others.
    GroupApart = "recipe-group-apart",
    /// A file cannot be read.
    FileUnreadable = "recipe-file-unreadable",
    /// A file is larger than its bound.
    FileTooLarge = "recipe-file-too-large",
    /// A file is empty.
    FileEmpty = "recipe-file-empty",
    /// It cannot be told what a file is.
    FileKind = "recipe-file-kind",
    /// An application or bootloader image is truncated, damaged or malformed.
    BadImage = "recipe-bad-image",
    /// An image is made for another chip.
    WrongChip = "recipe-wrong-chip",
    /// An ELF file cannot be converted.
    BadElf = "recipe-bad-elf",
    /// A partition table cannot be read or does not hold together.
    BadTable = "recipe-bad-table",
    /// There is more than one partition table.
    TwoTables = "recipe-two-tables",
    /// The package has no bootloader for the chip.
    NoBootloader = "recipe-no-bootloader",
    /// The flash size must be known to make an image, and no step declares it.
    FlashSizeNeeded = "recipe-flash-size-needed",
    /// A bootloader does not stand where the chip looks for it.
    BootloaderOffset = "recipe-bootloader-offset",
    /// An address is not on a sector border (4096 bytes).
    Unaligned = "recipe-unaligned",
    /// Two images, or an image and a written range, share a flash sector.
    Overlap = "recipe-overlap",
    /// Something does not fit its partition or range.
    TooLarge = "recipe-does-not-fit",
    /// Something goes beyond the end of flash.
    BeyondFlash = "recipe-beyond-flash",
    /// An application goes into a partition of another type, or something else into an
    /// application's.
    PartitionType = "recipe-partition-type",
    /// An erase step destroys what an earlier step has written.
    ErasesWritten = "recipe-erases-written",
    /// Limits that no value can meet, or that are not numbers.
    BadLimits = "recipe-bad-limits",
    /// A pattern is no regular expression, or is too large.
    BadPattern = "recipe-bad-pattern",
    /// A pattern that measures has no group for the value.
    NoGroup = "recipe-no-group",
    /// A template is malformed or uses a name or filter that is not known there.
    BadTemplate = "recipe-bad-template",
    /// A template uses `{serial}` and the recipe has no serial numbers.
    NoSerial = "recipe-no-serial",
    /// A serial pattern cannot be used.
    BadSerialPattern = "recipe-bad-serial-pattern",
    /// A serial list cannot be used.
    BadSerialList = "recipe-bad-serial-list",
    /// A list that names units cannot be used.
    BadUnitList = "recipe-bad-unit-list",
    /// Serial numbers have characters that are not allowed.
    SerialCharacters = "recipe-serial-characters",
    /// Retrying such a failure is never allowed.
    NeverRetried = "recipe-never-retried",
    /// A condition is not `TEMPLATE == TEXT` or `TEMPLATE != TEXT`.
    BadCondition = "recipe-bad-condition",
    /// A test talks to an application that no step has started.
    NotBooted = "recipe-not-booted",
    /// A chip of the recipe has no fuse field, block, key block or key purpose of that name.
    UnknownFuse = "recipe-unknown-fuse",
    /// A key or digest cannot be used: its length, its form, or the same one twice.
    BadKey = "recipe-bad-key",
    /// A security policy cannot be read or does not suit a chip of the recipe.
    BadPolicy = "recipe-bad-policy",
    /// The fuses of a new chip would refuse what a step burns.
    BurnRefused = "recipe-burn-refused",
    /// Only later revisions of a chip can do what a step burns.
    RevisionNeeded = "recipe-revision-needed",
    /// An NVS table, or a value of one, cannot be used.
    BadNvs = "recipe-bad-nvs",
    /// A step does what an earlier one has made impossible or wrong.
    IrreversibleOrder = "recipe-irreversible-order",
    /// A step that cannot be undone would run after a failure.
    IrreversibleAlways = "recipe-irreversible-always",
    /// A bootloader or an application is not signed by a key that secure boot would trust.
    NotSigned = "recipe-not-signed",
    /// Warning: no step declares the flash size, so nothing can be checked against it.
    FlashSizeUnknown = "recipe-flash-size-unknown",
    /// Warning: an image is written and not verified.
    NotVerified = "recipe-not-verified",
    /// Warning: keys lie in flash where whoever has the unit can read them.
    KeysReadable = "recipe-keys-readable",
    /// Warning: an image is used by no step.
    UnusedImage = "recipe-unused-image",
    /// Warning: units get a serial number that is written nowhere.
    UnusedSerial = "recipe-unused-serial",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// What and where.
    pub message: String,
    /// Bytes of the recipe's text it is about.
    pub span: Option<Range<usize>>,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl Finding {
    pub(crate) fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: Some(span),
            hint: None,
        }
    }

    pub(crate) fn nowhere(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: None,
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds "did you mean", if there is something to suggest.
    pub(crate) fn suggest(self, suggestion: Option<String>) -> Self {
        match suggestion {
            Some(suggestion) => self.hint(format!("did you mean `{suggestion}`?")),
            None => self,
        }
    }
}

/// A finding for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FindingRecord {
    /// Stable code.
    pub code: String,
    /// What and where.
    pub message: String,
    /// Line of the recipe, from 1.
    pub line: Option<usize>,
    /// Column in that line, in characters, from 1.
    pub column: Option<usize>,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

/// Everything that is wrong with a recipe. Never empty.
#[derive(Clone, Debug)]
pub struct RecipeErrors {
    name: String,
    text: Arc<str>,
    findings: Vec<Finding>,
}

impl RecipeErrors {
    pub(crate) fn new(name: &str, text: &Arc<str>, mut findings: Vec<Finding>) -> Self {
        sort(&mut findings);
        findings.truncate(MAX_FINDINGS);
        Self {
            name: name.to_owned(),
            text: Arc::clone(text),
            findings,
        }
    }

    /// Returns the code of every recipe error that is not more precise.
    pub fn code(&self) -> &'static str {
        "recipe-refused"
    }

    /// Returns what is wrong, in the order in which it stands in the text.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns what is wrong for machines.
    pub fn records(&self) -> Vec<FindingRecord> {
        records(&self.text, &self.findings)
    }

    /// Returns what is wrong for people, with the source lines, without colour.
    pub fn render(&self) -> String {
        render(&self.name, &self.text, &self.findings, Severity::Error)
    }
}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.findings.len();
        let plural = if count == 1 { "error" } else { "errors" };
        write!(f, "recipe `{}` has {count} {plural}", self.name)
    }
}

impl std::error::Error for RecipeErrors {}

pub(crate) fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| {
        finding
            .span
            .as_ref()
            .map_or((usize::MAX, usize::MAX), |span| (span.start, span.end))
    });
}

pub(crate) fn records(text: &str, findings: &[Finding]) -> Vec<FindingRecord> {
    findings
        .iter()
        .map(|finding| {
            let place = finding.span.as_ref().map(|span| place(text, span.start));
            FindingRecord {
                code: finding.code.word().to_owned(),
                message: finding.message.clone(),
                line: place.map(|(line, _)| line),
                column: place.map(|(_, column)| column),
                hint: finding.hint.clone(),
            }
        })
        .collect()
}

/// Returns line and column, from 1, of a byte of the text.
pub(crate) fn place(text: &str, byte: usize) -> (usize, usize) {
    let mut end = byte.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = text.get(..end).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

pub(crate) fn render(
    name: &str,
    text: &Arc<str>,
    findings: &[Finding],
    severity: Severity,
) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .without_syntax_highlighting()
        .with_context_lines(1);
    let mut rendered = String::new();
    for finding in findings {
        let report = Report {
            finding,
            severity,
            source: NamedSource::new(name, Arc::clone(text)),
            length: text.len(),
        };
        if handler.render_report(&mut rendered, &report).is_err() {
            rendered.push_str(&format!("{}: {}\n", finding.code, finding.message));
        }
    }
    rendered
}

/// One finding in the form miette draws.
#[derive(Debug)]
struct Report<'a> {
    finding: &'a Finding,
    severity: Severity,
    source: NamedSource<Arc<str>>,
    length: usize,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding
            .hint
            .as_ref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.finding
            .span
            .as_ref()
            .map(|_| &self.source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.finding.span.as_ref()?;
        // Only the first line is marked: a table's span can be a whole page.
        let start = span.start.min(self.length);
        let text = self
            .source
            .inner()
            .get(start..span.end.min(self.length))
            .unwrap_or_default();
        let length = text.lines().next().map_or(0, str::len);
        Some(Box::new(std::iter::once(LabeledSpan::underline((
            start, length,
        )))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_kebab_case_and_explained() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.word().starts_with("recipe-"), "{code}");
            assert!(
                code.word()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{code}"
            );
            assert!(code.meaning().ends_with('.'), "{code}: {}", code.meaning());
        }
    }

    #[test]
    fn places_are_counted_in_characters() {
        assert_eq!(place("ab\ncüd", 0), (1, 1));
        assert_eq!(place("ab\ncüd", 6), (2, 3));
        assert_eq!(place("ab\ncüd", 5), (2, 2));
        assert_eq!(place("ab", 99), (1, 3));
    }

    #[test]
    fn a_span_outside_the_text_is_still_rendered() {
        let finding = Finding::new(Code::Syntax, 90..95, "something");
        let rendered = render(
            "x.toml",
            &Arc::from("format = 1\n"),
            &[finding],
            Severity::Error,
        );
        assert!(rendered.contains("something") && rendered.contains("recipe-syntax"));
    }
}
