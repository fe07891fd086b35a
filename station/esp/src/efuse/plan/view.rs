//! A plan as people and programs read it: words, a view without keys, a digest.
//!
//! Invariants: nothing here shows a key; the digest binds the chip, its state, every pulse and the
//! dangers accepted, so that an approval of one plan is none of another.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::chip::{Chip, MacAddress, Revision};
use crate::words::counted;

use super::token::sealed;
use super::{BurnPlan, Danger, KeyUse, Pulse, PulseRecord, ReadBack, Snapshot, Token};

/// A plan without its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanView {
    /// What an approval is bound to, in hex.
    pub digest: String,
    /// The chip.
    pub chip: Chip,
    /// Its silicon.
    pub revision: Revision,
    /// The unit.
    pub mac: MacAddress,
    /// Every programming command, in order.
    pub pulses: Vec<PulseView>,
    /// What is there already.
    pub satisfied: Vec<String>,
    /// What somebody should know before.
    pub warnings: Vec<String>,
    /// What nobody can do any more afterwards.
    pub impossible: Vec<String>,
    /// Where keys go.
    pub keys: Vec<KeyUse>,
    /// Dangers that were accepted.
    pub accepted: Vec<Danger>,
}

/// One programming command without its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PulseView {
    /// Its place, from 1.
    pub number: u16,
    /// The block.
    pub block: u8,
    /// The block's name.
    pub name: &'static str,
    /// What the block reads before.
    pub before: Token,
    /// What it must read afterwards.
    pub after: Token,
    /// What it does.
    pub does: Vec<String>,
    /// Whether the chip may stop answering.
    pub last_contact: bool,
}

impl BurnPlan {
    /// What an approval is bound to. Any change of the chip's state, of what is burned, or of what
    /// was accepted gives another digest.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let snapshot = &self.snapshot;
        let mut hash = Sha256::new().chain_update(b"station burn plan 1\0");
        hash.update(snapshot.chip.name());
        hash.update([0, snapshot.revision.major, snapshot.revision.minor]);
        hash.update(snapshot.mac.bytes());
        hash.update([snapshot.crystal_mhz]);
        for block in snapshot.map().blocks {
            hash.update(sealed(
                snapshot.mac,
                block.number,
                snapshot.fuses.block(block.number),
            ));
        }
        hash.update(length(snapshot.errors.len()));
        for error in &snapshot.errors {
            hash.update([error.block, u8::from(error.failed)]);
            hash.update(error.count.to_le_bytes());
        }
        hash.update(length(self.pulses.len()));
        for pulse in &self.pulses {
            hash.update(self.pulse_digest(pulse));
        }
        hash.update(length(self.accepted.len()));
        for danger in &self.accepted {
            hash.update(danger.name());
            hash.update([0]);
        }
        hash.update([self.content.encrypted as u8]);
        hash.update(length(self.content.signed_by.len()));
        for digest in &self.content.signed_by {
            hash.update(digest);
        }
        hash.update([u8::from(self.content.digested)]);
        hash.finalize().into()
    }

    /// The digest in hex.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        hex::encode(self.digest())
    }

    fn pulse_digest(&self, pulse: &Pulse) -> [u8; 32] {
        let check = pulse.check.as_ref().map_or(&[][..], |check| check.expose());
        let words = self.map().block(pulse.block).map_or(0, |block| block.words);
        Sha256::new()
            .chain_update([pulse.block, u8::from(pulse.last_contact)])
            .chain_update(pulse.number.to_le_bytes())
            .chain_update(length(pulse.words.len()))
            .chain_update(pulse.words.expose())
            .chain_update(length(check.len()))
            .chain_update(check)
            .chain_update(sealed(self.snapshot.mac, pulse.block, &pulse.before))
            .chain_update(sealed(
                self.snapshot.mac,
                pulse.block,
                &pulse.expected(words.into()),
            ))
            .finalize()
            .into()
    }

    /// What is written down about a pulse.
    #[must_use]
    pub fn record(&self, pulse: &Pulse) -> PulseRecord {
        self.record_under(&self.digest_hex(), pulse)
    }

    /// What is written down about every pulse, in their order.
    #[must_use]
    pub fn records(&self) -> Vec<PulseRecord> {
        let plan = self.digest_hex();
        let pulses = self.pulses.iter();
        pulses
            .map(|pulse| self.record_under(&plan, pulse))
            .collect()
    }

    fn record_under(&self, plan: &str, pulse: &Pulse) -> PulseRecord {
        PulseRecord {
            plan: plan.to_owned(),
            number: pulse.number,
            of: u16::try_from(self.pulses.len()).unwrap_or(u16::MAX),
            block: pulse.block,
            before: self.token(pulse.block, &pulse.before),
            after: match &pulse.after {
                ReadBack::Hidden => Token::Hidden,
                ReadBack::Words(_) | ReadBack::Secret(_) => {
                    let words = self.snapshot.fuses.block(pulse.block).len();
                    self.token(pulse.block, &pulse.expected(words))
                }
            },
            does: pulse.does.clone(),
            last_contact: pulse.last_contact,
        }
    }

    fn token(&self, block: u8, words: &[u32]) -> Token {
        let block = self.map().block(block);
        block.map_or(Token::Hidden, |block| {
            Token::of(self.snapshot.mac, block, words)
        })
    }

    /// The plan without its keys.
    #[must_use]
    pub fn view(&self) -> PlanView {
        let pulses = self.pulses.iter().zip(self.records());
        PlanView {
            digest: self.digest_hex(),
            chip: self.snapshot.chip,
            revision: self.snapshot.revision,
            mac: self.snapshot.mac,
            pulses: pulses
                .map(|(pulse, record)| PulseView {
                    number: pulse.number,
                    block: pulse.block,
                    name: self.map().block(pulse.block).map_or("", |block| block.name),
                    before: record.before,
                    after: record.after,
                    does: record.does,
                    last_contact: pulse.last_contact,
                })
                .collect(),
            satisfied: self.satisfied.clone(),
            warnings: self.warnings.clone(),
            impossible: self.impossible.clone(),
            keys: self.keys.clone(),
            accepted: self.accepted.clone(),
        }
    }

    /// The plan in words, for whoever confirms it.
    #[must_use]
    pub fn describe(&self) -> String {
        let view = self.view();
        let mut text = String::new();
        self.describe_into(&view, &mut text)
            .map_or_else(|_| String::new(), |()| text)
    }

    fn describe_into(&self, view: &PlanView, text: &mut String) -> std::fmt::Result {
        let title = view.chip.title();
        writeln!(text, "{title} revision {}, MAC {}", view.revision, view.mac)?;
        if view.pulses.is_empty() {
            writeln!(text, "Nothing is left to burn.")?;
        } else {
            let pulses = counted(view.pulses.len(), "pulse");
            let burn = if view.pulses.len() == 1 {
                "it burns"
            } else {
                "they burn"
            };
            writeln!(text, "{pulses}. What {burn} cannot be undone.")?;
        }
        for pulse in &view.pulses {
            writeln!(
                text,
                "\n{}. block {} `{}`",
                pulse.number, pulse.block, pulse.name
            )?;
            for line in &pulse.does {
                writeln!(text, "   {line}")?;
            }
            writeln!(text, "   before {}", pulse.before)?;
            writeln!(text, "   after  {}", pulse.after)?;
            if pulse.last_contact {
                writeln!(
                    text,
                    "   the chip may stop answering here, which is no failure"
                )?;
            }
        }
        let key = |key: &KeyUse| {
            let seen = if key.hidden { "hidden" } else { "readable" };
            let there = if key.present { ", there already" } else { "" };
            format!(
                "block {} for `{}`, key {}, {seen}{there}",
                key.block, key.purpose, key.fingerprint
            )
        };
        let keys: Vec<String> = view.keys.iter().map(key).collect();
        let accepted: Vec<String> = view.accepted.iter().map(|one| format!("`{one}`")).collect();
        let parts = [
            ("Keys", &keys),
            ("There already", &view.satisfied),
            ("Afterwards impossible", &view.impossible),
            ("Take note", &view.warnings),
            ("Accepted dangers", &accepted),
        ];
        for (heading, lines) in parts {
            if !lines.is_empty() {
                writeln!(text, "\n{heading}:")?;
            }
            for line in lines {
                writeln!(text, "   {line}")?;
            }
        }
        writeln!(text, "\nPlan {}", view.digest)
    }
}

impl Pulse {
    /// The `words` words the block must read after this pulse. They may be a key.
    #[must_use]
    pub fn expected(&self, words: usize) -> Vec<u32> {
        match &self.after {
            ReadBack::Words(after) => after.clone(),
            ReadBack::Secret(secret) => {
                let (chunks, _) = secret.expose().as_chunks::<4>();
                chunks
                    .iter()
                    .map(|word| u32::from_le_bytes(*word))
                    .collect()
            }
            ReadBack::Hidden => vec![0; words],
        }
    }
}

impl Snapshot {
    /// The token of a block as it reads.
    #[must_use]
    pub fn token(&self, block: u8) -> Token {
        match self.map().block(block) {
            Some(known) if !self.is_hidden(block) => {
                Token::of(self.mac, known, self.fuses.block(block))
            }
            Some(_) | None => Token::Hidden,
        }
    }
}

fn length(length: usize) -> [u8; 8] {
    (length as u64).to_le_bytes()
}
