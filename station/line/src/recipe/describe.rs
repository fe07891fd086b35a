//! A plan in words: every offset, size, hash and limit, so that an engineer can read what a unit
//! gets.

use std::fmt::{self, Write as _};

use station_esp::efuse::plan::{Danger, Slot};
use station_esp::nvs::Version;
use station_esp::words::counted;

use super::identity::{
    entries_sha256, form_word, kind_word, mode_word, rows_sha256, seen_before_word, units_sha256,
    voltage_word,
};
use super::quantity::{duration_text, size_text};
use crate::keys::Custody;
use crate::plan::{
    Action, Boot, BurnKey, Check, Efuse, Encoding, EncryptedBy, Erase, Exchange, Flash,
    FlashEncryption, FuseValue, HostCommand, Identify, Measure, Nvs, NvsEncryption, NvsForm, Plan,
    PlanImage, PlanKey, PlanKeySource, PlanStep, Range, Read, ReadForm, SecureBoot, SecureBootV1,
    SecureBootV2, Test, UnitBytes, WriteBytes,
};
use crate::serial::SerialSource;

/// Returns the plan in words, one fact a line, ending with what cannot be undone.
pub fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing into a text cannot fail.
    let _ = write_plan(&mut text, plan);
    text
}

fn write_plan(out: &mut String, plan: &Plan) -> fmt::Result {
    let contents = plan.contents();
    write!(out, "plan {}\nproduct {}", plan.id(), contents.product)?;
    if let Some(revision) = &contents.revision {
        write!(out, ", revision {revision}")?;
    }
    let chips: Vec<_> = contents.chips.iter().map(|chip| chip.title()).collect();
    write!(out, "\nchip {}", chips.join(" or "))?;
    if let Some(revision) = contents.min_chip_revision {
        write!(
            out,
            ", revision {}.{} or later",
            revision / 100,
            revision % 100
        )?;
    }
    out.push('\n');
    write_run(out, plan)?;
    write_serial(out, plan)?;
    write_values(out, plan)?;
    write_images(out, &contents.images, contents.chips.len())?;
    if !contents.partitions.is_empty() {
        writeln!(out, "\npartitions")?;
        for partition in &contents.partitions {
            writeln!(
                out,
                "  {:#010x}  {:>9}  {}",
                partition.offset,
                size_text(u64::from(partition.size)),
                partition.name
            )?;
        }
    }
    writeln!(out, "\nsteps")?;
    for (number, step) in contents.steps.iter().enumerate() {
        write_step(out, number + 1, step, &contents.images)?;
    }
    write_irreversible(out, plan)
}

/// What cannot be undone, step by step, and what it takes to start such a plan.
fn write_irreversible(out: &mut String, plan: &Plan) -> fmt::Result {
    if !plan.is_irreversible() {
        return writeln!(out, "\nnothing in this plan is irreversible");
    }
    writeln!(out, "\nCANNOT BE UNDONE")?;
    for (number, step) in plan.contents().steps.iter().enumerate() {
        let number = number + 1;
        let name = &step.name;
        match &step.action {
            Action::Efuse(efuse) => {
                let what = burned(efuse);
                writeln!(out, "  {number}. {name}: burns {what} for good")?;
                if let Some(field) = super::compile::closes(&step.action) {
                    writeln!(
                        out,
                        "     {field}: after this the chip can no longer be read, verified or \
                         repaired through its loader"
                    )?;
                }
            }
            Action::Key(key) => writeln!(
                out,
                "  {number}. {name}: the key block is used up for {}{}",
                key.purpose,
                lost(&key.key)
            )?,
            Action::FlashEncryption(encryption) => writeln!(
                out,
                "  {number}. {name}: from then on the chip reads its flash as ciphertext of its \
                 own key{}{}",
                if encryption.release {
                    ", and takes plain text from nobody"
                } else {
                    ""
                },
                lost(&encryption.key)
            )?,
            Action::SecureBoot(SecureBoot::V1(step)) => writeln!(
                out,
                "  {number}. {name}: from then on the chip starts no bootloader whose digest was \
                 not made with its own key{}",
                lost(&step.digest.key)
            )?,
            Action::SecureBoot(SecureBoot::V2(_)) => writeln!(
                out,
                "  {number}. {name}: from then on the chip starts nothing that is not signed by \
                 these keys; without them it can never be updated"
            )?,
            Action::Identify(_)
            | Action::Erase(_)
            | Action::Flash(_)
            | Action::Data(_)
            | Action::Serial(_)
            | Action::Nvs(_)
            | Action::Boot(_)
            | Action::Test(_)
            | Action::Command(_)
            | Action::Check(_)
            | Action::Read(_) => {}
        }
    }
    writeln!(
        out,
        "  it starts only when the recipe is released and the run is armed with an approval"
    )
}

/// What a step burns, by name.
fn burned(efuse: &Efuse) -> String {
    let fields = efuse.fields.iter().map(|field| field.name.as_str());
    let blocks = efuse.blocks.iter().map(|block| block.block.as_str());
    let names: Vec<_> = fields.chain(blocks).collect();
    if names.is_empty() {
        "protections".to_owned()
    } else {
        names.join(", ")
    }
}

/// What follows from the custody of a key.
fn lost(key: &PlanKey) -> &'static str {
    match key.custody {
        Custody::Escrow => "; the key is kept, sealed",
        Custody::Forget => "; the key is FORGOTTEN, nobody can have it again",
    }
}

fn write_run(out: &mut String, plan: &Plan) -> fmt::Result {
    let run = &plan.contents().run;
    writeln!(out, "\nrun")?;
    writeln!(
        out,
        "  bays are {}, a board {}",
        mode_word(run.mode),
        if run.auto_start {
            "starts by itself"
        } else {
            "waits to be started"
        }
    )?;
    writeln!(
        out,
        "  an attempt may take {}",
        duration_text(run.attempt_timeout)
    )?;
    writeln!(
        out,
        "  a unit that already passed: {}",
        seen_before_word(run.seen_before)
    )?;
    match run.quota {
        Some(quota) => writeln!(out, "  at most {}", counted(quota, "unit"))?,
        None => writeln!(out, "  any number of units")?,
    }
    writeln!(
        out,
        "  a bay is closed after {} in a row",
        counted(run.quarantine_after, "error")
    )?;
    let bauds: Vec<_> = run.bauds.iter().map(u32::to_string).collect();
    writeln!(out, "  baud rates {}", bauds.join(", "))
}

fn write_serial(out: &mut String, plan: &Plan) -> fmt::Result {
    match &plan.contents().serial {
        None => Ok(()),
        Some(SerialSource::Pool { name, pattern }) => {
            writeln!(out, "\nserial numbers")?;
            writeln!(out, "  pool {name}, pattern {}", pattern.as_str())?;
            writeln!(
                out,
                "  {} numbers of {} characters",
                pattern.last_counter(),
                pattern.length()
            )
        }
        Some(SerialSource::Csv { name, rows, units }) => {
            writeln!(out, "\nserial numbers")?;
            let ends = rows.first().zip(rows.last());
            let (first, last) =
                ends.map_or(("", ""), |(first, last)| (&first.serial, &last.serial));
            writeln!(
                out,
                "  pool {name}, a list of {}, from {first} to {last}",
                rows.len()
            )?;
            if let Some(units) = units {
                let column = units.column();
                writeln!(out, "  each for the unit whose MAC is in column {column}")?;
            }
            writeln!(out, "  sha256 {}", rows_sha256(rows))
        }
    }
}

fn write_values(out: &mut String, plan: &Plan) -> fmt::Result {
    let Some(list) = &plan.contents().values else {
        return Ok(());
    };
    writeln!(out, "\nvalues of units")?;
    writeln!(
        out,
        "  {}, {} by {}: {}",
        list.file(),
        counted(list.rows().len(), "unit"),
        list.key().word(),
        list.columns().join(", ")
    )?;
    writeln!(out, "  a unit that is in no row is not written to")?;
    writeln!(out, "  sha256 {}", units_sha256(list))
}

fn write_images(out: &mut String, images: &[PlanImage], chips: usize) -> fmt::Result {
    if images.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nimages")?;
    for image in images {
        let end = u64::from(image.offset) + u64::try_from(image.bytes.len()).unwrap_or(u64::MAX);
        write!(
            out,
            "  {:#010x} to {end:#010x}  {}: {}, {} bytes from {}",
            image.offset,
            image.name,
            kind_word(image.kind),
            image.bytes.len(),
            image.origin
        )?;
        if image.chips.len() < chips {
            let names: Vec<_> = image.chips.iter().map(|chip| chip.title()).collect();
            write!(out, ", for {} only", names.join(", "))?;
        }
        writeln!(out, "\n      sha256 {}", image.sha256)?;
    }
    Ok(())
}

fn write_step(
    out: &mut String,
    number: usize,
    step: &PlanStep,
    images: &[PlanImage],
) -> fmt::Result {
    writeln!(out, "  {number}. {} ({})", step.name, step.action.word())?;
    match &step.action {
        Action::Identify(identify) => write_identify(out, identify)?,
        Action::Erase(erase) => write_erase(out, erase)?,
        Action::Flash(flash) => write_flash(out, flash, images)?,
        Action::Data(write) | Action::Serial(write) => write_bytes(out, write)?,
        Action::Nvs(nvs) => write_nvs(out, nvs)?,
        Action::Boot(boot) => write_boot(out, boot)?,
        Action::Test(test) => write_test(out, test)?,
        Action::Command(command) => write_command(out, command)?,
        Action::Check(check) => write_check(out, check, images)?,
        Action::Read(read) => write_read(out, read)?,
        Action::Efuse(efuse) => write_efuse(out, efuse)?,
        Action::Key(key) => write_burn_key(out, key)?,
        Action::FlashEncryption(encryption) => write_encryption(out, encryption, images)?,
        Action::SecureBoot(SecureBoot::V1(first)) => write_first_boot(out, first, images)?,
        Action::SecureBoot(SecureBoot::V2(second)) => write_secure_boot(out, second)?,
    }
    write_options(out, step)
}

fn write_options(out: &mut String, step: &PlanStep) -> fmt::Result {
    write!(out, "     at most {}", duration_text(step.timeout))?;
    if step.retry.times > 0 {
        let classes: Vec<_> = step.retry.on.iter().map(|class| class.word()).collect();
        write!(
            out,
            ", tried again {} times after {}",
            step.retry.times,
            classes.join(", ")
        )?;
        if !step.retry.pause.is_zero() {
            write!(out, ", {} later", duration_text(step.retry.pause))?;
        }
    }
    if let Some(group) = &step.group {
        write!(out, ", in group {group}")?;
    }
    if let Some(when) = &step.when {
        let sign = if when.equal { "is" } else { "is not" };
        write!(out, ", only when {} {sign} `{}`", when.subject, when.text)?;
    }
    if step.always {
        out.push_str(", even after a failure");
    }
    if !step.needs.is_empty() {
        let needs: Vec<_> = step.needs.iter().map(String::as_str).collect();
        write!(out, ", holding {}", needs.join(", "))?;
    }
    out.push('\n');
    Ok(())
}

fn write_identify(out: &mut String, identify: &Identify) -> fmt::Result {
    match identify.flash_size {
        Some(size) => writeln!(out, "     flash must be {}", size_text(size))?,
        None => writeln!(out, "     any flash size")?,
    }
    if identify.mac_prefix.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "     the MAC must begin with {}",
        identify.mac_prefix.join(" or ")
    )
}

fn range(range: Range) -> String {
    let end = u64::from(range.offset) + u64::from(range.size);
    format!(
        "{:#x} to {end:#x} ({})",
        range.offset,
        size_text(u64::from(range.size))
    )
}

fn write_erase(out: &mut String, erase: &Erase) -> fmt::Result {
    match erase {
        Erase::All => writeln!(out, "     erases the whole flash"),
        Erase::Ranges(ranges) => ranges
            .iter()
            .try_for_each(|it| writeln!(out, "     erases {}", range(*it))),
    }
}

fn image_names(indices: &[usize], images: &[PlanImage]) -> String {
    let names: Vec<_> = indices
        .iter()
        .filter_map(|index| images.get(*index))
        .map(|image| image.name.as_str())
        .collect();
    names.join(", ")
}

fn write_flash(out: &mut String, flash: &Flash, images: &[PlanImage]) -> fmt::Result {
    writeln!(
        out,
        "     writes {}{}; {}; {}",
        image_names(&flash.images, images),
        if flash.encrypted {
            ", which the chip encrypts"
        } else {
            ""
        },
        if flash.skip_unchanged {
            "skips what is there already"
        } else {
            "writes all of it"
        },
        if flash.verify {
            "the chip verifies by MD5"
        } else {
            "NOT VERIFIED"
        }
    )
}

fn write_bytes(out: &mut String, write: &WriteBytes) -> fmt::Result {
    let what = match (&write.files, write.encoding) {
        (Some(files), _) if files.known.len() > 1 => {
            format!("one of {} files, each", files.known.len())
        }
        (Some(_), _) => "the file".to_owned(),
        (None, Encoding::Text) => "the text".to_owned(),
        (None, Encoding::Hex) => "the hex bytes".to_owned(),
        (None, Encoding::Base64) => "the base64 bytes".to_owned(),
    };
    write!(
        out,
        "     writes {what} `{}` to {}",
        write.value,
        range(write.range)
    )?;
    match (write.clear, write.pad) {
        (true, 0xFF) => writeln!(out, ", the rest erased"),
        (true, pad) => writeln!(out, ", the rest filled with {pad:#04x}"),
        (false, _) => writeln!(out),
    }
}

fn write_nvs(out: &mut String, nvs: &Nvs) -> fmt::Result {
    let version = match nvs.version {
        Version::V1 => 1,
        Version::V2 => 2,
    };
    writeln!(
        out,
        "     writes NVS, version {version}, to {}, reads it back and compares every value",
        range(nvs.range)
    )?;
    let entries = nvs.base.entries().count();
    let constant = entries.saturating_sub(nvs.values.len());
    if constant > 0 {
        let from = match &nvs.origin {
            Some(origin) => format!(", from {origin} and the recipe"),
            None => String::new(),
        };
        writeln!(
            out,
            "     {} for every unit{from}, sha256 {}",
            counted(constant, "value"),
            entries_sha256(&nvs.base)
        )?;
    }
    for value in &nvs.values {
        let form = match &value.form {
            NvsForm::Encoding("hex2bin") => "the hex bytes".to_owned(),
            NvsForm::Encoding(encoding) => (*encoding).to_owned(),
            NvsForm::File(files) if files.known.is_empty() => "the file".to_owned(),
            NvsForm::File(files) => format!("one of {} files", files.known.len()),
        };
        writeln!(
            out,
            "     - {}/{}: {form} `{}`",
            value.namespace, value.key, value.value
        )?;
    }
    match &nvs.encryption {
        None => Ok(()),
        Some(NvsEncryption::Partition(keys)) => writeln!(
            out,
            "     encrypted with keys made for each unit, which go to {}",
            range(*keys)
        ),
        Some(NvsEncryption::Hmac { step, .. }) => writeln!(
            out,
            "     encrypted with keys that follow from the one of step {step}"
        ),
    }
}

fn write_boot(out: &mut String, boot: &Boot) -> fmt::Result {
    write!(
        out,
        "     starts the application, console at {} baud",
        boot.baud
    )?;
    if let Some(expect) = &boot.expect {
        write!(
            out,
            ", waits for /{expect}/ for {}",
            duration_text(boot.within)
        )?;
    }
    for reject in &boot.reject {
        write!(out, ", fails on /{reject}/")?;
    }
    out.push('\n');
    Ok(())
}

fn write_test(out: &mut String, test: &Test) -> fmt::Result {
    match &test.boot {
        Some(boot) => write_boot(out, boot)?,
        None => writeln!(
            out,
            "     goes on with the running application, {} baud",
            test.baud
        )?,
    }
    test.script
        .iter()
        .try_for_each(|exchange| write_exchange(out, exchange))
}

fn write_exchange(out: &mut String, exchange: &Exchange) -> fmt::Result {
    out.push_str("     - ");
    if let Some(send) = &exchange.send {
        write!(out, "sends `{send}`")?;
    }
    if let Some(pattern) = &exchange.pattern {
        let joint = if exchange.send.is_some() {
            ", waits"
        } else {
            "waits"
        };
        write!(
            out,
            "{joint} for /{pattern}/ for {}",
            duration_text(exchange.within)
        )?;
    }
    if !exchange.needs.is_empty() {
        let needs: Vec<_> = exchange.needs.iter().map(String::as_str).collect();
        write!(out, ", holding {}", needs.join(", "))?;
    }
    out.push('\n');
    exchange
        .measure
        .iter()
        .try_for_each(|measure| write_measure(out, measure))
}

fn write_measure(out: &mut String, measure: &Measure) -> fmt::Result {
    let form = if measure.numeric { "number" } else { "text" };
    write!(out, "       measures {} ({form})", measure.name)?;
    let unit = measure
        .unit
        .as_ref()
        .map(|unit| format!(" {unit}"))
        .unwrap_or_default();
    let limits = &measure.limits;
    match (limits.min, limits.max) {
        (Some(min), Some(max)) => write!(out, ", {min} to {max}{unit}")?,
        (Some(min), None) => write!(out, ", at least {min}{unit}")?,
        (None, Some(max)) => write!(out, ", at most {max}{unit}")?,
        (None, None) => {}
    }
    if let Some(equals) = &limits.equals {
        write!(out, ", must be `{equals}`{unit}")?;
    }
    if limits.min.is_none() && limits.max.is_none() && limits.equals.is_none() {
        write!(out, ", recorded without limits")?;
        if let Some(unit) = &measure.unit {
            write!(out, ", in {unit}")?;
        }
    }
    out.push('\n');
    Ok(())
}

fn write_command(out: &mut String, command: &HostCommand) -> fmt::Result {
    let words: Vec<_> = command.run.iter().map(|word| format!("`{word}`")).collect();
    writeln!(
        out,
        "     runs {} for at most {}",
        words.join(" "),
        duration_text(command.within)
    )?;
    for (pattern, measure) in &command.measures {
        writeln!(out, "     - looks for /{pattern}/")?;
        write_measure(out, measure)?;
    }
    Ok(())
}

fn write_check(out: &mut String, check: &Check, images: &[PlanImage]) -> fmt::Result {
    if !check.images.is_empty() {
        writeln!(
            out,
            "     on the chip byte by byte: {}",
            image_names(&check.images, images)
        )?;
    }
    for blank in &check.blank {
        writeln!(out, "     blank: {}", range(*blank))?;
    }
    let states = [
        ("secure boot", check.secure_boot),
        ("flash encryption", check.flash_encryption),
    ];
    for (name, state) in states {
        if let Some(on) = state {
            writeln!(out, "     {name} must be {}", if on { "on" } else { "off" })?;
        }
    }
    match &check.policy {
        Some(policy) => writeln!(out, "     every fuse must meet policy {}", policy.name()),
        None => Ok(()),
    }
}

fn write_efuse(out: &mut String, efuse: &Efuse) -> fmt::Result {
    for field in &efuse.fields {
        match &field.value {
            FuseValue::Number(number) => writeln!(out, "     {} = {number:#x}", field.name)?,
            FuseValue::Counted(template) => writeln!(out, "     {} = `{template}`", field.name)?,
            FuseValue::Bytes(bytes) => {
                writeln!(out, "     {} = {}", field.name, unit_bytes(bytes))?;
            }
        }
    }
    for block in &efuse.blocks {
        writeln!(
            out,
            "     block {} = {}",
            block.block,
            unit_bytes(&block.bytes)
        )?;
    }
    if let Some(mac) = &efuse.custom_mac {
        writeln!(out, "     MAC of its own `{mac}`")?;
    }
    if let Some(voltage) = efuse.flash_voltage {
        writeln!(out, "     supply of the flash: {}", voltage_word(voltage))?;
    }
    for (what, names) in [
        ("nobody can write", &efuse.write_protect),
        ("software cannot read", &efuse.read_protect),
    ] {
        if !names.is_empty() {
            writeln!(out, "     {what} any more: {}", names.join(", "))?;
        }
    }
    write_accepted(out, &efuse.accepted)
}

fn unit_bytes(bytes: &UnitBytes) -> String {
    match bytes.encoding {
        Encoding::Text => format!("the text `{}`", bytes.value),
        Encoding::Hex => format!("the hex bytes `{}`", bytes.value),
        Encoding::Base64 => format!("the base64 bytes `{}`", bytes.value),
    }
}

fn write_accepted(out: &mut String, accepted: &[Danger]) -> fmt::Result {
    if accepted.is_empty() {
        return Ok(());
    }
    let words: Vec<_> = accepted.iter().map(ToString::to_string).collect();
    writeln!(out, "     accepts {}", words.join(", "))
}

fn write_key(out: &mut String, key: &PlanKey) -> fmt::Result {
    let slot = match &key.slot {
        Slot::Named(block) => block.as_str(),
        Slot::Free => "the first free block that can hold it",
    };
    let from = match &key.source {
        PlanKeySource::Generate => "made for each unit".to_owned(),
        PlanKeySource::File { origin, key } => {
            format!(
                "from {origin} (fingerprint {}), for every unit",
                key.fingerprint()
            )
        }
        PlanKeySource::Csv { column, keys } => {
            format!(
                "each unit's own from column {column}, {} of them",
                keys.len()
            )
        }
        PlanKeySource::Shared => "from the key store, for every unit".to_owned(),
    };
    let custody = match key.custody {
        Custody::Escrow => "kept sealed",
        Custody::Forget => "forgotten once the chip has it",
    };
    writeln!(
        out,
        "     key {} ({}), {from}, into {slot}, {custody}",
        key.name, key.kind
    )
}

fn write_burn_key(out: &mut String, key: &BurnKey) -> fmt::Result {
    write_key(out, &key.key)?;
    let read = match key.read_protect {
        None => "as the purpose needs",
        Some(true) => "yes",
        Some(false) => "NO",
    };
    let write = if key.write_protect { "yes" } else { "NO" };
    writeln!(
        out,
        "     purpose {}, hidden from software: {read}, closed against writing: {write}",
        key.purpose
    )?;
    write_accepted(out, &key.accepted)
}

fn write_encryption(
    out: &mut String,
    encryption: &FlashEncryption,
    images: &[PlanImage],
) -> fmt::Result {
    let mode = if encryption.release {
        "release"
    } else {
        "DEVELOPMENT"
    };
    writeln!(out, "     flash encryption in {mode} mode")?;
    write_key(out, &encryption.key)?;
    let names = image_names(&encryption.images, images);
    match encryption.content {
        EncryptedBy::Host => writeln!(
            out,
            "     writes {names} as ciphertext of that key; the chip verifies by MD5"
        )?,
        EncryptedBy::Bootloader => {
            writeln!(
                out,
                "     the bootloader encrypts {names} on its first start"
            )?;
        }
    }
    if let Some(trusted) = &encryption.trusted {
        writeln!(
            out,
            "     burns the digest of {} for secure boot in the same pulse",
            trusted.origin
        )?;
    }
    if let Some(digest) = &encryption.digest {
        let bootloader = image_names(&[digest.bootloader], images);
        writeln!(
            out,
            "     writes the digest of {bootloader} for secure boot as ciphertext of that key, too"
        )?;
    }
    write_accepted(out, &encryption.accepted)
}

fn write_first_boot(out: &mut String, first: &SecureBootV1, images: &[PlanImage]) -> fmt::Result {
    writeln!(out, "     secure boot version 1")?;
    write_key(out, &first.digest.key)?;
    let bootloader = image_names(&[first.digest.bootloader], images);
    writeln!(
        out,
        "     the digest of {bootloader}, made with that key, {}",
        if first.encrypted {
            "is in flash as ciphertext by then"
        } else {
            "goes to the start of flash; the chip verifies by MD5"
        }
    )?;
    writeln!(
        out,
        "     applications are signed with {}, which the bootloader carries",
        first.signed_by
    )?;
    write_accepted(out, &first.digest.accepted)
}

fn write_secure_boot(out: &mut String, secure_boot: &SecureBootV2) -> fmt::Result {
    writeln!(out, "     secure boot version 2")?;
    for trusted in &secure_boot.digests {
        writeln!(
            out,
            "     trusts {}, digest {}",
            trusted.origin,
            hex::encode(trusted.digest)
        )?;
    }
    if secure_boot.revoke_unused {
        writeln!(out, "     closes the digests that are not used")?;
    }
    if secure_boot.aggressive_revoke {
        writeln!(out, "     a signature that does not verify closes its key")?;
    }
    write_accepted(out, &secure_boot.accepted)
}

fn write_read(out: &mut String, read: &Read) -> fmt::Result {
    write!(out, "     reads {}", range(read.range))?;
    match &read.form {
        ReadForm::Bytes(Encoding::Text) => {}
        ReadForm::Nvs { namespace, key } => write!(out, " as NVS, `{namespace}`/`{key}` of it")?,
        form @ (ReadForm::Bytes(Encoding::Hex | Encoding::Base64) | ReadForm::Number { .. }) => {
            write!(out, " as {}", form_word(form))?;
        }
    }
    if let Some(equals) = &read.equals {
        write!(out, ", must be `{equals}`")?;
    }
    if let Some(measure) = &read.measure {
        write!(out, ", records it as {}", measure.name)?;
        let unit = measure.unit.as_deref().unwrap_or_default();
        for (word, limit) in [
            ("at least", measure.limits.min),
            ("at most", measure.limits.max),
        ] {
            if let Some(limit) = limit {
                write!(out, ", {word} {}", format!("{limit} {unit}").trim_end())?;
            }
        }
    }
    if read.attach {
        out.push_str(", stores the bytes");
    }
    out.push('\n');
    Ok(())
}
