//! From reset to a loader or an application, step by step.
//!
//! Invariants: every restart samples the boot pin once; a boot that fails starts over, but never
//! more often than once a second; bytes that arrive while nobody listens are lost.

use station_esp::Chip;
use station_esp::efuse::FieldName;

use super::application::BoardFacts;
use super::core::{ROM_BAUD, VirtualChip};
use super::in_place::InPlace;
use super::mode::Mode;
use crate::boot::{self, Finding, ResetReason};
use crate::wire::{Nanos, Wire};

/// From reset to the ROM's first line.
const ROM_START: Nanos = 3_000_000;
/// From the ROM's log to the second-stage bootloader's.
const LOADER_START: Nanos = 15_000_000;
/// From the bootloader's log to the application.
const APPLICATION_START: Nanos = 40_000_000;
/// Between two tries of a boot that fails.
const RETRY: Nanos = 1_000_000_000;

/// What comes next in a boot.
#[derive(Clone, Debug)]
pub(super) enum BootStep {
    /// The ROM speaks.
    Rom { reason: ResetReason, download: bool },
    /// The second-stage bootloader speaks about what it found.
    Bootloader(Finding),
    /// The bootloader encrypts flash.
    InPlace(Box<InPlace>),
    /// The application starts.
    Application,
    /// The watchdog gives a failed boot another try.
    Again,
    /// The loader has said its last word and leaves: through a reset, or straight to the flash.
    Leave { reset: bool },
}

impl VirtualChip {
    /// The chip comes out of reset: straps are sampled, the boot begins.
    pub(super) fn restart(&mut self, now: Nanos, reason: ResetReason) {
        let download = self.sample_straps();
        self.restart_into(now, reason, download);
    }

    /// The chip restarts into a mode that was decided before.
    pub(super) fn restart_into(&mut self, now: Nanos, reason: ResetReason, download: bool) {
        self.halt(now, super::flashing::Interruption::Reset);
        self.resets += 1;
        self.baud = ROM_BAUD;
        self.mode = Mode::Booting;
        self.boot = Some((
            self.after(now, ROM_START),
            BootStep::Rom { reason, download },
        ));
    }

    /// The loader leaves once its last answer is on its way.
    pub(super) fn leave_loader(&mut self, reset: bool) {
        self.mode = Mode::Booting;
        self.boot = Some((
            self.outbound.free_at().max(self.now),
            BootStep::Leave { reset },
        ));
    }

    /// A boot's pauses exist only where bytes take time too.
    fn after(&self, now: Nanos, pause: Nanos) -> Nanos {
        match self.config.wire {
            Wire::On => now.saturating_add(pause),
            Wire::Off => now,
        }
    }

    /// Does the step that is due.
    pub(super) fn boot_step(&mut self, now: Nanos, step: BootStep) {
        self.boot = None;
        match step {
            BootStep::Rom { reason, download } => self.rom_speaks(now, reason, download),
            BootStep::Bootloader(finding) => self.bootloader_speaks(now, &finding),
            BootStep::InPlace(work) => self.in_place_step(now, *work),
            BootStep::Application => self.start_application(now),
            BootStep::Again => self.restart_into(now, ResetReason::Watchdog, false),
            BootStep::Leave { reset: true } => self.restart(now, ResetReason::Software),
            BootStep::Leave { reset: false } => {
                self.restart_into(now, ResetReason::Software, false);
            }
        }
    }

    fn rom_speaks(&mut self, now: Nanos, reason: ResetReason, download: bool) {
        let chip = self.config.chip;
        let waits = download && !self.download_is_disabled();
        self.say(
            now,
            boot::rom_log(chip, reason, download, waits).into_bytes(),
        );
        if download && self.download_is_disabled() {
            self.say(now, boot::download_disabled_log(chip).as_bytes().to_vec());
            self.mode = Mode::BootFailed;
            return;
        }
        if download {
            self.mode = Mode::Rom;
            return;
        }
        let (finding, revoked) = self.look_for_application();
        self.revoke(&revoked);
        self.say(now, boot::verdict_log(&finding).into_bytes());
        if matches!(finding, Finding::NoBootloader(_) | Finding::Untrusted) {
            self.fail(now);
            return;
        }
        let next = self.after(self.outbound.free_at().max(now), LOADER_START);
        self.boot = Some((next, BootStep::Bootloader(finding)));
    }

    /// What the boot leads to, and the digest slots it revokes on the way.
    fn look_for_application(&self) -> (Finding, Vec<usize>) {
        let decrypted = self.decrypted_flash();
        let flash = decrypted.as_ref().unwrap_or(&self.flash);
        let finding = boot::examine(flash, self.config.chip, self.config.revision);
        if matches!(finding, Finding::NoBootloader(_)) {
            return (finding, Vec::new());
        }
        if let Err(revoked) = self.trusts(flash, self.spec.bootloader_offset) {
            return (Finding::Untrusted, revoked);
        }
        if !self.trusts_digest(flash) {
            return (Finding::Untrusted, Vec::new());
        }
        match finding {
            Finding::Application { bootloader, at } => match self.trusts(flash, at) {
                Ok(()) => (Finding::Application { bootloader, at }, Vec::new()),
                Err(revoked) => {
                    let reason = "its signature is not trusted".to_owned();
                    let bad = Finding::BadApplication {
                        bootloader,
                        at,
                        reason,
                    };
                    (bad, revoked)
                }
            },
            Finding::NoBootloader(_)
            | Finding::Untrusted
            | Finding::NoPartitionTable { .. }
            | Finding::NoApplication { .. }
            | Finding::BadApplication { .. } => (finding, Vec::new()),
        }
    }

    fn bootloader_speaks(&mut self, now: Nanos, finding: &Finding) {
        self.say(now, boot::bootloader_log(finding).into_bytes());
        let Finding::Application { .. } = finding else {
            self.fail(now);
            return;
        };
        if self.begin_in_place(now) {
            return;
        }
        if self.config.faults.never_boots {
            self.mode = Mode::BootFailed;
            return;
        }
        let next = self.after(self.outbound.free_at().max(now), APPLICATION_START);
        self.boot = Some((next, BootStep::Application));
    }

    /// Whether the fuses switch the loader off. An ESP32 has the fuse from revision 3 on.
    pub(super) fn download_is_disabled(&self) -> bool {
        let knows = self.config.chip != Chip::Esp32 || self.config.revision.major >= 3;
        knows && self.efuse.flag(FieldName::DisableDownload)
    }

    pub(super) fn fail(&mut self, now: Nanos) {
        self.mode = Mode::BootFailed;
        self.boot = Some((now.saturating_add(RETRY), BootStep::Again));
    }

    fn start_application(&mut self, now: Nanos) {
        let decrypted = self.decrypted_flash();
        let facts = BoardFacts {
            chip: self.config.chip,
            revision: self.config.revision,
            mac: self.efuse.image().mac(),
            flash: decrypted.as_ref().unwrap_or(&self.flash),
        };
        self.baud = self.application.baud();
        self.application.start(now, &facts);
        self.mode = Mode::Application;
    }
}
