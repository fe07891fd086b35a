//! An audit as Markdown.

use std::fmt::Write as _;

use super::{Audit, Finding};

impl Audit {
    /// The audit as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        self.write_markdown(&mut text)
            .map_or_else(|_| String::new(), |()| text)
    }

    fn write_markdown(&self, text: &mut String) -> std::fmt::Result {
        let on = |on: bool| if on { "on" } else { "off" };
        writeln!(text, "# {} {}", self.chip.title(), self.mac)?;
        writeln!(text, "\n| | |\n|---|---|")?;
        writeln!(text, "| revision | {} |", self.revision)?;
        writeln!(text, "| secure boot | {} |", on(self.secure_boot))?;
        writeln!(text, "| flash encryption | {} |", on(self.flash_encryption))?;
        writeln!(text, "| download mode | {} |", self.download)?;
        writeln!(text, "\n## Key blocks\n")?;
        writeln!(
            text,
            "| block | purpose | used | hidden | closed | purpose closed |"
        )?;
        writeln!(text, "|---|---|---|---|---|---|")?;
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        for slot in &self.slots {
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                slot.block,
                slot.purpose,
                yes(slot.used),
                yes(slot.hidden),
                yes(slot.closed),
                yes(slot.purpose_closed)
            )?;
        }
        writeln!(text, "\n## Findings\n")?;
        if self.findings.is_empty() {
            writeln!(text, "None.")?;
        }
        for finding in &self.findings {
            let Finding {
                grade,
                code,
                what,
                why,
                fix,
            } = finding;
            writeln!(
                text,
                "- **{}** `{code}`: {what}; {why}. {fix}.",
                grade.name()
            )?;
        }
        Ok(())
    }
}
