//! Verdicts, one situation each; the properties of plans try the rest.

use super::*;
use crate::chip::{Chip, Revision};
use crate::efuse::plan::tests::wishes::{blank, daring};
use crate::efuse::plan::{BurnPlan, CodingError, FuseModel, KeyWish, Slot, Wish};
use crate::secret::Secret;

fn wish() -> Wish {
    let mut wish = daring();
    wish.keys.push(KeyWish {
        slot: Slot::Named("BLOCK_KEY0".to_owned()),
        purpose: "HMAC_UP".to_owned(),
        key: Secret::new((1..=32).collect()),
        read_protect: None,
        write_protect: None,
    });
    wish
}

fn s3() -> (Snapshot, BurnPlan) {
    let snapshot = blank(Chip::Esp32S3, Revision::new(0, 2));
    let plan = BurnPlan::make(&snapshot, &wish(), &[]).unwrap();
    (snapshot, plan)
}

fn burned(snapshot: &Snapshot, plan: &BurnPlan, pulses: usize) -> Snapshot {
    let mut model = FuseModel::of(snapshot);
    plan.pulses()[..pulses]
        .iter()
        .for_each(|pulse| model.burn(pulse));
    Snapshot {
        fuses: model.seen(),
        ..snapshot.clone()
    }
}

#[test]
fn a_key_that_was_read_back_is_done_even_when_nobody_can_read_it_any_more() {
    let (snapshot, plan) = s3();
    let now = burned(&snapshot, &plan, plan.pulses().len());
    assert!(now.is_hidden(4));
    let told = reconcile(&plan.records(), &now);
    assert!(
        told.iter().all(|one| one.verdict == Verdict::Done),
        "{told:?}"
    );
}

#[test]
fn a_key_that_others_hid_is_unclear() {
    let (snapshot, plan) = s3();
    let now = burned(&snapshot, &plan, plan.pulses().len());
    let told = reconcile(&plan.records()[..1], &now);
    assert!(
        matches!(told[0].verdict, Verdict::Unclear { .. }),
        "{told:?}"
    );
    let mut damaged = now;
    damaged.errors.push(CodingError {
        block: 4,
        count: 7,
        failed: true,
    });
    let told = reconcile(&plan.records(), &damaged);
    assert!(
        matches!(told[0].verdict, Verdict::Unclear { .. }),
        "{told:?}"
    );
}

#[test]
fn another_key_in_the_slot_is_unclear_and_a_damaged_one_partly_done() {
    let (snapshot, plan) = s3();
    let mut now = snapshot.clone();
    now.fuses.block_mut(4).fill(0x1234_5678);
    let told = reconcile(&plan.records()[..1], &now);
    assert!(
        matches!(told[0].verdict, Verdict::Unclear { .. }),
        "{told:?}"
    );
    now.errors.push(CodingError {
        block: 4,
        count: 7,
        failed: true,
    });
    let told = reconcile(&plan.records()[..1], &now);
    assert!(
        matches!(told[0].verdict, Verdict::Partly { .. }),
        "{told:?}"
    );
}

#[test]
fn a_key_that_reads_right_with_coding_errors_is_burned_again() {
    let (snapshot, plan) = s3();
    let mut now = burned(&snapshot, &plan, 1);
    now.errors.push(CodingError {
        block: 4,
        count: 1,
        failed: false,
    });
    let told = reconcile(&plan.records()[..1], &now);
    assert!(
        matches!(told[0].verdict, Verdict::Partly { .. }),
        "{told:?}"
    );
    let again = BurnPlan::make(&now, &wish(), &plan.records()[..1]).unwrap();
    assert_eq!(again.pulses()[0].words, plan.pulses()[0].words);
    assert_eq!(again.pulses()[0].check, plan.pulses()[0].check);
}

#[test]
fn bits_that_vanished_are_unclear() {
    let (snapshot, plan) = s3();
    let mut now = burned(&snapshot, &plan, 2);
    let record = plan.records()[2].clone();
    now.fuses.block_mut(0).fill(0);
    let told = reconcile(&[record], &now);
    assert!(
        matches!(told[0].verdict, Verdict::Unclear { .. }),
        "{told:?}"
    );
}

#[test]
fn a_record_of_another_shape_is_unclear_not_a_panic() {
    let (snapshot, plan) = s3();
    let mut record = plan.records()[1].clone();
    record.after = Token::Words(vec![1]);
    let told = reconcile(&[record.clone()], &snapshot);
    assert!(
        matches!(told[0].verdict, Verdict::Unclear { .. }),
        "{told:?}"
    );
    record.block = 200;
    let told = reconcile(&[record], &snapshot);
    assert!(
        matches!(told[0].verdict, Verdict::Unclear { .. }),
        "{told:?}"
    );
}

#[test]
fn a_chip_in_secure_download_mode_proves_the_pulse_that_put_it_there() {
    let (_, plan) = s3();
    let mut records = plan.records();
    records.last_mut().unwrap().last_contact = true;
    let mut info = SecurityInfo {
        flags: SecurityFlag::SecureDownload.mask(),
        flash_crypt_cnt: 0,
        key_purposes: [0; 7],
        chip_id: Some(9),
        api_version: Some(0),
    };
    let told = reconcile_closed(&records, &info);
    assert!(
        told.iter().all(|one| one.verdict == Verdict::Done),
        "{told:?}"
    );
    let told = reconcile_closed(&records[..1], &info);
    assert!(matches!(told[0].verdict, Verdict::Unclear { .. }));
    info.flags = 0;
    let told = reconcile_closed(&records, &info);
    assert!(
        told.iter()
            .all(|one| matches!(one.verdict, Verdict::Unclear { .. }))
    );
}

#[test]
fn tokens_and_verdicts_come_back_from_text() {
    let (_, plan) = s3();
    for record in plan.records() {
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<PulseRecord>(&text).unwrap(), record);
    }
    for text in ["w:1", "w:", "s:00", "x", "w:00000000,", "w:+0000001"] {
        assert!(text.parse::<Token>().is_err(), "{text}");
    }
    let verdict = Verdict::Partly {
        detail: "1 of 2".to_owned(),
    };
    let text = serde_json::to_string(&verdict).unwrap();
    assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
}
