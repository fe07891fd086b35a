//! Patterns, limits, and conversations: what `boot`, `test` and `command` say about an application.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use toml::Spanned;

use super::steps::Scope;
use super::{Context, plain, span_or};
use crate::outcome::Limits;
use crate::plan::{Boot, Exchange, HostCommand, Measure, Test};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{
    At, BootTable, CommandTable, ExchangeTable, FormWord, Length, Number, OutputTable, TestTable,
    Texts,
};

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 2048;

/// Most memory a compiled pattern may take, in bytes.
const MAX_COMPILED: usize = 1024 * 1024;

/// Baud rate of a console unless the recipe says otherwise.
const DEFAULT_BAUD: u32 = 115_200;

/// Compiles a regular expression; `^` and `$` are the ends of lines.
pub(super) fn regex(pattern: &Spanned<String>, context: &mut Context) -> Option<Regex> {
    let text = pattern.get_ref();
    let refuse = |message: String| Finding::new(Code::BadPattern, pattern.span(), message);
    if text.len() > MAX_PATTERN {
        context.error(refuse(format!(
            "the pattern is longer than {MAX_PATTERN} bytes"
        )));
        return None;
    }
    let compiled = RegexBuilder::new(text)
        .multi_line(true)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .build();
    match compiled {
        Ok(regex) => Some(regex),
        Err(regex::Error::CompiledTooBig(_)) => {
            context.error(refuse("the pattern is too large when compiled".to_owned()));
            None
        }
        Err(error) => {
            // The library draws a picture of several lines; the last one says what is wrong.
            let drawn = error.to_string();
            let reason = drawn.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            context.error(
                refuse(format!("the pattern is no regular expression: {reason}"))
                    .hint("to look for such a character as it is, write `\\` before it"),
            );
            None
        }
    }
}

/// Compiles a pattern to wait for. One that matches nothing at all would never wait.
fn waiting(pattern: &At<String>, context: &mut Context) -> Option<Regex> {
    let pattern = pattern.as_ref()?;
    let regex = regex(pattern, context)?;
    if regex.is_match("") {
        context.error(
            Finding::new(
                Code::BadPattern,
                pattern.span(),
                "the pattern matches an empty text, so it would never wait",
            )
            .hint("name something that must be printed"),
        );
        return None;
    }
    Some(regex)
}

/// What `boot` and `test` say alike about a start.
struct Start<'a> {
    expect: &'a At<String>,
    within: &'a At<Length>,
    reject: &'a At<Texts>,
    baud: Option<u32>,
}

fn start(table: &Start<'_>, scope: &Scope<'_>, context: &mut Context) -> Boot {
    let within = context.positive("within", table.within, Duration::from_secs(5));
    within_timeout("within", table.within, scope, context);
    let expect = waiting(table.expect, context);
    let mut reject = Vec::new();
    if let Some(patterns) = table.reject {
        for (text, span) in patterns.get_ref().iter(patterns.span()) {
            let pattern = Some(Spanned::new(span, text.to_owned()));
            reject.extend(waiting(&pattern, context));
        }
    }
    Boot {
        expect,
        within,
        reject,
        baud: table.baud.unwrap_or(DEFAULT_BAUD),
    }
}

/// Reports a wait that the step's own timeout would always cut short.
fn within_timeout(name: &str, value: &At<Length>, scope: &Scope<'_>, context: &mut Context) {
    if let Some(value) = value
        && value.get_ref().0 > scope.timeout
    {
        let timeout = crate::recipe::quantity::duration_text(scope.timeout);
        context.error(Finding::new(
            Code::OutOfRange,
            value.span(),
            format!("`{name}` is longer than the step may take, {timeout}"),
        ));
    }
}

pub(super) fn boot(table: &BootTable, scope: &Scope<'_>, context: &mut Context) -> Boot {
    let BootTable {
        expect,
        within,
        reject,
        baud,
    } = table;
    start(
        &Start {
            expect,
            within,
            reject,
            baud: *baud,
        },
        scope,
        context,
    )
}

pub(super) fn test(
    table: &Spanned<TestTable>,
    scope: &mut Scope<'_>,
    context: &mut Context,
) -> Option<Test> {
    let span = table.span();
    let TestTable {
        boot,
        expect,
        within,
        reject,
        baud,
        script,
    } = table.get_ref();
    let boots = boot.unwrap_or(false);
    let boot = boots.then(|| {
        start(
            &Start {
                expect,
                within,
                reject,
                baud: *baud,
            },
            scope,
            context,
        )
    });
    if !boots {
        let without = [
            ("expect", expect.as_ref().map(Spanned::span)),
            ("within", within.as_ref().map(Spanned::span)),
            ("reject", reject.as_ref().map(Spanned::span)),
        ];
        for (name, place) in without {
            if let Some(place) = place {
                let message = format!("`{name}` is about a start, and this test starts nothing");
                context
                    .error(Finding::new(Code::Conflict, place, message).hint("add `boot = true`"));
            }
        }
        if !scope.running {
            context.error(
                Finding::new(
                    Code::NotBooted,
                    span.clone(),
                    "no earlier step has left the application running",
                )
                .hint("add `boot = true`, or a `boot` step right before"),
            );
        }
    }
    let script = script.as_ref()?;
    if script.get_ref().is_empty() {
        context.error(Finding::new(
            Code::OutOfRange,
            script.span(),
            "`script` is empty",
        ));
    }
    let exchanges = script
        .get_ref()
        .iter()
        .map(|exchange| self::exchange(exchange, scope, context))
        .collect();
    Some(Test {
        boot,
        baud: baud.unwrap_or(DEFAULT_BAUD),
        script: exchanges,
    })
}

fn exchange(
    table: &Spanned<ExchangeTable>,
    scope: &mut Scope<'_>,
    context: &mut Context,
) -> Exchange {
    let exchange = table.get_ref();
    if exchange.send.is_none() && exchange.pattern.is_none() {
        context.missing(
            table.span(),
            "the exchange neither sends nor waits for anything",
            "add `send`, `pattern`, or both",
        );
    }
    if let Some(send) = &exchange.send
        && send
            .get_ref()
            .chars()
            .any(|character| character == '\n' || character == '\r')
    {
        context.error(
            Finding::new(Code::BadValue, send.span(), "`send` has a line end inside")
                .hint("make an exchange of each line; the line end is added"),
        );
    }
    let within = context.positive("within", &exchange.within, Duration::from_secs(2));
    within_timeout("within", &exchange.within, scope, context);
    let pattern = waiting(&exchange.pattern, context);
    let judged = Judged {
        measure: &exchange.measure,
        pattern: &exchange.pattern,
        unit: &exchange.unit,
        min: &exchange.min,
        max: &exchange.max,
        equals: &exchange.equals,
        form: &exchange.form,
    };
    Exchange {
        send: exchange
            .send
            .as_ref()
            .and_then(|send| scope.template(send, context)),
        measure: measure(&judged, table.span(), pattern.as_ref(), scope, context),
        pattern,
        within,
        needs: needs(&exchange.needs, context),
    }
}

pub(super) fn command(
    table: &CommandTable,
    scope: &mut Scope<'_>,
    context: &mut Context,
) -> Option<HostCommand> {
    let run = table.run.as_ref()?;
    if run.get_ref().is_empty() {
        context.error(
            Finding::new(Code::OutOfRange, run.span(), "`run` names no program")
                .hint("for example `[\"./print-label\", \"{serial}\"]`"),
        );
    }
    let templates = run
        .get_ref()
        .iter()
        .filter_map(|text| scope.template(text, context))
        .collect();
    let within = context.positive("within", &table.within, Duration::from_secs(60));
    within_timeout("within", &table.within, scope, context);
    let mut measures = Vec::new();
    for output in table.measures.iter().flatten() {
        let OutputTable {
            measure: name,
            pattern,
            unit,
            min,
            max,
            equals,
            form,
        } = output.get_ref();
        let judged = Judged {
            measure: name,
            pattern,
            unit,
            min,
            max,
            equals,
            form,
        };
        let regex = waiting(pattern, context);
        let measure = measure(&judged, output.span(), regex.as_ref(), scope, context);
        measures.extend(regex.zip(measure));
    }
    Some(HostCommand {
        run: templates,
        folder: context.folder.clone(),
        within,
        measures,
    })
}

/// Shared resources, sorted.
pub(super) fn needs(texts: &At<Texts>, context: &mut Context) -> BTreeSet<String> {
    let mut needs = BTreeSet::new();
    if let Some(texts) = texts {
        for (text, span) in texts.get_ref().iter(texts.span()) {
            if context.check_name("something shared", &Spanned::new(span, text.to_owned())) {
                needs.insert(text.to_owned());
            }
        }
    }
    needs
}

/// The keys that judge a value, wherever they stand.
pub(super) struct Judged<'a> {
    pub(super) measure: &'a At<String>,
    pub(super) pattern: &'a At<String>,
    pub(super) unit: &'a At<String>,
    pub(super) min: &'a At<Number>,
    pub(super) max: &'a At<Number>,
    pub(super) equals: &'a At<String>,
    pub(super) form: &'a At<FormWord>,
}

fn measure(
    judged: &Judged<'_>,
    span: Range<usize>,
    regex: Option<&Regex>,
    scope: &mut Scope<'_>,
    context: &mut Context,
) -> Option<Measure> {
    let Some(name) = judged.measure else {
        limits_without_measure(judged, context);
        return None;
    };
    if judged.pattern.is_none() {
        context.error(
            Finding::new(
                Code::MissingKey,
                span_or(judged.measure, span),
                format!("`{}` is measured without a `pattern`", name.get_ref()),
            )
            .hint("for example `pattern = 'vdd=(\\d+)mV'`"),
        );
    }
    if let (Some(regex), Some(pattern)) = (regex, judged.pattern)
        && regex.captures_len() < 2
    {
        context.error(
            Finding::new(
                Code::NoGroup,
                pattern.span(),
                format!(
                    "the pattern has no group for the value of `{}`",
                    name.get_ref()
                ),
            )
            .hint("put the value in parentheses, as in `vdd=(\\d+)mV`"),
        );
    }
    scope.add_measure(name, context);
    let numeric = match judged.form.as_ref().map(|form| *form.get_ref()) {
        Some(FormWord::Number) => true,
        Some(FormWord::Text) => false,
        None => judged.equals.is_none() || judged.min.is_some() || judged.max.is_some(),
    };
    let limits = limits(judged, numeric, context);
    Some(Measure {
        name: name.get_ref().clone(),
        unit: plain(judged.unit),
        limits,
        numeric,
    })
}

pub(super) fn limits_without_measure(judged: &Judged<'_>, context: &mut Context) {
    let places = [
        ("unit", judged.unit.as_ref().map(Spanned::span)),
        ("min", judged.min.as_ref().map(Spanned::span)),
        ("max", judged.max.as_ref().map(Spanned::span)),
        ("equals", judged.equals.as_ref().map(Spanned::span)),
        ("as", judged.form.as_ref().map(Spanned::span)),
    ];
    for (name, place) in places {
        if let Some(place) = place {
            let message = format!("`{name}` judges nothing, for nothing is measured");
            context.missing(place, message, "add `measure = \"NAME\"`");
            return;
        }
    }
}

pub(super) fn limits(judged: &Judged<'_>, numeric: bool, context: &mut Context) -> Limits {
    let mut bound = |name: &str, value: &At<Number>| {
        let value = value.as_ref()?;
        let number = value.get_ref().0;
        if !number.is_finite() {
            let message = format!("`{name}` must be a finite number");
            context.error(
                Finding::new(Code::BadLimits, value.span(), message)
                    .hint("leave the limit out if there is none on that side"),
            );
            return None;
        }
        if !numeric {
            let message = format!("`{name}` bounds a number, and the value is text");
            context.error(Finding::new(Code::BadLimits, value.span(), message));
        }
        Some(number)
    };
    let min = bound("min", judged.min);
    let max = bound("max", judged.max);
    if let (Some(low), Some(high), Some(value)) = (min, max, judged.max)
        && low > high
    {
        context.error(
            Finding::new(
                Code::BadLimits,
                value.span(),
                format!("no value is at least {low} and at most {high}"),
            )
            .hint("exchange `min` and `max`"),
        );
    }
    if let Some(equals) = judged.equals
        && numeric
    {
        let wanted = equals
            .get_ref()
            .parse::<f64>()
            .ok()
            .filter(|wanted| wanted.is_finite());
        let within = wanted.is_some_and(|wanted| {
            min.is_none_or(|min| wanted >= min) && max.is_none_or(|max| wanted <= max)
        });
        if !within {
            let message = format!("no good number equals `{}`", equals.get_ref());
            context.error(
                Finding::new(Code::BadLimits, equals.span(), message)
                    .hint("for a value that is text, add `as = \"text\"` and no `min` or `max`"),
            );
        }
    }
    Limits {
        min,
        max,
        equals: plain(judged.equals),
    }
}
