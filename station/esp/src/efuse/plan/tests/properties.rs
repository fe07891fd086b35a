//! What holds for every chip and every legal wish.

use super::super::*;
use super::wishes::{Chance, blank, random, revisions};
use crate::efuse::map::{Coding, FieldKind};
use crate::efuse::reconcile::{Verdict, reconcile};

/// Calls `check` with every legal plan of many random wishes; says how many there were.
fn every_plan(cases: u64, mut check: impl FnMut(u64, &mut Chance, &Snapshot, &Wish, &BurnPlan)) {
    for chip in Chip::ALL {
        let (mut legal, mut asked) = (0, 0);
        for revision in revisions(chip) {
            for seed in 0..cases {
                let mut chance = Chance(seed * 64 + u64::from(revision.major));
                let snapshot = blank(chip, revision);
                let wish = random(&mut chance, &snapshot);
                asked += 1;
                if let Ok(plan) = BurnPlan::make(&snapshot, &wish, &[]) {
                    legal += 1;
                    check(seed, &mut chance, &snapshot, &wish, &plan);
                }
            }
        }
        assert!(
            legal * 5 >= asked,
            "{chip}: only {legal} of {asked} were legal"
        );
    }
}

fn after(snapshot: &Snapshot, model: &FuseModel) -> Snapshot {
    Snapshot {
        fuses: model.seen(),
        ..snapshot.clone()
    }
}

#[test]
fn every_pulse_finds_and_leaves_what_it_says() {
    every_plan(150, |seed, _, snapshot, _, plan| {
        let mut model = FuseModel::of(snapshot);
        for pulse in plan.pulses() {
            let chip = snapshot.chip;
            let seen = model.seen();
            assert_eq!(seen.block(pulse.block), pulse.before, "{chip} {seed}");
            model.burn(pulse);
            let seen = model.seen();
            let seen = seen.block(pulse.block);
            assert_eq!(seen, pulse.expected(seen.len()), "{chip} {seed} {pulse:?}");
        }
    });
}

#[test]
fn afterwards_every_wish_is_true_and_nothing_else_has_changed() {
    every_plan(150, |seed, _, snapshot, wish, plan| {
        let map = snapshot.map();
        let end = Bits::of(map, &{
            let mut model = FuseModel::of(snapshot);
            plan.pulses().iter().for_each(|pulse| model.burn(pulse));
            model.burned()
        });
        let mut explained = Bits::of(map, &snapshot.fuses);
        let mut explain = |name: &str| {
            let field = map.field(name).unwrap();
            Bits::places(field).for_each(|(block, bit)| {
                explained.set(block, bit);
            });
        };
        for one in &wish.fields {
            let field = map.field(&one.field).unwrap();
            explain(&one.field);
            let value = FieldValue::Number(end.number(field));
            assert_eq!(value, one.value, "{} {seed} {one:?}", snapshot.chip);
        }
        explain("WR_DIS");
        explain("RD_DIS");
        let custom = [
            "CUSTOM_MAC",
            "CUSTOM_MAC_CRC",
            "CUSTOM_MAC_USED",
            "MAC_VERSION",
        ];
        if wish.custom_mac.is_some() {
            custom
                .iter()
                .filter(|name| map.field(name).is_some())
                .for_each(|name| explain(name));
        }
        let voltage = [
            "XPD_SDIO_FORCE",
            "XPD_SDIO_REG",
            "XPD_SDIO_TIEH",
            "VDD_SPI_FORCE",
            "VDD_SPI_XPD",
            "VDD_SPI_TIEH",
            "XTS_KEY_LENGTH_256",
        ];
        voltage
            .iter()
            .filter(|name| map.field(name).is_some())
            .for_each(|name| explain(name));
        for key in plan.keys() {
            let block = map.block(key.block).unwrap();
            block.purpose.into_iter().for_each(&mut explain);
            explain(block.name);
        }
        for one in &wish.blocks {
            let block = map.block_named(&one.block).unwrap();
            explained.block_mut(block.number).fill(u32::MAX);
        }
        let rest = end.without(&explained);
        assert_eq!(rest, Bits::blank(map), "{} {seed}", snapshot.chip);
    });
}

#[test]
fn a_plan_for_what_is_done_is_empty() {
    every_plan(150, |seed, _, snapshot, wish, plan| {
        let mut model = FuseModel::of(snapshot);
        plan.pulses().iter().for_each(|pulse| model.burn(pulse));
        let again = BurnPlan::make(&after(snapshot, &model), wish, &plan.records());
        let again = again.unwrap_or_else(|why| panic!("{} {seed}: {why}", snapshot.chip));
        assert!(
            again.is_empty(),
            "{} {seed}: {}",
            snapshot.chip,
            again.describe()
        );
    });
}

#[test]
fn the_same_input_gives_the_same_digest_and_any_other_gives_another() {
    every_plan(60, |seed, _, snapshot, wish, plan| {
        let same = BurnPlan::make(snapshot, wish, &[]).unwrap();
        assert_eq!(same.digest(), plan.digest());
        let mut changed = Vec::new();
        let mut other = snapshot.clone();
        other.mac.0[5] ^= 1;
        other.fuses.set_mac(other.mac).unwrap();
        changed.push((other, wish.clone()));
        let mut other = snapshot.clone();
        other.revision.minor += 1;
        changed.push((other, wish.clone()));
        let mut other = snapshot.clone();
        let factory = if snapshot.chip == Chip::Esp32 { 0 } else { 1 };
        *other.fuses.block_mut(factory).last_mut().unwrap() ^= 1 << 28;
        changed.push((other, wish.clone()));
        let mut other = wish.clone();
        other.content.encrypted = ContentPlan::Written;
        changed.push((snapshot.clone(), other));
        let mut other = wish.clone();
        other.content.signed_by.push([7; 32]);
        changed.push((snapshot.clone(), other));
        for index in 0..wish.keys.len() {
            let mut other = wish.clone();
            let mut bytes = other.keys[index].key.expose().to_vec();
            bytes[3] ^= 0x80;
            other.keys[index].key = Secret::new(bytes);
            changed.push((snapshot.clone(), other));
        }
        for (number, (snapshot, wish)) in changed.iter().enumerate() {
            if let Ok(other) = BurnPlan::make(snapshot, wish, &[]) {
                assert_ne!(
                    other.digest(),
                    plan.digest(),
                    "{} {seed} {number}",
                    snapshot.chip
                );
            }
        }
    });
}

#[test]
fn a_burn_interrupted_anywhere_is_told_apart_and_ends_as_if_it_had_not_been() {
    every_plan(60, |seed, chance, snapshot, wish, plan| {
        let whole = {
            let mut model = FuseModel::of(snapshot);
            plan.pulses().iter().for_each(|pulse| model.burn(pulse));
            model
        };
        let records = plan.records();
        for cut in 0..plan.pulses().len() {
            let mut model = FuseModel::of(snapshot);
            plan.pulses()[..cut]
                .iter()
                .for_each(|pulse| model.burn(pulse));
            let pulse = &plan.pulses()[cut];
            let (part, share) = cut_short(chance, pulse);
            model.burn(&part);
            let mut now = after(snapshot, &model);
            let coded = snapshot.map().block(pulse.block).unwrap().coding == Coding::ReedSolomon;
            if coded && share == Share::Some {
                now.errors.push(CodingError {
                    block: pulse.block,
                    count: 7,
                    failed: true,
                });
            }
            let context = format!("{} {seed} pulse {}", snapshot.chip, cut + 1);
            let told = reconcile(&records[cut..=cut], &now);
            match share {
                Share::All => assert_eq!(told[0].verdict, Verdict::Done, "{context}"),
                Share::None => assert_eq!(told[0].verdict, Verdict::NotDone, "{context}"),
                Share::Some => {
                    let partly = matches!(told[0].verdict, Verdict::Partly { .. });
                    assert!(partly, "{context}: {:?}", told[0]);
                }
            }
            if plan.pulses()[..=cut].iter().any(|pulse| pulse.last_contact) {
                continue;
            }
            let rest = BurnPlan::make(&now, wish, &records[..=cut]);
            let rest = rest.unwrap_or_else(|why| panic!("{context}: {why}"));
            for pulse in rest.pulses() {
                model.burn(pulse);
            }
            assert!(
                model == whole,
                "{context}: another end than without the cut"
            );
        }
    });
}

#[derive(PartialEq, Eq, Clone, Copy, Debug)]
enum Share {
    None,
    Some,
    All,
}

/// A pulse that lost its power: none, some or all of its bits.
fn cut_short(chance: &mut Chance, pulse: &Pulse) -> (Pulse, Share) {
    let bytes = pulse.words.expose();
    let share = *chance.pick(&[Share::None, Share::Some, Share::All]);
    let kept: Vec<u8> = match share {
        Share::None => vec![0; bytes.len()],
        Share::All => bytes.to_vec(),
        Share::Some => bytes
            .iter()
            .map(|byte| byte & chance.next() as u8)
            .collect(),
    };
    let set = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
    let share = match set(&kept) {
        0 => Share::None,
        all if all == set(bytes) => Share::All,
        _ => Share::Some,
    };
    let cut = Pulse {
        words: Secret::new(kept),
        ..pulse.clone()
    };
    (cut, share)
}

#[test]
fn neither_records_nor_words_nor_debug_show_a_key() {
    every_plan(60, |seed, _, snapshot, wish, plan| {
        let json = serde_json::to_string(&plan.records()).unwrap();
        let view = serde_json::to_string(&plan.view()).unwrap();
        let shown = format!("{json}{view}{}{plan:?}", plan.describe()).to_lowercase();
        let refused = BurnPlan::make(
            snapshot,
            &Wish {
                accepted: Vec::new(),
                ..wish.clone()
            },
            &[],
        );
        let shown = format!("{shown}{refused:?}{wish:?}").to_lowercase();
        for key in &wish.keys {
            let mut reversed = key.key.expose().to_vec();
            for bytes in [key.key.expose().to_vec(), {
                reversed.reverse();
                reversed
            }] {
                for window in bytes.windows(4) {
                    let word = u32::from_le_bytes(window.try_into().unwrap());
                    let forms = [
                        hex::encode(window),
                        format!("{word:08x}"),
                        format!("{word}"),
                        format!("{}, {}, {}, {}", window[0], window[1], window[2], window[3]),
                    ];
                    for form in forms {
                        let found = shown.matches(&form).count();
                        assert_eq!(found, 0, "{} {seed}: `{form}`", snapshot.chip);
                    }
                }
            }
        }
    });
}

#[test]
fn what_ends_the_conversation_is_burned_last() {
    every_plan(150, |seed, _, snapshot, _, plan| {
        let last: Vec<_> = plan
            .pulses()
            .iter()
            .map(|pulse| pulse.last_contact)
            .collect();
        let before = last.split_last().map_or(&[][..], |(_, before)| before);
        assert!(!before.contains(&true), "{} {seed}", snapshot.chip);
        let blocks: Vec<_> = plan.pulses().iter().map(|pulse| pulse.block).collect();
        assert!(
            blocks.is_sorted_by(|one, next| one >= next),
            "{} {seed}",
            snapshot.chip
        );
        let purposes = snapshot.map().fields.iter();
        assert!(
            purposes
                .filter(|field| field.kind == FieldKind::Purpose)
                .count()
                <= 6
        );
    });
}
