//! From what was written to a plan: every check that needs more than one key.
//!
//! Invariants: everything that is wrong is reported, not only the first; a plan is made only if
//! nothing is wrong; nothing outside the files the recipe names is read, and no clock.

mod actions;
mod bootloader;
mod build;
mod data;
mod elf;
mod encryption;
mod files;
mod header;
mod images;
mod keys;
mod layout;
mod nvs;
mod order;
mod parts;
mod policy;
mod read;
mod rehearsal;
mod script;
mod secure_boot;
mod security;
mod serials;
mod signed;
mod steps;
mod together;
mod units;
mod writes;

pub(crate) use order::closes;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::diagnostic::{Code, Finding, RecipeErrors, sort};
use super::identity;
use super::syntax::{At, Length, RecipeFile};
use super::walk;
use crate::plan::{Plan, PlanContents, PlanPartition};

/// Largest recipe, in bytes.
const MAX_RECIPE: u64 = 1024 * 1024;

/// A plan and what is worth a warning.
#[derive(Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What is not wrong and yet worth a word.
    pub warnings: Vec<Finding>,
    name: String,
}

impl Compiled {
    /// Returns the warnings for people, with the source lines, without colour.
    pub fn render_warnings(&self) -> String {
        let text = Arc::from(self.plan.contents().source.as_str());
        super::diagnostic::render(&self.name, &text, &self.warnings, miette::Severity::Warning)
    }

    /// Returns the warnings for machines.
    pub fn warning_records(&self) -> Vec<super::FindingRecord> {
        super::diagnostic::records(&self.plan.contents().source, &self.warnings)
    }
}

/// Compiles a recipe and everything it names.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile(path: &Path) -> Result<Compiled, RecipeErrors> {
    let name = path.display().to_string();
    let nothing: Arc<str> = Arc::from("");
    let refuse = |message: String| {
        let finding = Finding::nowhere(Code::Unreadable, message);
        RecipeErrors::new(&name, &nothing, vec![finding])
    };
    let bytes = files::read_bounded(path, MAX_RECIPE).map_err(|error| match error {
        files::FileError::TooLarge { .. } => refuse("the recipe is larger than 1MB".to_owned()),
        files::FileError::Io(error) => refuse(format!("the recipe cannot be read: {error}")),
    })?;
    let text =
        String::from_utf8(bytes).map_err(|_| refuse("the recipe is not UTF-8".to_owned()))?;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    compile_text(&name, &text, &folder)
}

/// Compiles a recipe's text; `name` is what errors call it, `folder` is where its files are.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile_text(name: &str, text: &str, folder: &Path) -> Result<Compiled, RecipeErrors> {
    compile_confined(name, text, folder, &[])
}

/// The same for somebody who must not see what is in the `closed` folders: no unit gets a file of
/// theirs. Files that the recipe itself names are the caller's to look at.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile_confined(
    name: &str,
    text: &str,
    folder: &Path,
    closed: &[PathBuf],
) -> Result<Compiled, RecipeErrors> {
    let source: Arc<str> = Arc::from(text);
    let mut context = Context {
        folder: folder.to_path_buf(),
        closed: closed.to_vec(),
        ..Context::default()
    };
    let contents = match walk::read(text, &mut context.errors, &mut context.damaged) {
        Some(file) => compile_file(&file, text, &mut context),
        None => None,
    };
    match contents {
        Some(contents) if context.errors.is_empty() => {
            let plan = Arc::new(Plan::new(identity::plan_id(&contents), contents));
            sort(&mut context.warnings);
            Ok(Compiled {
                plan,
                warnings: context.warnings,
                name: name.to_owned(),
            })
        }
        Some(_) | None => Err(RecipeErrors::new(name, &source, context.errors)),
    }
}

/// Compiles what the walk has left. `None` only if something was reported.
fn compile_file(file: &RecipeFile, text: &str, context: &mut Context) -> Option<PlanContents> {
    let header = header::compile(file, context);
    let mut serial = file
        .serial
        .as_ref()
        .map(|table| serials::compile(table, &header, context));
    if let Some(serials) = &mut serial {
        keys::take_out(serials, &keys::key_columns(file));
    }
    let values = file
        .values
        .as_ref()
        .map(|table| units::compile(table, serial.as_ref(), context));
    let layout = layout::compile(file, &header, context);
    let lists = (serial.as_ref(), values.as_ref());
    let mut steps = steps::compile(file, &header, lists, &layout, context);
    together::join(&mut steps, &header, context);
    writes::check(file, &steps, &layout, context);
    order::check(&steps, &layout, &header.chips, context);
    nvs::check(&steps, context);
    encryption::check(&steps, &layout, &header.chips, context);
    encryption::check_covered(&steps, &layout, &header.chips, context);
    encryption::check_wanted(&steps, &layout, context);
    // What follows from steps in the wrong order, or from images nobody signed, is no news.
    let known = [Code::IrreversibleOrder, Code::NotSigned];
    if !context
        .errors
        .iter()
        .any(|error| known.contains(&error.code))
    {
        rehearsal::check(&steps, &header, serial.as_ref(), context);
    }
    let partitions = layout
        .partitions()
        .iter()
        .map(|partition| PlanPartition {
            name: partition.name.clone(),
            offset: partition.offset,
            size: partition.size,
        })
        .collect();
    Some(PlanContents {
        source: text.to_owned(),
        product: header.product?,
        revision: header.revision,
        chips: header.chips,
        min_chip_revision: header.min_chip_revision,
        run: header.run,
        serial: match serial {
            Some(names) => Some(names.source?),
            None => None,
        },
        values: match values {
            Some(values) => Some(values.list?),
            None => None,
        },
        images: layout.into_images(),
        partitions,
        steps: steps.steps,
    })
}

/// What every part of the compiler shares.
#[derive(Debug, Default)]
struct Context {
    folder: PathBuf,
    /// Folders whose files no unit gets.
    closed: Vec<PathBuf>,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    /// Where tables and values begin from whose tables the walk has taken something out.
    damaged: BTreeSet<usize>,
}

impl Context {
    fn error(&mut self, finding: Finding) {
        // What seems to be missing beside something wrong was perhaps only that.
        let start = finding.span.as_ref().map(|span| span.start);
        let doubtful = start.is_some_and(|start| self.damaged.contains(&start));
        if !(doubtful && finding.code == Code::MissingKey) {
            self.errors.push(finding);
        }
    }

    /// Something that is needed stands nowhere.
    fn missing(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.error(Finding::new(Code::MissingKey, span, message).hint(hint));
    }

    fn warn(&mut self, finding: Finding) {
        self.warnings.push(finding);
    }

    /// Reports a name that is empty, too long, or has characters that names cannot have; returns
    /// whether it is good.
    fn check_name(&mut self, what: &str, name: &Spanned<String>) -> bool {
        let text = name.get_ref();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ');
        if !text.is_empty() && text.len() <= 64 && text.trim() == text && text.chars().all(allowed)
        {
            return true;
        }
        let shown: String = text.chars().take(60).collect();
        self.error(
            Finding::new(
                Code::BadName,
                name.span(),
                format!("`{shown}` is no name for {what}"),
            )
            .hint("names have 1 to 64 letters, digits, `-`, `_`, and blanks inside"),
        );
        false
    }

    /// Returns a duration that must not be zero, or its default.
    fn positive(
        &mut self,
        name: &str,
        value: &At<Length>,
        default: std::time::Duration,
    ) -> std::time::Duration {
        let Some(value) = value else { return default };
        if value.get_ref().0.is_zero() {
            self.error(Finding::new(
                Code::OutOfRange,
                value.span(),
                format!("`{name}` must be longer than zero"),
            ));
        }
        value.get_ref().0
    }
}

/// Returns where a value stands, or another place if it does not.
fn span_or<T>(value: &At<T>, other: Range<usize>) -> Range<usize> {
    value.as_ref().map_or(other, Spanned::span)
}

/// Returns a value without its place.
fn plain<T: Clone>(value: &At<T>) -> Option<T> {
    value.as_ref().map(|value| value.get_ref().clone())
}
