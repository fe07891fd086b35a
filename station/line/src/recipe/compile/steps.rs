//! `[[step]]`: names, options and order; the actions themselves are next door.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use station_device::FailureClass;
use station_esp::chip::{Chip, Revision};
use toml::Spanned;

use super::header::Header;
use super::layout::Layout;
use super::serials::Serials;
use super::units::{Units, Values};
use super::{Context, actions, script, span_or};
use crate::event::StepName;
use crate::plan::{Condition, PlanStep, Retry};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::quantity::duration_text;
use crate::recipe::syntax::{RecipeFile, RetryTable, StepTable};
use crate::serial::UnitList;
use crate::template::{Names, Template, TemplateError, closest};

/// The steps, and what the layout must be checked against afterwards.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<PlanStep>,
    /// Where the action of each step in `steps` stands.
    pub(super) spans: Vec<Range<usize>>,
}

/// What one step may use, given the steps before it.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) layout: &'a Layout,
    pub(super) serials: Option<&'a Serials>,
    /// What is known of every unit beforehand.
    pub(super) units: &'a Units<'a>,
    /// The steps before this one.
    pub(super) earlier: &'a [PlanStep],
    /// Longest one try of the step may take.
    pub(super) timeout: Duration,
    /// Whether an earlier step has left the application running.
    pub(super) running: bool,
    /// Chips the step may meet.
    pub(super) chips: &'a [Chip],
    /// The least revision they may have.
    pub(super) least_revision: Revision,
    /// The step's name, as written.
    pub(super) step_name: &'a str,
    names: &'a Names,
    measures: BTreeSet<String>,
}

impl Scope<'_> {
    /// Reads a template; `None` if it is wrong, which was reported.
    pub(super) fn template(
        &self,
        text: &Spanned<String>,
        context: &mut Context,
    ) -> Option<Template> {
        let error = match Template::parse(text.get_ref(), self.names) {
            Ok(template) => return Some(template),
            Err(error) => error,
        };
        // What is wrong with the list was reported; which columns it has nobody knows.
        if self.units.is_unread()
            && matches!(&error, TemplateError::UnknownName { name, .. } if name.starts_with("csv."))
        {
            return None;
        }
        let no_serial =
            matches!(&error, TemplateError::UnknownName { name, .. } if name == "serial");
        let finding = if no_serial {
            let message = "`{serial}` is used, and the recipe has no serial numbers";
            Finding::new(Code::NoSerial, text.span(), message).hint("add a `[serial]` table")
        } else {
            let shown: String = text.get_ref().chars().take(60).collect();
            let message = format!("in template `{shown}`: {error}");
            self.advise(Finding::new(Code::BadTemplate, text.span(), message), error)
        };
        context.error(finding);
        None
    }

    fn advise(&self, finding: Finding, error: TemplateError) -> Finding {
        match error {
            TemplateError::UnknownName {
                suggestion: Some(suggestion),
                ..
            }
            | TemplateError::UnknownFilter {
                suggestion: Some(suggestion),
                ..
            } => finding.suggest(Some(suggestion)),
            TemplateError::UnknownName {
                suggestion: None, ..
            } => {
                let names: Vec<_> = self
                    .names
                    .iter()
                    .take(20)
                    .map(|name| format!("`{name}`"))
                    .collect();
                finding.hint(format!("known here: {}", names.join(", ")))
            }
            TemplateError::UnknownFilter {
                suggestion: None, ..
            } => finding.hint("filters are `upper`, `lower`, `nocolon`, `ascii`, `pad32`"),
            TemplateError::Unbalanced => {
                finding.hint("write `{{` and `}}` for braces that are meant as such")
            }
            TemplateError::TooLong
            | TemplateError::NoValue { .. }
            | TemplateError::BadInput { .. }
            | TemplateError::RenderedTooLong => finding,
        }
    }

    /// Takes note of a measurement, whose name must be unique in the step.
    pub(super) fn add_measure(&mut self, name: &Spanned<String>, context: &mut Context) {
        if context.check_name("a measurement", name)
            && !self.measures.insert(name.get_ref().clone())
        {
            context.error(Finding::new(
                Code::DuplicateName,
                name.span(),
                format!("`{}` is measured twice in this step", name.get_ref()),
            ));
        }
    }
}

pub(super) fn compile(
    file: &RecipeFile,
    header: &Header,
    (serials, values): (Option<&Serials>, Option<&Values>),
    layout: &Layout,
    context: &mut Context,
) -> Steps {
    let mut compiled = Steps::default();
    let mut names = names_of(serials, values);
    let units = Units::new(values, serials);
    let attempt = header.run.attempt_timeout;
    let mut taken: BTreeMap<&str, ()> = BTreeMap::new();
    let mut groups: Vec<Option<&str>> = Vec::new();
    let mut running = false;
    if file.step.is_empty() {
        let finding = Finding::nowhere(Code::NoSteps, "the recipe has no steps");
        context.error(finding.hint("add a `[[step]]`"));
    }
    for table in &file.step {
        let step = table.get_ref();
        let name = step
            .name
            .as_ref()
            .filter(|name| step_name(name, &mut taken, context));
        let timeout = timeout(step, attempt, context);
        let mut scope = Scope {
            layout,
            serials,
            units: &units,
            earlier: &compiled.steps,
            timeout,
            running,
            chips: &header.chips,
            least_revision: header.least_revision(),
            step_name: step
                .name
                .as_ref()
                .map_or("", |name| name.get_ref().as_str()),
            names: &names,
            measures: BTreeSet::new(),
        };
        let when = step.when.as_ref();
        let when = when.and_then(|when| condition(when, &scope, context));
        let chips = chips_of(when.as_ref(), &header.chips);
        scope.chips = &chips;
        let action = actions::compile(step, &mut scope, context);
        let measures = std::mem::take(&mut scope.measures);
        running = actions::leaves_running(step, running);
        group(step, &mut groups, context);
        let retry = step
            .retry
            .as_ref()
            .map(|retry| self::retry(retry, context))
            .unwrap_or_default();
        let needs = script::needs(&step.needs, context);
        if let Some(name) = name {
            for measure in measures {
                names.add(format!("{}.{measure}", name.get_ref()));
            }
        }
        let Some((action, span)) = action else {
            continue;
        };
        compiled.spans.push(span);
        compiled.steps.push(PlanStep {
            name: StepName::new(name.map(|name| name.get_ref().clone()).unwrap_or_default()),
            action,
            retry,
            timeout,
            when,
            always: step.always.unwrap_or(false),
            needs,
            group: step.group.as_ref().map(|group| group.get_ref().clone()),
        });
    }
    compiled
}

/// What templates can name before there is a step.
fn names_of(serials: Option<&Serials>, values: Option<&Values>) -> Names {
    let mut names = Names::common();
    if let Some(serials) = serials {
        names.add("serial");
        for column in &serials.columns {
            names.add(format!("csv.{column}"));
        }
    }
    let list = values.and_then(|values| values.list.as_ref());
    for column in list.into_iter().flat_map(UnitList::columns) {
        names.add(format!("csv.{column}"));
    }
    names
}

fn step_name<'a>(
    name: &'a Spanned<String>,
    taken: &mut BTreeMap<&'a str, ()>,
    context: &mut Context,
) -> bool {
    if !context.check_name("a step", name) {
        return false;
    }
    if name.get_ref() == "csv" {
        context.error(
            Finding::new(Code::BadName, name.span(), "a step cannot be called `csv`")
                .hint("`{csv.COLUMN}` is a column of the serial list"),
        );
        return false;
    }
    if taken.insert(name.get_ref(), ()).is_some() {
        let message = format!("there are two steps called `{}`", name.get_ref());
        context.error(Finding::new(Code::DuplicateName, name.span(), message));
        return false;
    }
    true
}

fn timeout(step: &StepTable, attempt: Duration, context: &mut Context) -> Duration {
    let timeout = context.positive("timeout", &step.timeout, attempt);
    if timeout > attempt {
        context.error(
            Finding::new(
                Code::OutOfRange,
                span_or(&step.timeout, 0..0),
                format!(
                    "`timeout` is longer than an attempt may take, {}",
                    duration_text(attempt)
                ),
            )
            .hint("make `attempt_timeout` in `[run]` longer"),
        );
    }
    timeout
}

/// Reads `TEMPLATE == TEXT` and `TEMPLATE != TEXT`.
fn condition(
    when: &Spanned<String>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<Condition> {
    let text = when.get_ref();
    let split = [("==", true), ("!=", false)]
        .into_iter()
        .find_map(|(sign, equal)| {
            text.split_once(sign)
                .map(|(subject, wanted)| (subject.trim(), wanted.trim(), equal))
        });
    let Some((subject, wanted, equal)) = split.filter(|(subject, _, _)| subject.contains('{'))
    else {
        context.error(
            Finding::new(Code::BadCondition, when.span(), "`when` compares nothing").hint(
                "write `{NAME} == TEXT` or `{NAME} != TEXT`, for example `{chip} == esp32c3`",
            ),
        );
        return None;
    };
    let subject = scope.template(&Spanned::new(when.span(), subject.to_owned()), context)?;
    Some(Condition {
        subject,
        text: wanted.to_owned(),
        equal,
    })
}

/// Of these chips, the ones a step with this condition may meet.
pub(super) fn chips_of(when: Option<&Condition>, chips: &[Chip]) -> Vec<Chip> {
    let meant = |chip: &&Chip| match when {
        Some(when) if when.subject.as_str() == "{chip}" => (when.text == chip.name()) == when.equal,
        Some(_) | None => true,
    };
    chips.iter().filter(meant).copied().collect()
}

/// Whether a step with this condition is carried out on every unit that a step with the `other` one
/// is carried out on, as far as the chips go that are meant.
pub(super) fn covers(when: Option<&Condition>, other: Option<&Condition>, chips: &[Chip]) -> bool {
    let met = chips_of(other, chips);
    match when {
        None => true,
        Some(when) if when.subject.as_str() == "{chip}" => {
            chips_of(Some(when), &met).len() == met.len()
        }
        Some(when) => other.is_some_and(|other| {
            when.subject.as_str() == other.subject.as_str()
                && (&when.text, when.equal) == (&other.text, other.equal)
        }),
    }
}

fn retry(table: &RetryTable, context: &mut Context) -> Retry {
    let allowed = [
        FailureClass::Contact,
        FailureClass::Link,
        FailureClass::Flash,
        FailureClass::Verify,
        FailureClass::Boot,
        FailureClass::Limit,
        FailureClass::Timeout,
        FailureClass::Station,
    ];
    let mut on = BTreeSet::new();
    match &table.on {
        None => on.extend([
            FailureClass::Contact,
            FailureClass::Link,
            FailureClass::Timeout,
        ]),
        Some(words) => {
            for word in words {
                match word.get_ref().parse::<FailureClass>() {
                    Ok(class) if allowed.contains(&class) => {
                        on.insert(class);
                    }
                    Ok(class) => context.error(Finding::new(
                        Code::NeverRetried,
                        word.span(),
                        format!("`{}` is never tried again", class.word()),
                    )),
                    Err(_) => {
                        let shown: String = word.get_ref().chars().take(60).collect();
                        let message = format!("no failure is called `{shown}`");
                        let finding = Finding::new(Code::BadValue, word.span(), message);
                        let words: Vec<_> = allowed.into_iter().map(FailureClass::word).collect();
                        context.error(match closest(word.get_ref(), words.iter().copied()) {
                            Some(suggestion) => finding.suggest(Some(suggestion)),
                            None => finding.hint(format!("failures are {}", words.join(", "))),
                        });
                    }
                }
            }
        }
    }
    Retry {
        times: table.times.unwrap_or(0),
        on,
        pause: table
            .pause
            .as_ref()
            .map_or(Duration::ZERO, |pause| pause.get_ref().0),
    }
}

/// Reports a step whose group has been interrupted.
fn group<'a>(step: &'a StepTable, groups: &mut Vec<Option<&'a str>>, context: &mut Context) {
    let name = step.group.as_ref().map(|group| group.get_ref().as_str());
    if let Some(group) = &step.group
        && context.check_name("a group", group)
        && groups.last() != Some(&name)
        && groups.contains(&name)
    {
        let message = format!("group `{}` is interrupted by other steps", group.get_ref());
        context.error(
            Finding::new(Code::GroupApart, group.span(), message)
                .hint("steps of one group follow each other"),
        );
    }
    groups.push(name);
}
