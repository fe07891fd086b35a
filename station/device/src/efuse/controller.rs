//! The registers of an eFuse controller, through the loader.
//!
//! Invariants:
//! - An answer to READ_REG carries no checksum: a word counts when it is the one that is expected,
//!   or when two readings agree.
//! - Every wait for the controller has a deadline.
//! - Every register that a pulse depends on is read back before the command, which itself cannot be:
//!   where a link turns it into another one, the blocks that are read afterwards show it.
//! - Words that go into fuses leave no copy behind in what was sent or received.
//!
//! Source of the order of steps and the delay after READ: the eFuse controller chapters of the
//! technical reference manuals, and what espefuse 5.6 sends.

use std::collections::BTreeMap;
use std::time::Duration;

use station_esp::MacAddress;
use station_esp::chip::ChipSpec;
use station_esp::command::RegisterWrite;
use station_esp::efuse::map::{
    BlockErrors, Controller, ErrorRegisters, FuseBlock, FuseMap, Generation, RegisterBits,
};
use station_esp::efuse::plan::{CodingError, Pulse, Snapshot};
use tokio::time::{Instant, sleep};
use zeroize::{Zeroize, Zeroizing};

use crate::error::DeviceError;
use crate::loader::{Loader, is_transient};

/// Longest the controller may take for a command (espefuse waits as long).
const COMMAND: Duration = Duration::from_millis(250);
/// Pause between two looks at a controller that is busy.
const LOOK: Duration = Duration::from_millis(1);
/// The command bits that read 0 when the controller is idle.
const BUSY: u32 = 3;
/// How often in a row it must read idle: once is not to be trusted (erratum, espefuse).
const IDLE_LOOKS: u32 = 2;
/// Pause after the READ command, in microseconds.
const AFTER_READ_US: u32 = 1000;
/// Times the words of a pulse are sent until they arrive whole.
const LOADS: u32 = 4;
/// Times a write is sent that may be repeated.
const WRITES: u32 = 3;
/// Check words of a Reed-Solomon coded block.
const CHECK_WORDS: u32 = 3;

/// Words that may be a key.
pub(super) type Words = Zeroizing<Vec<u32>>;

/// Register writes that leave no trace.
struct Wiped(Vec<RegisterWrite>);

impl Drop for Wiped {
    fn drop(&mut self) {
        for write in &mut self.0 {
            write.value.zeroize();
        }
    }
}

/// The eFuse controller of one chip.
pub(super) struct Fuses<'a> {
    pub(super) loader: &'a mut Loader,
    pub(super) spec: &'static ChipSpec,
    pub(super) map: &'static FuseMap,
}

impl Fuses<'_> {
    fn controller(&self) -> &'static Controller {
        self.map.controller
    }

    /// Waits until the controller has nothing to do.
    pub(super) async fn idle(&mut self) -> Result<(), DeviceError> {
        let end = Instant::now() + COMMAND;
        let mut idle = 0;
        while idle < IDLE_LOOKS {
            let command = self.loader.read_register(self.controller().command).await?;
            if command & BUSY == 0 {
                idle += 1;
                continue;
            }
            idle = 0;
            if Instant::now() >= end {
                return Err(DeviceError::Timeout {
                    what: "the eFuse controller".into(),
                    after: COMMAND,
                });
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Has an idle controller read the fuses into the read registers. Where this switches the loader
    /// off, the error comes from here.
    pub(super) async fn refresh(&mut self) -> Result<(), DeviceError> {
        let controller = self.controller();
        self.write(vec![RegisterWrite::plain(
            controller.conf,
            Controller::READ_KEY,
        )])
        .await?;
        // The second write changes nothing: the loader waits before it.
        let pause = RegisterWrite {
            address: self.spec.uart.date,
            value: 0,
            mask: 0,
            delay_us: AFTER_READ_US,
        };
        self.write(vec![
            RegisterWrite::plain(controller.command, Controller::READ),
            pause,
        ])
        .await?;
        self.idle().await
    }

    /// Makes ready to program: no watchdog breaks the pulse off and the timing stands as it must,
    /// which a reset since the last pulse would have undone. Says no when the chip that answers is
    /// another one: a board can be swapped in the middle of a plan, and a blank block looks the same
    /// on both.
    pub(super) async fn ready(
        &mut self,
        planned: &Snapshot,
        timing: &[RegisterBits],
    ) -> Result<bool, DeviceError> {
        let mut words = [0; 2];
        for (word, address) in words.iter_mut().zip(self.spec.efuse.mac) {
            let expected = planned.fuses.word(address).unwrap_or(0);
            *word = self.word(address, expected).await?;
        }
        let [low, high] = words;
        if MacAddress::from_words(low, high) != planned.mac {
            return Ok(false);
        }
        self.loader.stop_watchdogs(self.spec).await?;
        self.set_timing(timing).await?;
        Ok(true)
    }

    /// Sets what programming needs with this board's crystal.
    async fn set_timing(&mut self, bits: &[RegisterBits]) -> Result<(), DeviceError> {
        for bits in bits {
            let before = self.loader.read_register(bits.address).await?;
            if before & bits.mask == bits.value {
                continue;
            }
            let before = self.loader.read_register_surely(bits.address).await?;
            let wanted = before & !bits.mask | bits.value;
            self.write(vec![RegisterWrite::plain(bits.address, wanted)])
                .await?;
            let set = self.word(bits.address, wanted).await?;
            if set & bits.mask != wanted & bits.mask {
                return Err(DeviceError::Protocol {
                    what: "the timing of the eFuse controller".into(),
                    detail: format!("register 0x{:08x} does not take it", bits.address),
                });
            }
        }
        Ok(())
    }

    /// Brings a pulse's words, and nothing else, into the program registers. Says no when they do
    /// not arrive whole.
    pub(super) async fn load(
        &mut self,
        pulse: &Pulse,
        block: &FuseBlock,
    ) -> Result<bool, DeviceError> {
        let targets = self.targets(pulse, block);
        for attempt in 0..LOADS {
            self.idle().await?;
            self.clear().await?;
            self.idle().await?;
            let writes = targets
                .iter()
                .map(|&(address, word)| RegisterWrite::plain(address, word));
            if attempt % 2 == 0 {
                self.write(writes.collect()).await?;
            } else {
                // A loader that takes only the first of several.
                for write in writes {
                    self.write(vec![write]).await?;
                }
            }
            if self.holds(&targets).await? {
                return Ok(true);
            }
        }
        self.clear().await?;
        Ok(false)
    }

    /// Whether the program registers hold exactly this.
    async fn holds(&mut self, targets: &[(u32, u32)]) -> Result<bool, DeviceError> {
        let others = self.program_registers();
        let others = others
            .into_iter()
            .filter(|address| !targets.iter().any(|(target, _)| target == address))
            .map(|address| (address, 0));
        for (address, wanted) in targets.iter().copied().chain(others) {
            if self.word(address, wanted).await? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Which register gets which word of a pulse.
    fn targets(&self, pulse: &Pulse, block: &FuseBlock) -> Zeroizing<Vec<(u32, u32)>> {
        let controller = self.controller();
        let start = match controller.generation {
            Generation::First => block.write,
            Generation::ReedSolomon => controller.program,
        };
        let most = self.map.program_words(block);
        let data = addressed(start, pulse.words.expose()).take(most.into());
        let check = pulse.check.iter().flat_map(|check| {
            addressed(controller.check, check.expose()).take(CHECK_WORDS as usize)
        });
        Zeroizing::new(data.chain(check).collect())
    }

    /// Every register that a program command may burn.
    fn program_registers(&self) -> Vec<u32> {
        let controller = self.controller();
        let row = |start: u32, count: u32| (0..count).map(move |word| start + word * 4);
        match controller.generation {
            Generation::First => self
                .map
                .blocks
                .iter()
                .flat_map(|block| row(block.write, block.words.into()))
                .collect(),
            Generation::ReedSolomon => row(controller.program, controller.program_words.into())
                .chain(row(controller.check, CHECK_WORDS))
                .collect(),
        }
    }

    /// Makes every program register zero.
    pub(super) async fn clear(&mut self) -> Result<(), DeviceError> {
        let writes = self.program_registers().into_iter();
        self.write(
            writes
                .map(|address| RegisterWrite::plain(address, 0))
                .collect(),
        )
        .await
    }

    /// Burns what stands in the program registers, and waits for the end of it.
    pub(super) async fn program(&mut self, block: &FuseBlock) -> Result<(), DeviceError> {
        let controller = self.controller();
        let command = match controller.generation {
            Generation::First => RegisterWrite::plain(controller.command, Controller::PROGRAM),
            Generation::ReedSolomon => self.aimed_at(block).await?,
        };
        self.write(vec![RegisterWrite::plain(
            controller.conf,
            Controller::PROGRAM_KEY,
        )])
        .await?;
        if self.word(controller.conf, Controller::PROGRAM_KEY).await? != Controller::PROGRAM_KEY {
            return Err(DeviceError::Protocol {
                what: "enabling the eFuse controller".into(),
                detail: "its configuration register does not take the key".into(),
            });
        }
        self.loader.write_registers_wiped(vec![command]).await?;
        self.idle().await
    }

    /// Puts the block's number into the command register and returns the write that starts its
    /// pulse. A register write carries no checksum: a number that was read back cannot be another
    /// block's, and a write that changes nothing but the start bit cannot make it one.
    async fn aimed_at(&mut self, block: &FuseBlock) -> Result<RegisterWrite, DeviceError> {
        let command = self.controller().command;
        let place = u32::from(block.number) << 2;
        self.write(vec![RegisterWrite::plain(command, place)])
            .await?;
        let start = RegisterWrite::plain(command, place | Controller::PROGRAM);
        if self.word(command, place).await? & Controller::BLOCK_NUMBER != place {
            // A controller that does not keep the number gets it with the start bit, as every other
            // tool sends it.
            return Ok(start);
        }
        Ok(RegisterWrite {
            mask: Controller::PROGRAM,
            ..start
        })
    }

    /// What a block reads; `expected` is believed at once, anything else after a second reading.
    pub(super) async fn block(
        &mut self,
        block: &FuseBlock,
        expected: &[u32],
    ) -> Result<Words, DeviceError> {
        let mut words = Words::new(Vec::with_capacity(block.words.into()));
        for index in 0..block.words {
            let address = block.read + u32::from(index) * 4;
            words.push(match expected.get(usize::from(index)) {
                Some(&expected) => self.word(address, expected).await?,
                None => self.loader.read_register_surely(address).await?,
            });
        }
        Ok(words)
    }

    /// What the coding of all blocks reports; `three_quarters` is whether an ESP32 uses that
    /// scheme, without which its decoder's status means nothing.
    pub(super) async fn errors(
        &mut self,
        three_quarters: bool,
    ) -> Result<Vec<CodingError>, DeviceError> {
        let mut errors = Vec::new();
        match &self.controller().errors {
            ErrorRegisters::Decoder { address, mask } => {
                let status = self.word(*address, 0).await? & mask;
                if three_quarters {
                    errors.extend(groups(status));
                }
            }
            ErrorRegisters::PerBlock { repeat, blocks } => {
                let mut wrong = 0;
                for address in *repeat {
                    wrong += self.word(*address, 0).await?.count_ones();
                }
                if wrong > 0 {
                    errors.push(CodingError {
                        block: 0,
                        count: wrong,
                        failed: false,
                    });
                }
                let statuses = self.statuses(blocks).await?;
                errors.extend(
                    blocks
                        .iter()
                        .filter_map(|report| reported(report, &statuses)),
                );
            }
        }
        Ok(errors)
    }

    /// The registers in which coded blocks report.
    async fn statuses(
        &mut self,
        blocks: &[BlockErrors],
    ) -> Result<BTreeMap<u32, u32>, DeviceError> {
        let mut statuses = BTreeMap::new();
        for report in blocks {
            for address in [Some(report.address), report.fail_bit.map(|bit| bit.address)] {
                if let Some(address) = address
                    && !statuses.contains_key(&address)
                {
                    statuses.insert(address, self.word(address, 0).await?);
                }
            }
        }
        Ok(statuses)
    }

    /// A register that is believed when it reads `expected`, and otherwise when it reads the same
    /// twice in a row.
    pub(super) async fn word(&mut self, address: u32, expected: u32) -> Result<u32, DeviceError> {
        let value = self.loader.read_register(address).await?;
        if value == expected {
            return Ok(value);
        }
        self.loader.read_register_surely(address).await
    }

    /// Writes what may be written more than once, again where the link spoils it.
    async fn write(&mut self, writes: Vec<RegisterWrite>) -> Result<(), DeviceError> {
        let writes = Wiped(writes);
        let mut tries = 1;
        loop {
            match self.loader.write_registers_wiped(writes.0.clone()).await {
                Err(error) if tries < WRITES && is_transient(&error) => tries += 1,
                result => return result,
            }
        }
    }
}

/// ESP32: twelve bits, one for each group of eight bytes of blocks 1 to 3.
fn groups(status: u32) -> impl Iterator<Item = CodingError> {
    let counted = (1..=3u8).map(move |block| CodingError {
        block,
        count: (status >> ((block - 1) * 4) & 0xF).count_ones(),
        failed: false,
    });
    counted.filter(|error| error.count > 0)
}

/// What a coded block reports, if it is an error.
fn reported(report: &BlockErrors, statuses: &BTreeMap<u32, u32>) -> Option<CodingError> {
    let status = |address: u32| statuses.get(&address).copied().unwrap_or(0);
    let count = status(report.address) >> report.count_bit & BlockErrors::COUNT_MASK;
    let failed = report
        .fail_bit
        .is_some_and(|fail| status(fail.address) >> fail.bit & 1 == 1);
    (count > 0 || failed).then_some(CodingError {
        block: report.block,
        count,
        failed,
    })
}

/// Words and the registers from `start` on.
fn addressed(start: u32, bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let words = bytes.as_chunks::<4>().0.iter();
    (0u32..)
        .zip(words)
        .map(move |(index, word)| (start + index * 4, u32::from_le_bytes(*word)))
}
