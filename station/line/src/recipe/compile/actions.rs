//! The actions of a step, one function each.

use std::ops::Range;

use toml::Spanned;

use super::layout::Grain;
use super::steps::Scope;
use super::{Context, data, nvs, policy, read, script, secure_boot, security};
use crate::plan::{Action, Check, Erase, Flash, Identify};
use crate::recipe::diagnostic::{Code, Finding};
use crate::recipe::syntax::{
    CheckTable, EraseTable, FlashTable, IdentifyTable, StepTable, UnchangedWord, VerifyWord,
};

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
            data::data(table, scope, context).map(Action::Data),
            table.span(),
        )
    } else if let Some(table) = &step.serial {
        at(
            data::serial(table, scope, context).map(Action::Serial),
            table.span(),
        )
    } else if let Some(table) = &step.nvs {
        let compiled = nvs::compile(table, scope, context);
        at(compiled.map(|nvs| Action::Nvs(Box::new(nvs))), table.span())
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
        at(
            read::compile(table, scope, context).map(Action::Read),
            table.span(),
        )
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
        let secure_boot = secure_boot::compile(table, scope, context);
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
            context.missing(
                table.span(),
                "`erase` erases nothing",
                "add `all = true`, or `ranges = [{ at = \"nvs\" }]`",
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
        indices.extend(scope.layout.parts(name, context));
    }
    indices
}

/// Returns indices of what of the images is to be ciphertext: of builds that say it of their files,
/// only those.
pub(super) fn encrypted_images(
    names: &[Spanned<String>],
    scope: &Scope<'_>,
    context: &mut Context,
) -> Vec<usize> {
    for name in names {
        let mut unknown = Context::default();
        let parts = scope.layout.parts(name, &mut unknown);
        let plain = |index: &usize| scope.layout.wants_encryption(*index) == Some(false);
        if !parts.is_empty() && parts.iter().all(plain) {
            let message = format!(
                "the build of `{}` wants none of its files encrypted",
                name.get_ref()
            );
            context.error(
                Finding::new(Code::Conflict, name.span(), message)
                    .hint("build it with CONFIG_SECURE_FLASH_ENC_ENABLED"),
            );
        }
    }
    let mut indices = images(names, scope, context);
    indices.retain(|index| scope.layout.wants_encryption(*index) != Some(false));
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
    let images = match table.encrypt {
        Some(_) => encrypted_images(names.get_ref(), scope, context),
        None => images(names.get_ref(), scope, context),
    };
    Some(Flash {
        images,
        verify,
        skip_unchanged: table.unchanged != Some(UnchangedWord::Write),
        encrypted: table.encrypt.is_some(),
    })
}

fn check(table: &Spanned<CheckTable>, scope: &Scope<'_>, context: &mut Context) -> Option<Check> {
    let check = table.get_ref();
    let nothing = check.images.as_ref().is_none_or(Vec::is_empty)
        && check.blank.as_ref().is_none_or(Vec::is_empty)
        && check.secure_boot.is_none()
        && check.flash_encryption.is_none()
        && check.policy.is_none();
    if nothing {
        context.missing(
            table.span(),
            "`check` checks nothing",
            "add `images`, `blank`, `secure_boot`, `flash_encryption` or `policy`",
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
