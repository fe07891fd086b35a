//! Drawing up a plan, and what is impossible once it is burned.

use crate::efuse::map::FuseMap;

use super::bits::Bits;
use super::draft::Draft;
use super::guards::{self, WR_DIS};
use super::rules::{CRYPT_COUNT, DOWNLOAD};
use super::{BurnPlan, Pulse, PulseRecord, Refusals, Snapshot, Wish};

impl BurnPlan {
    /// Draws up what is to be burned so that `snapshot` becomes what `wish` says.
    ///
    /// `earlier` are the records of all pulses ever intended on this unit, except those that are
    /// known not to have been burned. They are what lets an interrupted burn be repeated with the
    /// same content, and what proves that a hidden block holds the key that is wished.
    ///
    /// # Errors
    /// Every reason against it at once: what the chip cannot do, what it forbids by now, and what
    /// would destroy the product.
    pub fn make(
        snapshot: &Snapshot,
        wish: &Wish,
        earlier: &[PulseRecord],
    ) -> Result<Self, Refusals> {
        let mut draft = Draft::new(snapshot, wish, earlier);
        draft.check_chip();
        draft.translate();
        draft.place_keys();
        draft.read_protect_all();
        draft.check_contradictions();
        draft.check_blocks();
        draft.check_rules();
        if !draft.refusals.is_empty() {
            let mut refusals = draft.refusals;
            refusals.sort();
            refusals.dedup();
            return Err(Refusals(refusals));
        }
        let pulses = draft.pulses();
        let impossible = impossible(draft.map, &draft.now, &draft.end(), &pulses);
        let mut accepted = wish.accepted.clone();
        accepted.sort_unstable();
        accepted.dedup();
        Ok(Self {
            snapshot: snapshot.clone(),
            pulses,
            satisfied: draft.satisfied,
            warnings: draft.warnings,
            impossible,
            keys: draft.keys,
            accepted,
            content: wish.content.clone(),
        })
    }

    /// The map of its chip.
    #[must_use]
    pub fn map(&self) -> &'static FuseMap {
        self.snapshot.map()
    }
}

/// What nobody can do any more once the plan is burned.
fn impossible(map: &FuseMap, now: &Bits, end: &Bits, pulses: &[Pulse]) -> Vec<String> {
    let new = end.without(now);
    let sets = |name: &str| map.field(name).is_some_and(|field| new.touches(field));
    let mut lines = Vec::new();
    if pulses.iter().any(|pulse| !pulse.does.is_empty()) {
        lines.push("clearing any bit that is burned".to_owned());
    }
    for name in CRYPT_COUNT.iter().filter(|name| sets(name)) {
        let field = map.field(name);
        let full = field.is_some_and(|field| end.number(field).count_ones() == field.width());
        if full {
            lines.push("switching flash encryption off".to_owned());
        }
    }
    if sets("SECURE_BOOT_EN") || sets("ABS_DONE_1") {
        lines.push("starting a bootloader that none of the keys signed".to_owned());
    }
    if sets("ABS_DONE_0") {
        lines.push("starting a bootloader without a digest made with its key".to_owned());
    }
    if guards::guard_set(map, &new, WR_DIS, 0) {
        lines.push("hiding further keys, because RD_DIS is closed".to_owned());
    }
    if sets(DOWNLOAD[0]) {
        lines.push("reading flash, memory or fuses over the wire; burning fuses".to_owned());
    }
    if sets(DOWNLOAD[1]) || sets(DOWNLOAD[2]) {
        lines.push("any contact over the wire".to_owned());
    }
    let jtag = ["JTAG_DISABLE", "DIS_PAD_JTAG", "HARD_DIS_JTAG"];
    if jtag.iter().any(|name| sets(name)) {
        lines.push("debugging over the JTAG pins".to_owned());
    }
    lines
}
