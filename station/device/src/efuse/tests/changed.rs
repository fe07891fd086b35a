//! Plans that do not fit the chip, and witnesses that say no: nothing is burned.

use station_esp::Chip;
use station_esp::command::RegisterWrite;
use station_esp::efuse::map::fuse_map;
use station_esp::efuse::plan::BurnPlan;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::FuseFaults;

use super::rig::{
    Mischief, Recorder, all_done, burn, everything, field, fuses, harmless, plan, sound,
    with_fuse_faults,
};
use crate::FailureClass;
use crate::efuse::BurnError;
use crate::session::ConnectOptions;
use crate::session::tests::rig::{Bay, board, rom_only};

#[tokio::test(start_paused = true)]
async fn a_chip_that_changed_since_the_plan_was_made_is_not_burned() {
    for chip in [Chip::Esp32, Chip::Esp32C2, Chip::Esp32S3] {
        let bay = Bay::new(board(chip));
        let mut session = bay.session().await;
        let snapshot = session.fuse_snapshot().await.unwrap();
        let stale = plan(&snapshot, &everything(chip), &[]);
        burn(&mut session, &harmless(chip), &mut Recorder::default())
            .await
            .unwrap();
        let before = fuses(&bay).await;
        let mut witness = Recorder::default();
        let error = session.burn(&stale, &mut witness).await.unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("burn-chip-changed", FailureClass::Efuse)
        );
        assert!(error.to_string().contains("BLOCK0"), "{error}");
        assert!(witness.told.is_empty());
        assert_eq!(fuses(&bay).await, before, "{chip}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_for_another_unit_or_another_chip_is_not_burned() {
    let bay = Bay::new(board(Chip::Esp32C3));
    let other = ChipConfig::new(Chip::Esp32C3, 2, 7);
    let second = Bay::new(other);
    let third = Bay::new(board(Chip::Esp32C6));
    let snapshot = bay.session().await.fuse_snapshot().await.unwrap();
    let plan = plan(&snapshot, &harmless(Chip::Esp32C3), &[]);
    for bay in [second, third] {
        let before = fuses(&bay).await;
        let mut session = bay.session().await;
        let error = session
            .burn(&plan, &mut Recorder::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "burn-chip-changed");
        assert_eq!(fuses(&bay).await, before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crystal_the_controller_has_no_timing_for_is_refused() {
    // The plan refuses it already; the burner does not rely on that.
    let bay = Bay::new(board(Chip::Esp32));
    let mut session = bay.session().await;
    let snapshot = session.fuse_snapshot().await.unwrap();
    let plan = plan(&snapshot, &harmless(Chip::Esp32), &[]);
    session.identity.crystal_mhz = 24;
    let before = fuses(&bay).await;
    let error = session
        .burn(&plan, &mut Recorder::default())
        .await
        .unwrap_err();
    assert_eq!(
        error,
        BurnError::Crystal {
            chip: Chip::Esp32,
            mhz: 24
        }
    );
    assert_eq!(error.class(), FailureClass::Efuse);
    assert_eq!(fuses(&bay).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_crystal_that_is_not_the_plans_is_refused() {
    let bay = Bay::new(board(Chip::Esp32));
    let snapshot = bay.session().await.fuse_snapshot().await.unwrap();
    let plan = plan(&snapshot, &harmless(Chip::Esp32), &[]);
    let slow = Bay::new(ChipConfig {
        crystal_mhz: 26,
        ..board(Chip::Esp32)
    });
    let mut session = slow.session().await;
    let error = session
        .burn(&plan, &mut Recorder::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "burn-chip-changed");
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_refuses_a_pulse_keeps_it_and_all_later_ones_from_the_chip() {
    let chip = Chip::Esp32C3;
    let bay = Bay::new(board(chip));
    let mut session = bay.session().await;
    let snapshot = session.fuse_snapshot().await.unwrap();
    let plan = plan(&snapshot, &everything(chip), &[]);
    let count = u16::try_from(plan.pulses().len()).unwrap();
    assert!(count >= 4);
    let mut reached = Vec::new();
    for refuses in 1..=count {
        let bay = Bay::new(board(chip));
        let mut session = bay.session().await;
        let mut witness = Recorder {
            refuses: Some(refuses),
            ..Recorder::default()
        };
        let error = session.burn(&plan, &mut witness).await.unwrap_err();
        assert_eq!(error.code(), "burn-refused");
        assert_eq!(error.class(), FailureClass::Station);
        assert_eq!(witness.results.len(), usize::from(refuses) - 1);
        reached.push(fuses(&bay).await);
    }
    let blank = Bay::new(board(chip));
    assert_eq!(reached[0], fuses(&blank).await, "nothing was burned");
    let burned = |words: &[u32]| -> u32 { words.iter().map(|word| word.count_ones()).sum() };
    assert!(
        reached
            .iter()
            .map(|words| burned(words))
            .is_sorted_by(|a, b| a < b)
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_recorded_stops_the_plan() {
    let chip = Chip::Esp32S3;
    let bay = Bay::new(board(chip));
    let mut session = bay.session().await;
    let mut witness = Recorder {
        forgets: Some(2),
        ..Recorder::default()
    };
    let error = burn(&mut session, &everything(chip), &mut witness)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("burn-not-recorded", FailureClass::Station)
    );
    assert_eq!(
        witness.told,
        ["intended 1", "finished 1 done", "intended 2"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_pulses_asks_no_witness_and_burns_nothing() {
    let bay = Bay::new(board(Chip::Esp32C3));
    let mut session = bay.session().await;
    let snapshot = session.fuse_snapshot().await.unwrap();
    let wish = field("DIS_FORCE_DOWNLOAD", 0);
    let plan = BurnPlan::make(&snapshot, &wish, &[]).unwrap();
    let before = fuses(&bay).await;
    let mut witness = Recorder::default();
    let burned = session.burn(&plan, &mut witness).await.unwrap();
    assert!(burned.pulses.is_empty() && witness.told.is_empty());
    assert_eq!(fuses(&bay).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_fuse_that_somebody_else_burns_between_two_pulses_stops_the_plan() {
    let chip = Chip::Esp32C6;
    let bay = Bay::new(board(chip));
    let mut session = bay.session().await;
    let snapshot = session.fuse_snapshot().await.unwrap();
    let plan = plan(&snapshot, &everything(chip), &[]);
    let first = plan.pulses().iter().find(|pulse| pulse.block == 0).unwrap();
    for meddled in [first.number, u16::try_from(plan.pulses().len()).unwrap()] {
        let bay = Bay::new(board(chip));
        let mut session = bay.session().await;
        let mut witness = Recorder {
            meddles: Some((meddled, bay.control.clone(), Mischief::Burn)),
            ..Recorder::default()
        };
        let error = session.burn(&plan, &mut witness).await.unwrap_err();
        let last = usize::from(meddled) == plan.pulses().len();
        let code = if last {
            "burn-unexpected"
        } else {
            "burn-chip-changed"
        };
        assert_eq!(
            (error.code(), error.class()),
            (code, FailureClass::Efuse),
            "{error}"
        );
        assert_eq!(witness.intents.len(), usize::from(meddled));
        assert_eq!(witness.results.len(), usize::from(meddled));
    }
}

/// The ROM at its own rate: what answers after a reset is the same loader.
fn plain_rom() -> ConnectOptions {
    ConnectOptions {
        bauds: Vec::new(),
        ..rom_only()
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_that_takes_the_place_of_another_between_two_pulses_is_not_burned() {
    for chip in [Chip::Esp32, Chip::Esp32C3] {
        let other = ChipConfig::new(chip, 2, 7);
        let untouched = fuses(&Bay::new(other.clone())).await;
        let bay = Bay::new(board(chip));
        let mut session = bay.connect(&plain_rom()).await.unwrap();
        let mut witness = Recorder {
            meddles: Some((1, bay.control.clone(), Mischief::Swap(Box::new(other)))),
            ..Recorder::default()
        };
        let error = burn(&mut session, &everything(chip), &mut witness)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "burn-chip-changed", "{chip}: {error}");
        assert_eq!(witness.told, ["intended 1", "finished 1 done"], "{chip}");
        assert_eq!(
            fuses(&bay).await,
            untouched,
            "{chip}: a blank board stays blank"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_was_reset_between_two_pulses_gets_its_timing_again() {
    for chip in [Chip::Esp32, Chip::Esp32S2, Chip::Esp32C3] {
        let sound = sound(chip, &everything(chip)).await;
        let strict = FuseFaults {
            needs_timing: true,
            ..FuseFaults::default()
        };
        let bay = Bay::new(with_fuse_faults(board(chip), strict));
        let mut session = bay.connect(&plain_rom()).await.unwrap();
        let mut witness = Recorder {
            meddles: Some((1, bay.control.clone(), Mischief::Reset)),
            ..Recorder::default()
        };
        let burned = burn(&mut session, &everything(chip), &mut witness)
            .await
            .unwrap_or_else(|error| panic!("{chip}: {error}"));
        assert!(all_done(&burned), "{chip}: {burned:?}");
        assert_eq!(fuses(&bay).await, fuses(&sound).await, "{chip}");
    }
}

#[tokio::test(start_paused = true)]
async fn registers_of_the_fuse_controller_are_written_by_a_plan_only() {
    for chip in Chip::ALL {
        let bay = Bay::new(board(chip));
        let mut session = bay.session().await;
        let before = fuses(&bay).await;
        let map = fuse_map(chip, board(chip).revision);
        let (conf, command) = (map.controller.conf, map.controller.command);
        let harmless = RegisterWrite::plain(chip.spec().uart.date, 0);
        for address in [conf, command, map.controller.program] {
            let writes = [harmless, RegisterWrite::plain(address, 2)];
            let error = session.write_registers(&writes).await.unwrap_err();
            assert_eq!(error.code(), "invalid-input", "{chip}");
        }
        session.write_registers(&[harmless]).await.unwrap();
        assert_eq!(fuses(&bay).await, before, "{chip}");
    }
}
