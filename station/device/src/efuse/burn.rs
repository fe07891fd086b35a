//! Burning a plan.
//!
//! Invariants: nothing is written before the chip was found to be exactly as the plan knows it; the
//! pulses come in the plan's order, each after its witness; the first that does not end as planned
//! is the last.

use station_esp::efuse::map::{FuseBlock, FuseMap, RegisterBits};
use station_esp::efuse::plan::{BurnPlan, Pulse, PulseRecord, Snapshot, Token};
use station_esp::efuse::{self, EfuseImage, FieldName};

use super::controller::Fuses;
use super::error::BurnError;
use super::pulse::{Shot, Target};
use super::snapshot::is_three_quarters;
use super::witness::{BurnWitness, PulseResult, PulseVerdict};
use crate::error::DeviceError;
use crate::session::{Identity, Session};

/// The fields after which no loader can be reached at all.
const CLOSE_DOWNLOAD: [&str; 2] = ["DIS_DOWNLOAD_MODE", "UART_DOWNLOAD_DIS"];
/// The field after which only secure download mode is left.
const SECURE_DOWNLOAD: &str = "ENABLE_SECURITY_DOWNLOAD";

/// A plan that was burned to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burned {
    /// How each pulse ended, in the order of the plan: done or silent.
    pub pulses: Vec<PulseResult>,
    /// The fuses afterwards; `None` when the chip does not let them be read any more.
    pub after: Option<Snapshot>,
}

impl Session {
    /// Burns a plan, with ROM or stub. A plan without pulses burns nothing and is no error.
    ///
    /// Do not drop this future: a pulse that is broken off leaves its intent open, and only the
    /// chip can tell what became of it. Whoever must be able to stop does so between two pulses,
    /// through [`BurnWitness::intended`]. Everything in here ends by itself.
    ///
    /// # Errors
    /// See [`BurnError`]: each variant says what was burned.
    pub async fn burn(
        &mut self,
        plan: &BurnPlan,
        witness: &mut dyn BurnWitness,
    ) -> Result<Burned, BurnError> {
        let (mut fuses, identity) = self.fuses("burning eFuses")?;
        let burned = fuses.burn(plan, identity, witness).await;
        self.loader.wipe();
        let burned = burned?;
        self.remember(plan, burned.after.as_ref()).await;
        Ok(burned)
    }

    /// Keeps in mind what the chip has become.
    async fn remember(&mut self, plan: &BurnPlan, after: Option<&Snapshot>) {
        let map = plan.snapshot().map();
        let mut pulses = plan.pulses().iter();
        let secure = self.loader.is_secure()
            || pulses.any(|pulse| sets(map, pulse, &[SECURE_DOWNLOAD]))
            || after.is_some_and(|now| now.fuses.read(FieldName::SecureDownload) == Some(1));
        if after.is_some()
            && self.identity.security.is_some()
            && let Ok(Some(info)) = self.loader.security_info().await
        {
            self.identity.security = Some(info);
        }
        if let Some(after) = after {
            self.identity.fuses = Some(identity_words(&after.fuses));
        }
        if secure {
            self.loader.set_secure();
            self.identity.secure_download = true;
        }
    }
}

impl Fuses<'_> {
    async fn burn(
        &mut self,
        plan: &BurnPlan,
        identity: &Identity,
        witness: &mut dyn BurnWitness,
    ) -> Result<Burned, BurnError> {
        let timing = self.compare(plan, identity).await?;
        let mut pulses = Vec::with_capacity(plan.pulses().len());
        for (pulse, record) in plan.pulses().iter().zip(plan.records()) {
            pulses.push(self.pulse(plan, pulse, &record, timing, witness).await?);
        }
        let silent = pulses
            .iter()
            .any(|pulse| pulse.verdict == PulseVerdict::Silent);
        if silent {
            let after = None;
            return Ok(Burned { pulses, after });
        }
        // Every pulse was read back and is recorded: a link that fails now changes nothing.
        let after = self.snapshot(identity, None).await.ok();
        if let Some(after) = &after
            && let Some(what) = block_difference(&plan.result(), after)
        {
            return Err(BurnError::Unexpected { what });
        }
        Ok(Burned { pulses, after })
    }

    /// Makes sure that the plan is meant for this chip in this state, and finds its timing.
    async fn compare(
        &mut self,
        plan: &BurnPlan,
        identity: &Identity,
    ) -> Result<&'static [RegisterBits], BurnError> {
        let planned = plan.snapshot();
        let mhz = identity.crystal_mhz;
        let chip = self.spec.chip;
        if planned.chip != chip {
            return Err(changed(format!("it is {}", chip.title())));
        }
        let timing = self
            .map
            .controller
            .timing(mhz)
            .ok_or(BurnError::Crystal { chip, mhz })?;
        self.idle().await?;
        self.refresh().await?;
        let now = self.snapshot(identity, Some(planned)).await?;
        if let Some(what) = difference(planned, &now) {
            return Err(changed(what));
        }
        Ok(timing)
    }

    /// One pulse, from its intent to its record.
    async fn pulse(
        &mut self,
        plan: &BurnPlan,
        pulse: &Pulse,
        record: &PulseRecord,
        timing: &[RegisterBits],
        witness: &mut dyn BurnWitness,
    ) -> Result<PulseResult, BurnError> {
        let (number, of) = (record.number, record.of);
        let planned = plan.snapshot();
        let block = self.target_block(pulse)?;
        if !self.ready(planned, timing).await? {
            return Err(changed("it is another one".into()));
        }
        let words = self.block(block, &pulse.before).await?;
        if words[..] != pulse.before[..] {
            return Err(changed(format!("block {} ({})", block.number, block.name)));
        }
        let refused = |reason| BurnError::Refused {
            pulse: number,
            of,
            reason,
        };
        witness.intended(record).await.map_err(refused)?;
        let target = Target {
            pulse,
            block,
            planned,
            timing,
            three_quarters: is_three_quarters(&planned.fuses),
            closes_download: sets(self.map, pulse, &CLOSE_DOWNLOAD),
        };
        let interrupted = |error| BurnError::Interrupted {
            pulse: number,
            of,
            error,
        };
        let shot = self.fire(target).await.map_err(interrupted)?;
        let (result, error) = judge(shot, record, |words| Token::of(planned.mac, block, words));
        let not_recorded = |reason| BurnError::NotRecorded {
            pulse: number,
            of,
            reason,
        };
        witness
            .finished(record, &result)
            .await
            .map_err(not_recorded)?;
        match error {
            Some(error) => Err(error),
            None => Ok(result),
        }
    }

    /// The block of a pulse, if the pulse fits it.
    fn target_block(&self, pulse: &Pulse) -> Result<&'static FuseBlock, DeviceError> {
        let fits = |block: &&FuseBlock| {
            let room = usize::from(self.map.program_words(block)) * 4;
            let beyond = pulse.words.expose().iter().skip(room);
            pulse.before.len() == usize::from(block.words) && beyond.copied().all(|byte| byte == 0)
        };
        let block = self.map.block(pulse.block);
        block.filter(fits).ok_or_else(|| DeviceError::InvalidInput {
            what: format!("pulse {}", pulse.number),
            detail: format!("it does not fit block {} of the chip", pulse.block),
        })
    }
}

/// What is recorded of a pulse, and the error it ends the plan with.
fn judge(
    shot: Shot,
    record: &PulseRecord,
    token: impl Fn(&[u32]) -> Token,
) -> (PulseResult, Option<BurnError>) {
    let (pulse, of, block) = (record.number, record.of, record.block);
    let (verdict, tries, words, garbled) = match shot {
        Shot::Ended {
            verdict,
            tries,
            words,
        } => (verdict, tries, words, false),
        Shot::Garbled { words } => {
            let reason = "its words did not arrive whole in the chip's registers".to_owned();
            (PulseVerdict::Failed { reason }, 0, Some(words), true)
        }
    };
    let error = match &verdict {
        PulseVerdict::Done | PulseVerdict::Silent => None,
        PulseVerdict::Failed { reason } if garbled => Some(BurnError::Garbled {
            pulse,
            of,
            detail: reason.clone(),
        }),
        PulseVerdict::Failed { reason } => Some(BurnError::Failed {
            pulse,
            of,
            block,
            tries,
            reason: reason.clone(),
        }),
    };
    let after = match (&verdict, words) {
        // As the plan has it, be it hidden or read.
        (PulseVerdict::Done | PulseVerdict::Silent, _) | (_, None) => record.after.clone(),
        (PulseVerdict::Failed { .. }, Some(words)) => token(&words),
    };
    let result = PulseResult {
        verdict,
        tries,
        before: record.before.clone(),
        after,
    };
    (result, error)
}

/// The words that an identity keeps: none of them is of a block for keys.
fn identity_words(fuses: &EfuseImage) -> EfuseImage {
    let mut kept = EfuseImage::new(fuses.chip());
    for address in efuse::identity_addresses(fuses.chip()) {
        kept.set_word(address, fuses.word(address).unwrap_or(0));
    }
    kept
}

fn changed(what: String) -> BurnError {
    BurnError::ChipChanged { what }
}

/// Where two snapshots differ, without any value.
fn difference(planned: &Snapshot, now: &Snapshot) -> Option<String> {
    if planned.mac != now.mac {
        return Some(format!("it is {} and not {}", now.mac, planned.mac));
    }
    if planned.revision != now.revision {
        return Some(format!("it is of revision {}", now.revision));
    }
    if planned.crystal_mhz != now.crystal_mhz {
        return Some(format!("its crystal has {} MHz", now.crystal_mhz));
    }
    let errors = || (planned.errors != now.errors).then(|| "its coding errors".to_owned());
    block_difference(&planned.fuses, now).or_else(errors)
}

/// The first block that is different, by name.
fn block_difference(planned: &EfuseImage, now: &Snapshot) -> Option<String> {
    let mut blocks = now.map().blocks.iter();
    let different =
        |block: &&FuseBlock| planned.block(block.number) != now.fuses.block(block.number);
    blocks
        .find(different)
        .map(|block| format!("block {} ({})", block.number, block.name))
}

/// Whether a pulse sets any bit of these fields.
fn sets(map: &FuseMap, pulse: &Pulse, names: &[&str]) -> bool {
    let bytes = pulse.words.expose();
    let is_set = |bit: u16| {
        let byte = bytes.get(usize::from(bit / 8)).copied().unwrap_or(0);
        byte >> (bit % 8) & 1 == 1
    };
    names
        .iter()
        .filter_map(|name| map.field(name))
        .flat_map(|field| field.parts)
        .filter(|part| part.block == pulse.block)
        .any(|part| (part.bit..part.bit + part.width).any(is_set))
}
