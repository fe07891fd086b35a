//! The controller's registers: commands, keys, what was read last, and where errors stand.
//!
//! Invariants: a command without its key, or while another runs, does nothing; protections hold as
//! they were read last; data and timing registers keep what was written until the reset; the read
//! registers change with the READ command and the reset alone.

use std::collections::BTreeMap;
use std::fmt;

use station_esp::efuse::EfuseImage;
use station_esp::efuse::map::{
    Coding, Controller, ErrorRegisters, FuseMap, Generation, ReadDisable,
};

use super::cells::{Cells, Words, bits_of, clear, ones};
use crate::fault::PulseMoment;
use crate::wire::Nanos;

/// How long the fuses take to burn and to be read, roughly as on real chips.
const PULSE: Nanos = 300_000;
const READ: Nanos = 60_000;
/// Pulses that the log remembers.
const MOST_LOGGED: usize = 4096;
/// What the three bits of an error count show when the block cannot be corrected.
const HOPELESS: u32 = 7;

/// One block in one pulse, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burn {
    /// The pulse, counted from 1 over the life of the chip.
    pub pulse: u64,
    /// The block.
    pub block: u8,
    /// Bits that the registers asked for.
    pub asked: u32,
    /// Bits that were open to be burned and were not set yet.
    pub fresh: u32,
    /// Bits that were burned.
    pub burned: u32,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// The address is none of the controller's.
    Elsewhere,
    /// It was taken.
    Done,
    /// It started a pulse in which the supply fails.
    SupplyFails,
}

/// The pulse in which the supply fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) pulse: u64,
    pub(super) moment: PulseMoment,
}

/// A pulse that has not come to its end.
#[derive(Clone)]
struct UnderWay {
    ends: Nanos,
    before: Words,
}

/// Registers and fuses.
#[derive(Clone)]
pub(super) struct Registers {
    pub(super) map: &'static FuseMap,
    pub(super) cells: Cells,
    /// What the read registers hold.
    pub(super) loaded: EfuseImage,
    errors: BTreeMap<u32, u32>,
    written: BTreeMap<u32, u32>,
    repeat_errors: Vec<u16>,
    crystal_mhz: u8,
    /// How long a pulse and a read keep the command register busy.
    times: (Nanos, Nanos),
    busy: Option<(Nanos, u32)>,
    /// The block's number, which stays in the command register when the command is over.
    aim: u32,
    under_way: Option<UnderWay>,
    pub(super) pulses: u64,
    pub(super) cut: Option<Cut>,
    pub(super) log: Vec<Burn>,
}

impl fmt::Debug for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registers")
            .field("cells", &self.cells)
            .field("pulses", &self.pulses)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl Registers {
    /// A controller in front of these fuses. `timed` is whether commands take time, `busy_us` what
    /// a pulse takes instead of the ordinary.
    pub(super) fn new(map: &'static FuseMap, cells: Cells, crystal_mhz: u8) -> Self {
        let mut registers = Self {
            map,
            cells,
            loaded: EfuseImage::new(map.chip),
            errors: BTreeMap::new(),
            written: BTreeMap::new(),
            repeat_errors: Vec::new(),
            crystal_mhz,
            times: (0, 0),
            busy: None,
            aim: 0,
            under_way: None,
            pulses: 0,
            cut: None,
            log: Vec::new(),
        };
        registers.load();
        registers
    }

    /// Makes commands take their time, or `busy_us` microseconds a pulse.
    pub(super) fn set_times(&mut self, timed: bool, busy_us: Option<u32>) {
        let (pulse, read) = if timed { (PULSE, READ) } else { (0, 0) };
        self.times = (busy_us.map_or(pulse, |us| u64::from(us) * 1000), read);
    }

    /// Makes the repeat-error registers show these bits.
    pub(super) fn set_repeat_errors(&mut self, bits: Vec<u16>) {
        self.repeat_errors = bits;
        self.load();
    }

    /// Where a read register is: block and word.
    fn locate(&self, address: u32) -> Option<(u8, usize)> {
        self.map.blocks.iter().find_map(|block| {
            let offset = address.checked_sub(block.read)?;
            let inside = offset.is_multiple_of(4) && offset / 4 < u32::from(block.words);
            inside.then_some((block.number, offset as usize / 4))
        })
    }

    fn owns(&self, address: u32) -> bool {
        let controller = self.map.controller;
        let inside = address.checked_sub(controller.base);
        inside.is_some_and(|offset| offset < controller.window)
    }

    /// What the register at `address` answers at `now`, when it belongs to the controller.
    pub(super) fn read(&self, address: u32, now: Nanos) -> Option<u32> {
        if let Some((block, word)) = self.locate(address) {
            return self.loaded.block(block).get(word).copied();
        }
        if !self.owns(address) {
            return None;
        }
        if address == self.map.controller.command {
            let running = self.busy.filter(|(ends, _)| now < *ends);
            return Some(running.map_or(self.aim, |(_, value)| value));
        }
        let value = self
            .errors
            .get(&address)
            .or_else(|| self.written.get(&address));
        Some(value.copied().unwrap_or(0))
    }

    pub(super) fn write(&mut self, address: u32, value: u32, now: Nanos) -> Wrote {
        if !self.owns(address) {
            return Wrote::Elsewhere;
        }
        if self.locate(address).is_some() || self.errors.contains_key(&address) {
            return Wrote::Done;
        }
        if address == self.map.controller.command {
            return self.command(value, now);
        }
        // The window bounds the number of words.
        self.written.insert(address & !3, value);
        Wrote::Done
    }

    fn written(&self, address: u32) -> u32 {
        self.written.get(&address).copied().unwrap_or(0)
    }

    fn command(&mut self, value: u32, now: Nanos) -> Wrote {
        if self.busy.is_some_and(|(ends, _)| now < ends) {
            return Wrote::Done;
        }
        self.under_way = None;
        if self.map.controller.generation == Generation::ReedSolomon {
            self.aim = value & Controller::BLOCK_NUMBER;
        }
        let key = self.written(self.map.controller.conf);
        if value & Controller::PROGRAM != 0 && key == Controller::PROGRAM_KEY {
            self.busy = Some((now.saturating_add(self.times.0), value));
            return self.pulse(value, now);
        }
        if value & Controller::READ != 0 && key == Controller::READ_KEY {
            self.busy = Some((now.saturating_add(self.times.1), value));
            self.load();
        }
        Wrote::Done
    }

    /// The data registers of the blocks that a command burns; other blocks get zeros.
    fn asked(&self, command: u32) -> Words {
        let controller = self.map.controller;
        let chosen = command >> 2 & 0xF;
        let registers =
            |first: u32, count: usize| (0u32..).map(move |index| first + index * 4).take(count);
        let mut asked: Words = Vec::new();
        for (block, cells) in self.map.blocks.iter().zip(self.cells.words()) {
            let count = cells.len();
            let words: Vec<u32> = match (controller.generation, block.coding) {
                (Generation::First, _) => registers(block.write, count).collect(),
                (Generation::ReedSolomon, _) if chosen != u32::from(block.number) => Vec::new(),
                (Generation::ReedSolomon, Coding::ReedSolomon) => registers(controller.program, 8)
                    .chain(registers(controller.check, count - 8))
                    .collect(),
                (Generation::ReedSolomon, Coding::Plain | Coding::ByScheme) => {
                    registers(controller.program, count).collect()
                }
            };
            let mut words: Vec<u32> = words
                .into_iter()
                .map(|address| self.written(address))
                .collect();
            words.resize(count, 0);
            asked.push(words);
        }
        asked
    }

    /// Takes out what write protection forbids, as it was read last.
    fn open(&self, mut asked: Words) -> Words {
        let closed = self.write_disable();
        let is_closed = |bit: Option<u8>| bit.is_some_and(|bit| closed >> bit & 1 == 1);
        for (block, words) in self.map.blocks.iter().zip(&mut asked) {
            if is_closed(block.write_disable) {
                words.fill(0);
            }
        }
        if let Some(words) = asked.first_mut() {
            let fields = self.map.fields.iter();
            for field in fields.filter(|field| is_closed(field.write_disable)) {
                for part in field.parts.iter().filter(|part| part.block == 0) {
                    clear(words, *part);
                }
            }
        }
        asked
    }

    /// WR_DIS as it was read last.
    fn write_disable(&self) -> u64 {
        let field = self.map.field("WR_DIS");
        let part = field.and_then(|field| field.parts.first());
        part.map_or(0, |part| bits_of(self.loaded.block(part.block), *part))
    }

    /// Counts a pulse; when the supply fails in it, if it does.
    pub(super) fn count_pulse(&mut self) -> Option<PulseMoment> {
        self.pulses += 1;
        let cut = self.cut.filter(|cut| cut.pulse == self.pulses);
        cut.map(|cut| cut.moment)
    }

    fn pulse(&mut self, command: u32, now: Nanos) -> Wrote {
        let cut = self.count_pulse();
        let asked = self.asked(command);
        let open = self.open(asked.clone());
        let before = self.cells.words().clone();
        if cut != Some(PulseMoment::Before) {
            let sound = self.timing_is_right();
            self.cells.burn(&open, sound);
        }
        if cut == Some(PulseMoment::Partly) {
            self.cells.cut_short(&before);
        }
        self.remember(&asked, &open, &before);
        if cut.is_some() {
            self.busy = None;
            return Wrote::SupplyFails;
        }
        let ends = now.saturating_add(self.times.0);
        self.under_way = Some(UnderWay { ends, before });
        Wrote::Done
    }

    fn remember(&mut self, asked: &Words, open: &Words, before: &Words) {
        let everything = asked
            .iter()
            .zip(open)
            .zip(before.iter().zip(self.cells.words()));
        for (number, ((asked, open), (before, after))) in (0u8..).zip(everything) {
            let pairs = |a: &[u32], b: &[u32]| -> u32 {
                a.iter().zip(b).map(|(a, b)| (a & !b).count_ones()).sum()
            };
            if ones(asked) > 0 && self.log.len() < MOST_LOGGED {
                self.log.push(Burn {
                    pulse: self.pulses,
                    block: number,
                    asked: ones(asked),
                    fresh: pairs(open, before),
                    burned: pairs(after, before),
                });
            }
        }
    }

    /// Whether the timing registers are set as this crystal wants.
    fn timing_is_right(&self) -> bool {
        let wanted = self.map.controller.timing(self.crystal_mhz);
        wanted.is_some_and(|bits| {
            let mut set = bits.iter();
            set.all(|bits| self.written(bits.address) & bits.mask == bits.value)
        })
    }

    /// Reads the fuses into the read registers, and reports errors.
    pub(super) fn load(&mut self) {
        let hidden = self.cells.field("RD_DIS");
        let is_hidden = |bit: u8| hidden >> bit & 1 == 1;
        let sensed: Vec<_> = self
            .map
            .blocks
            .iter()
            .map(|b| self.cells.sense(b.number))
            .collect();
        for (block, sensed) in self.map.blocks.iter().zip(&sensed) {
            let words = self.loaded.block_mut(block.number);
            words.fill(0);
            for (place, word) in words.iter_mut().zip(&sensed.data) {
                *place = *word;
            }
            let half = words.len() / 2;
            match block.read_disable {
                ReadDisable::Never => {}
                ReadDisable::Whole(bit) if is_hidden(bit) => words.fill(0),
                ReadDisable::Whole(_) => {}
                ReadDisable::Halves(low, high) => {
                    if is_hidden(low) {
                        words[..half].fill(0);
                    }
                    if is_hidden(high) {
                        words[half..].fill(0);
                    }
                }
            }
        }
        for field in self.map.fields {
            // Halves are halves of a block, which is hidden above.
            if matches!(field.read_disable, ReadDisable::Whole(bit) if is_hidden(bit)) {
                for part in field.parts {
                    clear(self.loaded.block_mut(part.block), *part);
                }
            }
        }
        self.report(&sensed);
    }

    fn report(&mut self, sensed: &[super::cells::Sensed]) {
        self.errors.clear();
        match self.map.controller.errors {
            ErrorRegisters::Decoder { address, mask } => {
                let groups = sensed.iter().skip(1).rev();
                let status = groups.fold(0, |all, block| all << 4 | block.groups);
                self.errors.insert(address, status & mask);
            }
            ErrorRegisters::PerBlock { repeat, blocks } => {
                for (address, number) in repeat.iter().zip(0u16..) {
                    let bits = self.repeat_errors.iter().filter(|bit| **bit / 32 == number);
                    let value = bits.fold(0, |value, bit| value | 1 << (bit % 32));
                    self.errors.insert(*address, value);
                }
                for place in blocks {
                    let Some(sensed) = sensed.get(usize::from(place.block)) else {
                        continue;
                    };
                    let count = if sensed.failed {
                        HOPELESS
                    } else {
                        sensed.corrected.into()
                    };
                    let value = self.errors.entry(place.address).or_insert(0);
                    *value |= count << place.count_bit;
                    if let Some(fail) = place.fail_bit {
                        let value = self.errors.entry(fail.address).or_insert(0);
                        *value |= u32::from(sensed.failed) << fail.bit;
                    }
                }
            }
        }
    }

    /// Stops a pulse that has not come to its end at `now`: some of its fuses have burned.
    pub(super) fn interrupt(&mut self, now: Nanos) {
        if let Some(under_way) = self.under_way.take_if(|pulse| now < pulse.ends) {
            self.cells.cut_short(&under_way.before);
        }
        self.under_way = None;
    }

    /// What a reset leaves: fuses stay and are read again, registers do not.
    pub(super) fn reset(&mut self) {
        self.written.clear();
        self.aim = 0;
        self.busy = None;
        self.under_way = None;
        self.load();
    }

    /// Every register that shows fuses or errors, with what it holds.
    pub(super) fn shown(&self) -> Vec<(u32, u32)> {
        let blocks = self.map.blocks.iter().flat_map(|block| {
            let addresses = (0u32..).map(|index| block.read + index * 4);
            addresses.zip(self.loaded.block(block.number).iter().copied())
        });
        let errors = self
            .errors
            .iter()
            .map(|(address, value)| (*address, *value));
        blocks.chain(errors).collect()
    }
}
