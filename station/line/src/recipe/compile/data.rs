//! `data` and `serial`: bytes made for one unit, checked as far as they are known before it is there.

use std::ops::Range as Span;

use toml::Spanned;

use super::Context;
use super::files::{known_files, unit_files};
use super::layout::Grain;
use super::steps::Scope;
use super::units::Seen;
use crate::plan::{Encoding, Range, WriteBytes};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::quantity::size_text;
use crate::recipe::syntax::{At, DataTable, EncodingWord, SerialStepTable};
use crate::serial::listed;
use crate::template::Template;
use crate::unit_files::UnitFiles;

/// Erased flash.
const ERASED: u8 = 0xFF;

/// Compiles `data`. `None` if something was reported.
pub(super) fn data(
    table: &Spanned<DataTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<WriteBytes> {
    let data = table.get_ref();
    let range = scope
        .layout
        .range(&data.at, &data.size, Grain::Sector, context);
    let clear = data.clear.unwrap_or(true);
    if let Some(pad) = &data.pad
        && !clear
    {
        let message = "`pad` fills the rest, and `clear = false` leaves it as it is";
        context.error(Finding::new(Code::Conflict, pad.span(), message));
    }
    let pad = data.pad.as_ref().map_or(ERASED, |pad| *pad.get_ref());
    let (text, is_file) = source(table, context)?;
    let value = scope.template(text, context)?;
    let mut write = WriteBytes {
        range: range?,
        encoding: encoding(&data.encoding),
        value,
        files: None,
        clear,
        pad,
    };
    if is_file {
        let files = files(&write.value, write.range, text.span(), scope, context)?;
        write.files = Some(files);
    } else {
        check_texts(&write, text.span(), scope, context);
    }
    Some(write)
}

/// Where the bytes come from, and whether it is a file.
fn source<'a>(
    table: &'a Spanned<DataTable>,
    context: &mut Context,
) -> Option<(&'a Spanned<String>, bool)> {
    let data = table.get_ref();
    match (&data.value, &data.file) {
        (Some(value), None) => Some((value, false)),
        (None, Some(file)) => {
            if let Some(encoding) = &data.encoding {
                let message = "`encoding` is for text; a file is written as it is";
                context.error(Finding::new(Code::Conflict, encoding.span(), message));
            }
            Some((file, true))
        }
        (Some(_), Some(file)) => {
            let message = "`value` and `file` exclude each other";
            context.error(Finding::new(Code::Conflict, file.span(), message));
            None
        }
        (None, None) => {
            context.missing(
                table.span(),
                "`data` has neither `value` nor `file`",
                "for example `value = \"{serial}\"`",
            );
            None
        }
    }
}

/// Compiles `serial`. `None` if something was reported.
pub(super) fn serial(
    table: &Spanned<SerialStepTable>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<WriteBytes> {
    let step = table.get_ref();
    let range = scope
        .layout
        .range(&step.at, &step.size, Grain::Sector, context);
    if scope.serials.is_none() {
        context.error(
            Finding::new(
                Code::NoSerial,
                table.span(),
                "`serial` writes a serial number, and the recipe has none",
            )
            .hint("add a `[serial]` table"),
        );
        return None;
    }
    let default = || Spanned::new(table.span(), "{serial}".to_owned());
    let text = step.value.clone().unwrap_or_else(default);
    let value = scope.template(&text, context)?;
    if !value.names().contains("serial") {
        context.error(
            Finding::new(
                Code::BadTemplate,
                text.span(),
                "`value` does not use `{serial}`",
            )
            .hint("for other texts there is the action `data`"),
        );
    }
    let write = WriteBytes {
        range: range?,
        encoding: Encoding::Text,
        value,
        files: None,
        clear: step.clear.unwrap_or(true),
        pad: ERASED,
    };
    check_texts(&write, text.span(), scope, context);
    Some(write)
}

fn encoding(word: &At<EncodingWord>) -> Encoding {
    match word.as_ref().map(|word| *word.get_ref()) {
        Some(EncodingWord::Hex) => Encoding::Hex,
        Some(EncodingWord::Base64) => Encoding::Base64,
        Some(EncodingWord::Text) | None => Encoding::Text,
    }
}

/// Reports every text that is no such bytes, or too many: one by one where they are known, and by
/// their longest otherwise.
fn check_texts(write: &WriteBytes, span: Span<usize>, scope: &Scope<'_>, context: &mut Context) {
    let room = usize::try_from(write.range.size).unwrap_or(usize::MAX);
    let mut wrong = Vec::new();
    let mut longest = 0;
    let seen = scope
        .units
        .each_text(&write.value, scope.chips, |unit, text| {
            let bytes = text
                .map_err(|error| error.to_string())
                .and_then(|text| write.encoding.decode(&text).map_err(str::to_owned));
            match bytes {
                Ok(bytes) if bytes.is_empty() => {
                    wrong.push((scope.units.place(unit), "it is empty".to_owned()));
                }
                Ok(bytes) => longest = longest.max(bytes.len()),
                Err(reason) => wrong.push((scope.units.place(unit), reason)),
            }
        });
    if seen == Seen::Unknown {
        let length = write.value.longest(|name| scope.units.longest(name));
        let Some(length) = length else { return };
        longest = match write.encoding {
            Encoding::Text => length,
            Encoding::Hex => length / 2,
            Encoding::Base64 => length / 4 * 3,
        };
    }
    if !wrong.is_empty() {
        let constant = write.value.names().is_empty();
        let reasons = match wrong.as_slice() {
            [(_, reason), ..] if constant => reason.clone(),
            wrong => listed(wrong, |(place, reason)| format!("{reason} in {place}")),
        };
        let message = format!("`value` cannot be written: {reasons}");
        let finding = Finding::new(Code::BadValue, span.clone(), message);
        context.error(match write.encoding {
            Encoding::Text => finding,
            Encoding::Hex | Encoding::Base64 => {
                finding.hint("for text as it is, leave `encoding` out")
            }
        });
    }
    if longest > room {
        let room = size_text(u64::from(write.range.size));
        let message = format!("the text can be {longest} bytes long, and there is room for {room}");
        context.error(Finding::new(Code::TooLarge, span, message));
    }
}

/// The files of units; `None` if something was reported.
fn files(
    template: &Template,
    range: Range,
    span: Span<usize>,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<UnitFiles> {
    let files = unit_files(u64::from(range.size), context);
    match known_files(files, template, scope) {
        Ok((files, _)) => Some(files),
        Err(wrong) => {
            let reasons = listed(&wrong, |(place, reason)| format!("{reason}, for {place}"));
            context.error(Finding::new(Code::FileUnreadable, span, reasons));
            None
        }
    }
}
