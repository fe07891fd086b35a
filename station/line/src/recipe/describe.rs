//! A plan in words: every offset, size, hash and limit, so that an engineer can read what a unit
//! gets.

use std::fmt::{self, Write as _};

use super::identity::{kind_word, mode_word, rows_sha256, seen_before_word};
use super::quantity::{duration_text, size_text};
use crate::plan::{
    Action, Boot, Check, Encoding, Erase, Exchange, Flash, HostCommand, Identify, Measure, Plan,
    PlanImage, PlanStep, Range, Read, Test, WriteBytes,
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
    writeln!(out, "\nnothing in this plan is irreversible")
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
        Some(quota) => writeln!(out, "  at most {quota} units")?,
        None => writeln!(out, "  any number of units")?,
    }
    writeln!(
        out,
        "  a bay is closed after {} errors in a row",
        run.quarantine_after
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
        Some(SerialSource::Csv { name, rows }) => {
            writeln!(out, "\nserial numbers")?;
            let ends = rows.first().zip(rows.last());
            let (first, last) =
                ends.map_or(("", ""), |(first, last)| (&first.serial, &last.serial));
            writeln!(
                out,
                "  pool {name}, a list of {}, from {first} to {last}",
                rows.len()
            )?;
            writeln!(out, "  sha256 {}", rows_sha256(rows))
        }
    }
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
        Action::Boot(boot) => write_boot(out, boot)?,
        Action::Test(test) => write_test(out, test)?,
        Action::Command(command) => write_command(out, command)?,
        Action::Check(check) => write_check(out, check, images)?,
        Action::Read(read) => write_read(out, read)?,
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
        "     writes {}; {}; {}",
        image_names(&flash.images, images),
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
    writeln!(
        out,
        "     writes {} `{}` to {}{}",
        match write.encoding {
            Encoding::Text => "the text",
            Encoding::Hex => "the hex bytes",
        },
        write.value,
        range(write.range),
        if write.clear { ", the rest erased" } else { "" }
    )
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
    Ok(())
}

fn write_read(out: &mut String, read: &Read) -> fmt::Result {
    write!(out, "     reads {}", range(read.range))?;
    if read.encoding == Encoding::Hex {
        out.push_str(" as hex");
    }
    if let Some(equals) = &read.equals {
        write!(out, ", must be `{equals}`")?;
    }
    if let Some(measure) = &read.measure {
        write!(out, ", records it as {measure}")?;
    }
    if read.attach {
        out.push_str(", stores the bytes");
    }
    out.push('\n');
    Ok(())
}
