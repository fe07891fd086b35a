//! What the choice of an update slot must decide.

use super::*;
use proptest::prelude::*;

const TWO: Applications = Applications {
    factory: false,
    slots: 2,
};
const FACTORY_AND_TWO: Applications = Applications {
    factory: true,
    slots: 2,
};

fn record(sequence: u32, state: State) -> Record {
    Record {
        state,
        ..Record::of(sequence, [0xFF; 20])
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let sequence = prop_oneof![0u32..20, any::<u32>(), Just(u32::MAX), Just(u32::MAX - 1)];
    let state = prop_oneof![(0u32..6).prop_map(State::from_code), Just(State::Undefined)];
    (sequence, state, any::<bool>()).prop_map(|(sequence, state, good)| {
        let mut record = record(sequence, state);
        record.crc ^= u32::from(!good);
        record
    })
}

#[test]
fn the_crc_of_sequence_1_is_the_one_that_espressif_writes() {
    let mut data = OtaData::ERASED;
    data.set(0, 2, State::Undefined).unwrap();
    let bytes = data.to_bytes();
    assert_eq!(bytes[..4], [1, 0, 0, 0]);
    assert_eq!(bytes[28..32], 0x4743_989A_u32.to_le_bytes());
    assert!(
        bytes[4..28]
            .iter()
            .chain(&bytes[32..])
            .all(|byte| *byte == 0xFF)
    );
}

#[test]
fn an_erased_choice_starts_the_factory_application_or_the_first_slot() {
    assert_eq!(OtaData::ERASED.boot(FACTORY_AND_TWO), Boot::Factory);
    assert_eq!(OtaData::ERASED.boot(TWO), Boot::Slot(0));
    let mut broken = OtaData::ERASED;
    broken.records[0].sequence = 3;
    assert_eq!(broken.boot(TWO), Boot::First);
    assert_eq!(broken.boot(FACTORY_AND_TWO), Boot::Factory);
}

#[test]
fn every_choice_starts_and_leaves_the_one_before_to_go_back_to() {
    let mut data = OtaData::ERASED;
    for slot in [1, 0, 1, 1, 0] {
        data.set(slot, 2, State::New).unwrap();
        assert_eq!(data.boot(TWO), Boot::Slot(slot));
    }
    data.mark_valid().unwrap();
    data.set(1, 2, State::New).unwrap();
    data.roll_back(TWO).unwrap();
    assert_eq!(data.boot(TWO), Boot::Slot(0));
    assert_eq!(data.given_up(2), Some(1));
    assert_eq!(data.roll_back(TWO), Err(OtaDataError::NoEarlier));
    data.roll_back(FACTORY_AND_TWO).unwrap();
    assert_eq!(data.boot(FACTORY_AND_TWO), Boot::Factory);
    assert_eq!(data.mark_valid(), Err(OtaDataError::NotActive));
}

#[test]
fn an_application_that_never_says_it_works_is_given_up_at_the_second_start() {
    let mut data = OtaData::ERASED;
    data.set(0, 2, State::Valid).unwrap();
    data.set(1, 2, State::New).unwrap();
    let (boot, data) = data.start(TWO);
    assert_eq!(boot, Boot::Slot(1));
    assert_eq!(data.records[1].state, State::PendingVerify);
    let (boot, data) = data.start(TWO);
    assert_eq!(boot, Boot::Slot(0));
    assert_eq!(data.records[1].state, State::Aborted);
}

#[test]
fn of_two_equal_records_the_first_is_active() {
    let data = OtaData {
        records: [record(4, State::Valid); 2],
    };
    assert_eq!(data.active(), Some(0));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let mut data = OtaData::ERASED;
    let refused = data.set(2, 2, State::New).unwrap_err();
    assert_eq!(refused, OtaDataError::NoSlot { slot: 2, slots: 2 });
    assert_eq!(
        data.set(0, 0, State::New).unwrap_err().code(),
        "otadata-no-slot"
    );
    data.records[0] = record(u32::MAX - 1, State::Valid);
    assert_eq!(
        data.set(0, 2, State::New),
        Err(OtaDataError::Exhausted(u32::MAX - 1))
    );
    assert_eq!(OtaData::parse(&[0xFF; 32]), Err(OtaDataError::Length(32)));
}

proptest! {
    #[test]
    fn no_content_makes_anything_panic_and_records_survive(
        first in any_record(), second in any_record(), slot in 0u8..20, slots in 0u8..20,
        factory in any::<bool>(),
    ) {
        let before = OtaData { records: [first, second] };
        prop_assert_eq!(OtaData::parse(&before.to_bytes()), Ok(before));
        let applications = Applications { factory, slots };
        let _ = (before.start(applications), before.given_up(slots));
        let mut data = before;
        if data.set(slot, slots, State::New).is_ok() {
            prop_assert_eq!(data.active_slot(slots), Some(slot));
            prop_assert_eq!(data.boot(applications), Boot::Slot(slot));
            let changed = (0..2).filter(|at| data.records[*at] != before.records[*at]).count();
            prop_assert!(changed <= 1);
        }
        let mut data = before;
        if data.roll_back(applications).is_ok() {
            prop_assert_ne!(data.active(), before.active());
        }
    }
}
