//! A witness that remembers, wishes every chip can fulfil, and looks behind the registers.

use async_trait::async_trait;
use station_esp::Chip;
use station_esp::efuse::plan::{
    BlockWish, BurnPlan, FieldValue, FieldWish, KeyWish, PulseRecord, Slot, Snapshot, Wish,
};
use station_esp::secret::Secret;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::{Faults, FuseFaults};
use station_virtual::{Control, ResetTo, VirtualChip};

use crate::efuse::{BurnError, BurnWitness, Burned, PulseResult, PulseVerdict};
use crate::session::tests::rig::{Bay, board, rom_only};
use crate::session::{ConnectOptions, Session};

/// Keeps in mind what it was told, and says no where it is told to.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(super) intents: Vec<PulseRecord>,
    pub(super) results: Vec<PulseResult>,
    /// What happened in which order: `intended 1`, `finished 1 done`.
    pub(super) told: Vec<String>,
    /// The pulse that must not be burned.
    pub(super) refuses: Option<u16>,
    /// The pulse whose result is not kept.
    pub(super) forgets: Option<u16>,
    /// What happens in the bay once this pulse is over.
    pub(super) meddles: Option<(u16, Control, Mischief)>,
}

/// What happens to a chip behind everybody's back.
pub(super) enum Mischief {
    /// A fuse of block 0 is burned.
    Burn,
    /// It is reset, and its boot pin keeps it in download mode.
    Reset,
    /// Another board takes its place, in download mode too.
    Swap(Box<ChipConfig>),
}

impl Mischief {
    async fn happen(&self, control: &Control) {
        match self {
            Self::Burn => {
                let change = |chip: Option<&mut VirtualChip>| {
                    let fuses = chip.expect("a board is in the bay").efuse_mut();
                    fuses.edit(|image| image.block_mut(0)[3] ^= 1 << 30);
                };
                control.change(change).await.unwrap();
            }
            Self::Reset => control.reset(ResetTo::Bootloader).await.unwrap(),
            Self::Swap(config) => {
                let other = VirtualChip::new(ChipConfig::clone(config));
                control.insert(other, true).await.unwrap();
            }
        }
    }
}

#[async_trait]
impl BurnWitness for Recorder {
    async fn intended(&mut self, pulse: &PulseRecord) -> Result<(), String> {
        if self.refuses == Some(pulse.number) {
            return Err("not this one".into());
        }
        self.told.push(format!("intended {}", pulse.number));
        self.intents.push(pulse.clone());
        Ok(())
    }

    async fn finished(&mut self, pulse: &PulseRecord, result: &PulseResult) -> Result<(), String> {
        if self.forgets == Some(pulse.number) {
            return Err("the disk is full".into());
        }
        let word = result.verdict.word();
        self.told.push(format!("finished {} {word}", pulse.number));
        self.results.push(result.clone());
        if let Some((number, control, mischief)) = &self.meddles
            && *number == pulse.number
        {
            mischief.happen(control).await;
        }
        Ok(())
    }
}

pub(super) const KEY: [u8; 32] = {
    let mut key = [0; 32];
    let mut at = 0;
    while at < 32 {
        key[at] = 0xA1 ^ (at as u8).wrapping_mul(37);
        at += 1;
    }
    key
};

pub(crate) fn field(name: &str, value: u64) -> Wish {
    Wish {
        fields: vec![FieldWish {
            field: name.into(),
            value: FieldValue::Number(value),
        }],
        ..Wish::default()
    }
}

/// A harmless field of one bit.
pub(super) fn harmless(chip: Chip) -> Wish {
    let name = if chip == Chip::Esp32 {
        "JTAG_DISABLE"
    } else if chip == Chip::Esp32C2 {
        "DIS_PAD_JTAG"
    } else {
        "DIS_FORCE_DOWNLOAD"
    };
    field(name, 1)
}

/// Data of the product's own, where there is a block for it.
pub(super) fn user_data(chip: Chip) -> Option<Wish> {
    let block = if chip == Chip::Esp32 {
        "BLOCK3"
    } else {
        "BLOCK_USR_DATA"
    };
    let data = Wish {
        blocks: vec![BlockWish {
            block: block.into(),
            offset: 0,
            bytes: Secret::new((1..=32).collect()),
        }],
        ..Wish::default()
    };
    (chip != Chip::Esp32C2).then_some(data)
}

/// The key of flash encryption, hidden and closed as it should be.
pub(super) fn key(chip: Chip) -> Wish {
    key_of(chip, &KEY)
}

/// A key of flash encryption of one's own.
pub(crate) fn key_of(chip: Chip, bytes: &[u8]) -> Wish {
    let (slot, purpose) = if chip == Chip::Esp32 {
        ("BLOCK1", "flash_encryption")
    } else {
        ("BLOCK_KEY0", "XTS_AES_128_KEY")
    };
    Wish {
        keys: vec![KeyWish {
            slot: Slot::Named(slot.into()),
            purpose: purpose.into(),
            key: Secret::new(bytes.to_vec()),
            read_protect: None,
            write_protect: None,
        }],
        ..Wish::default()
    }
}

/// Field, data and key in one.
pub(super) fn everything(chip: Chip) -> Wish {
    Wish {
        fields: harmless(chip).fields,
        blocks: user_data(chip).unwrap_or_default().blocks,
        ..key(chip)
    }
}

pub(super) fn with_fuse_faults(config: ChipConfig, fuses: FuseFaults) -> ChipConfig {
    let faults = Faults {
        fuses,
        ..config.faults.clone()
    };
    ChipConfig { faults, ..config }
}

/// Stub and ROM.
pub(super) fn both_loaders() -> [ConnectOptions; 2] {
    [ConnectOptions::default(), rom_only()]
}

pub(super) fn plan(snapshot: &Snapshot, wish: &Wish, earlier: &[PulseRecord]) -> BurnPlan {
    BurnPlan::make(snapshot, wish, earlier)
        .unwrap_or_else(|refusals| panic!("{}: {refusals}", snapshot.chip))
}

/// Plans and burns.
pub(crate) async fn burn(
    session: &mut Session,
    wish: &Wish,
    witness: &mut Recorder,
) -> Result<Burned, BurnError> {
    let snapshot = session.fuse_snapshot().await?;
    let plan = plan(&snapshot, wish, &[]);
    session.burn(&plan, witness).await
}

/// A board without faults, on which a wish is burned.
pub(super) async fn sound(chip: Chip, wish: &Wish) -> Bay {
    let bay = Bay::new(board(chip));
    let mut session = bay.session().await;
    let burned = burn(&mut session, wish, &mut Recorder::default()).await;
    burned.unwrap_or_else(|error| panic!("{chip}: {error}"));
    drop(session);
    bay
}

/// Whether all pulses were done at once.
pub(super) fn all_done(burned: &Burned) -> bool {
    let mut pulses = burned.pulses.iter();
    pulses.all(|pulse| pulse.verdict == PulseVerdict::Done && pulse.tries == 1)
}

/// Looks at the chip itself.
pub(super) async fn look<T: Send + 'static>(
    bay: &Bay,
    look: impl FnOnce(&VirtualChip) -> T + Send + 'static,
) -> T {
    let look = |chip: Option<&VirtualChip>| look(chip.expect("a board is in the bay"));
    bay.control.inspect(look).await.unwrap()
}

/// Every fuse of the chip, check words and hidden blocks included.
pub(super) async fn fuses(bay: &Bay) -> Vec<u32> {
    look(bay, |chip| chip.efuse().words()).await
}
