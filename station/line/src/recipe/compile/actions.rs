//! The actions of a step, one function each.

use std::ops::Range;

use toml::Spanned;

use super::layout::Grain;
use super::steps::Scope;
use super::{Context, plain, policy, script, security};
use crate::plan::{Action, Check, Encoding, Erase, Flash, Identify, Read, WriteBytes};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{
    At, CheckTable, DataTable, EncodingWord, EraseTable, FlashTable, IdentifyTable, ReadTable,
    SerialStepTable, StepTable, UnchangedWord, VerifyWord,
};
use crate::template::Template;

/// Compiles the action of a step and says where it stands. `None` if something was reported.
pub(super) fn compile(
    step: &StepTable,
    scope: &mut Scope<'_>,
    context: &mut Context,
) -> Option<(Action, Range<usize>)> {
    let at = |action: Option<Action>, span: Range<usize>| action.map(|action| (action, span));
    if let Some(table) = &step.identify {
        at(
            Some(Action::Identify(identify(table.get_ref(), context))),
            table.span(),
        )
    } else if let Some(table) = &step.erase {
        at(
            erase(table, scope, context).map(Action::Erase),
            table.span(),
        )
    } else if let Some(table) = &step.flash {
        at(
            flash(table.get_ref(), scope, context).map(Action::Flash),
            table.span(),
        )
    } else if let Some(table) = &step.data {
        at(
            data(table.get_ref(), scope, context).map(Action::Data),
            table.span(),
        )
    } else if let Some(table) = &step.serial {
        at(
            serial(table, scope, context).map(Action::Serial),
            table.span(),
        )
    } else if let Some(table) = &step.boot {
        at(
            Some(Action::Boot(script::boot(table.get_ref(), scope, context))),
            table.span(),
        )
    } else if let Some(table) = &step.test {
        at(
            script::test(table, scope, context).map(Action::Test),
            table.span(),
        )
    } else if let Some(table) = &step.command {
        at(
            script::command(table.get_ref(), scope, context).map(Action::Command),
            table.span(),
        )
    } else if let Some(table) = &step.check {
        at(
            check(table, scope, context).map(Action::Check),
            table.span(),
        )
    } else if let Some(table) = &step.read {
        at(read(table, scope, context).map(Action::Read), table.span())
    } else {
        irreversible(step, scope, context)
    }
}

/// The actions that cannot be undone.
fn irreversible(
    step: &StepTable,
    scope: &Scope<'_>,
    context: &mut Context,
) -> Option<(Action, Range<usize>)> {
    let (action, span) = if let Some(table) = &step.efuse {
        let efuse = security::efuse(table, scope, context);
        (efuse.map(Action::Efuse), table.span())
    } else if let Some(table) = &step.key {
        let key = security::key(table, scope, context);
        (key.map(Action::Key), table.span())
    } else if let Some(table) = &step.flash_encryption {
        let encryption = security::flash_encryption(table, scope, context);
        (encryption.map(Action::FlashEncryption), table.span())
    } else if let Some(table) = &step.secure_boot {
        let secure_boot = security::secure_boot(table, scope, context);
        (secure_boot.map(Action::SecureBoot), table.span())
    } else {
        return None;
    };
    action.map(|action| (action, span))
}

/// Returns whether the application runs after the step. Everything that talks to the loader ends
/// it.
pub(super) fn leaves_running(step: &StepTable, before: bool) -> bool {
    if step.boot.is_some() || step.test.is_some() {
        true
    } else if step.command.is_some() {
        before
    } else {
        false
    }
}

fn identify(table: &IdentifyTable, context: &mut Context) -> Identify {
    let mut mac_prefix = Vec::new();
    if let Some(prefixes) = &table.mac_prefix {
        for (text, span) in prefixes.get_ref().iter(prefixes.span()) {
            let pairs: Vec<_> = text.split(':').collect();
            let pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            if (1..=6).contains(&pairs.len()) && pairs.iter().all(pair) {
                mac_prefix.push(text.to_lowercase());
            } else {
                let shown: String = text.chars().take(60).collect();
                context.error(
                    Finding::new(Code::BadValue, span, format!("`{shown}` begins no MAC"))
                        .hint("write one to six bytes, for example `\"7c:df:a1\"`"),
                );
            }
        }
    }
    if let Some(size) = &table.flash_size
        && !size.get_ref().0.is_power_of_two()
    {
        context.error(
            Finding::new(Code::OutOfRange, size.span(), "no flash chip has this size")
                .hint("sizes are powers of two: `\"4MB\"`, `\"8MB\"`, `\"16MB\"`"),
        );
    }
    Identify {
        flash_size: table.flash_size.as_ref().map(|size| size.get_ref().0),
        mac_prefix,
    }
}

fn erase(table: &Spanned<EraseTable>, scope: &Scope<'_>, context: &mut Context) -> Option<Erase> {
    match (
        table.get_ref().all.unwrap_or(false),
        &table.get_ref().ranges,
    ) {
        (true, None) => Some(Erase::All),
        (false, Some(places)) if !places.is_empty() => Some(Erase::Ranges(
            places
                .iter()
                .filter_map(|place| {
                    let place = place.get_ref();
                    scope
                        .layout
                        .range(&place.at, &place.size, Grain::Sector, context)
                })
                .collect(),
        )),
        (true, Some(_)) => {
            let message = "`all` and `ranges` exclude each other";
            context.error(Finding::new(Code::Conflict, table.span(), message));
            None
        }
        (false, _) => {
            context.error(
                Finding::new(Code::MissingKey, table.span(), "`erase` erases nothing")
                    .hint("add `all = true`, or `ranges = [{ at = \"nvs\" }]`"),
            );
            None
        }
    }
}

/// Returns indices of images; unknown and repeated names are reported.
pub(super) fn images(
    names: &[Spanned<String>],
    scope: &Scope<'_>,
    context: &mut Context,
) -> Vec<usize> {
    let mut indices = Vec::new();
    for (position, name) in names.iter().enumerate() {
        if names
            .iter()
            .take(position)
            .any(|earlier| earlier.get_ref() == name.get_ref())
        {
            let message = format!("image `{}` is named twice", name.get_ref());
            context.error(Finding::new(Code::DuplicateName, name.span(), message));
        }
        indices.extend(scope.layout.image(name, context));
    }
    indices
}

fn flash(table: &FlashTable, scope: &Scope<'_>, context: &mut Context) -> Option<Flash> {
    let names = table.images.as_ref()?;
    if names.get_ref().is_empty() {
        context.error(Finding::new(
            Code::OutOfRange,
            names.span(),
            "`images` names no image",
        ));
    }
    let verify = match &table.verify {
        Some(word) if *word.get_ref() == VerifyWord::None => {
            context.warn(
                Finding::new(
                    Code::NotVerified,
                    word.span(),
                    "what is written is not verified",
                )
                .hint("a unit can pass with damaged flash; leave `verify` out"),
            );
            false
        }
        Some(_) | None => true,
    };
    Some(Flash {
        images: images(names.get_ref(), scope, context),
        verify,
        skip_unchanged: table.unchanged != Some(UnchangedWord::Write),
    })
}

fn encoding(word: Option<EncodingWord>) -> Encoding {
    match word {
        Some(EncodingWord::Hex) => Encoding::Hex,
        Some(EncodingWord::Text) | None => Encoding::Text,
    }
}

fn data(table: &DataTable, scope: &Scope<'_>, context: &mut Context) -> Option<WriteBytes> {
    let range = scope
        .layout
        .range(&table.at, &table.size, Grain::Sector, context);
    let text = table.value.as_ref()?;
    let value = scope.template(text, context)?;
    let encoding = encoding(table.encoding);
    check_hex(&value, encoding, text, context);
    let write = WriteBytes {
        range: range?,
        encoding,
        value,
        clear: table.clear.unwrap_or(true),
    };
    check_room(&write, text.span(), scope, context);
    Some(write)
}

fn serial(
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
        clear: step.clear.unwrap_or(true),
    };
    check_room(&write, text.span(), scope, context);
    Some(write)
}

/// Reports hex that is plainly none. With a name inside only the unit's value can tell.
fn check_hex(value: &Template, encoding: Encoding, text: &Spanned<String>, context: &mut Context) {
    if encoding == Encoding::Hex && value.names().is_empty() && hex::decode(value.as_str()).is_err()
    {
        context.error(
            Finding::new(
                Code::BadValue,
                text.span(),
                "`value` is not pairs of hex digits",
            )
            .hint("for text as it is, leave `encoding` out"),
        );
    }
}

/// Reports a text that may be longer than its room, as far as its length is known beforehand.
fn check_room(write: &WriteBytes, span: Range<usize>, scope: &Scope<'_>, context: &mut Context) {
    let source = scope.serials.and_then(|serials| serials.source.as_ref());
    let longest = write.value.longest(|name| match name {
        "mac" => Some(17),
        "chip" => Some(16),
        "serial" => source.map(crate::serial::SerialSource::longest),
        _ => None,
    });
    let Some(longest) = longest else { return };
    let bytes = match write.encoding {
        Encoding::Text => longest,
        Encoding::Hex => longest / 2,
    };
    if u64::try_from(bytes).unwrap_or(u64::MAX) > u64::from(write.range.size) {
        let room = crate::recipe::quantity::size_text(u64::from(write.range.size));
        let message = format!("the text can be {bytes} bytes long, and there is room for {room}");
        context.error(Finding::new(Code::TooLarge, span.clone(), message));
    }
    if bytes == 0 {
        context.error(Finding::new(Code::BadValue, span, "`value` is empty"));
    }
}

fn check(table: &Spanned<CheckTable>, scope: &Scope<'_>, context: &mut Context) -> Option<Check> {
    let check = table.get_ref();
    let nothing = check.images.as_ref().is_none_or(Vec::is_empty)
        && check.blank.as_ref().is_none_or(Vec::is_empty)
        && check.secure_boot.is_none()
        && check.flash_encryption.is_none()
        && check.policy.is_none();
    if nothing {
        context.error(
            Finding::new(Code::MissingKey, table.span(), "`check` checks nothing")
                .hint("add `images`, `blank`, `secure_boot`, `flash_encryption` or `policy`"),
        );
        return None;
    }
    Some(Check {
        images: images(check.images.as_deref().unwrap_or_default(), scope, context),
        blank: check
            .blank
            .iter()
            .flatten()
            .filter_map(|place| {
                let place = place.get_ref();
                scope
                    .layout
                    .range(&place.at, &place.size, Grain::Byte, context)
            })
            .collect(),
        secure_boot: check.secure_boot,
        flash_encryption: check.flash_encryption,
        policy: match &check.policy {
            Some(name) => Some(policy::compile(name, scope, context)?),
            None => None,
        },
    })
}

fn read(table: &Spanned<ReadTable>, scope: &mut Scope<'_>, context: &mut Context) -> Option<Read> {
    let read = table.get_ref();
    let range = scope
        .layout
        .range(&read.at, &read.size, Grain::Byte, context);
    let attach = read.attach.unwrap_or(false);
    if read.equals.is_none() && read.measure.is_none() && !attach {
        context.error(
            Finding::new(
                Code::MissingKey,
                table.span(),
                "`read` does nothing with what it reads",
            )
            .hint("add `equals`, `measure` or `attach = true`"),
        );
    }
    let equals = template(&read.equals, scope, context);
    if let Some(name) = &read.measure {
        scope.add_measure(name, context);
    }
    Some(Read {
        range: range?,
        equals,
        encoding: encoding(read.encoding),
        measure: plain(&read.measure),
        attach,
    })
}

fn template(text: &At<String>, scope: &Scope<'_>, context: &mut Context) -> Option<Template> {
    text.as_ref().and_then(|text| scope.template(text, context))
}
