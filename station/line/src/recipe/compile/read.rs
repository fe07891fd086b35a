//! `read`: what of flash is looked at, as what, and by which limits.

use toml::Spanned;

use station_esp::nvs::{self, Name};

use super::layout::{Grain, Layout};
use super::script::{self, Judged};
use super::steps::Scope;
use super::{Context, plain};
use crate::outcome::Limits;
use crate::plan::{Encoding, Measure, Range, Read, ReadForm};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::quantity::size_text;
use crate::recipe::syntax::{At, NvsPlaceTable, Place, ReadTable, ReadWord, Size};

/// Compiles the action. `None` if something was reported.
pub(super) fn compile(
    table: &Spanned<ReadTable>,
    scope: &mut Scope<'_>,
    context: &mut Context,
) -> Option<Read> {
    let read = table.get_ref();
    let place = match (&read.nvs, &read.at) {
        (None, Some(_)) => bytes(read, scope.layout, context),
        (Some(nvs), None) => {
            refuse_beside(read, context);
            in_nvs(nvs.get_ref(), scope.layout, context)
        }
        (Some(_), Some(at)) => {
            let message = "`at` and `nvs` exclude each other";
            context.error(Finding::new(Code::Conflict, at.span(), message));
            None
        }
        (None, None) => {
            context.missing(
                table.span(),
                "`read` has neither `at` nor `nvs`",
                "for example `at = \"serial\"`",
            );
            None
        }
    };
    let attach = read.attach.unwrap_or(false);
    if read.equals.is_none() && read.measure.is_none() && !attach {
        context.missing(
            table.span(),
            "`read` does nothing with what it reads",
            "add `equals`, `measure` or `attach = true`",
        );
    }
    let equals = read.equals.as_ref();
    let equals = equals.and_then(|text| {
        let template = scope.template(text, context)?;
        Some((text, template))
    });
    let number = place
        .as_ref()
        .is_some_and(|(_, form)| matches!(form, ReadForm::Number { .. }));
    let measure = measure(read, number, scope, context);
    let (range, form) = place?;
    if let (Some((text, template)), ReadForm::Number { width, .. }) = (&equals, &form)
        && template.names().is_empty()
    {
        check_number(text, *width, context);
    }
    Some(Read {
        range,
        form,
        equals: equals.map(|(_, template)| template),
        measure,
        attach,
    })
}

/// Bytes at a place; numbers have a size of their own.
fn bytes(read: &ReadTable, layout: &Layout, context: &mut Context) -> Option<(Range, ReadForm)> {
    let word = read.encoding.as_ref().map(|word| *word.get_ref());
    let number = |width, big_endian| ReadForm::Number { width, big_endian };
    let form = match word {
        Some(ReadWord::Text) | None => ReadForm::Bytes(Encoding::Text),
        Some(ReadWord::Hex) => ReadForm::Bytes(Encoding::Hex),
        Some(ReadWord::U8) => number(1, false),
        Some(ReadWord::U16le) => number(2, false),
        Some(ReadWord::U16be) => number(2, true),
        Some(ReadWord::U32le) => number(4, false),
        Some(ReadWord::U32be) => number(4, true),
        Some(ReadWord::U64le) => number(8, false),
        Some(ReadWord::U64be) => number(8, true),
    };
    let ReadForm::Number { width, .. } = form else {
        let range = layout.range(&read.at, &read.size, Grain::Byte, context)?;
        return Some((range, form));
    };
    if let Some(size) = &read.size
        && size.get_ref().0 != u64::from(width)
    {
        let message = format!("the number has {width} bytes");
        context.error(Finding::new(Code::Conflict, size.span(), message).hint("leave `size` out"));
        return None;
    }
    let span = read.at.as_ref().map_or(0..0, Spanned::span);
    let size = Some(Spanned::new(span, Size(u64::from(width))));
    let range = layout.range(&read.at, &size, Grain::Byte, context)?;
    Some((range, form))
}

/// Reports keys that mean nothing for a value in NVS.
fn refuse_beside(read: &ReadTable, context: &mut Context) {
    let size = read.size.as_ref().map(|size| ("size", size.span()));
    let encoding = read.encoding.as_ref();
    let encoding = encoding.map(|encoding| ("encoding", encoding.span()));
    for (name, span) in size.into_iter().chain(encoding) {
        let message = format!("`{name}` and `nvs` exclude each other");
        context.error(Finding::new(Code::Conflict, span, message));
    }
}

fn in_nvs(
    table: &NvsPlaceTable,
    layout: &Layout,
    context: &mut Context,
) -> Option<(Range, ReadForm)> {
    let (namespace, key) = (name(&table.namespace, context), name(&table.key, context));
    let partition = table.partition.as_ref()?;
    let place = Place::Partition(partition.get_ref().clone());
    let at = Some(Spanned::new(partition.span(), place));
    let range = layout.range(&at, &None, Grain::Sector, context)?;
    if range.size > nvs::MAX_SIZE {
        let most = size_text(u64::from(nvs::MAX_SIZE));
        let message = format!("an NVS partition has at most {most}");
        context.error(Finding::new(Code::TooLarge, partition.span(), message));
        return None;
    }
    let form = ReadForm::Nvs {
        namespace: namespace?,
        key: key?,
    };
    Some((range, form))
}

fn name(name: &At<String>, context: &mut Context) -> Option<Name> {
    let name = name.as_ref()?;
    Name::new(name.get_ref())
        .map_err(|fault| {
            context.error(Finding::new(Code::BadName, name.span(), fault.to_string()));
        })
        .ok()
}

fn measure(
    read: &ReadTable,
    number: bool,
    scope: &mut Scope<'_>,
    context: &mut Context,
) -> Option<Measure> {
    let judged = Judged {
        measure: &read.measure,
        pattern: &None,
        unit: &read.unit,
        min: &read.min,
        max: &read.max,
        // What a unit's value equals is only known when the unit is there.
        equals: &None,
        form: &None,
    };
    let Some(name) = &read.measure else {
        script::limits_without_measure(&judged, context);
        return None;
    };
    scope.add_measure(name, context);
    let numeric = number || read.min.is_some() || read.max.is_some();
    let limits = script::limits(&judged, numeric, context);
    Some(Measure {
        name: name.get_ref().clone(),
        unit: plain(&read.unit),
        limits: Limits {
            equals: None,
            ..limits
        },
        numeric,
    })
}

fn check_number(text: &Spanned<String>, width: u8, context: &mut Context) {
    let most = u64::MAX >> (64 - 8 * u32::from(width));
    let number = crate::wish::number(text.get_ref());
    if number.is_none_or(|number| number > most) {
        let message = format!("no number of {width} bytes equals `{}`", text.get_ref());
        context.error(Finding::new(Code::BadValue, text.span(), message));
    }
}
