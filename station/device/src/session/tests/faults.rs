//! Links that lose and spoil bytes, chips that die, and conversations that are broken off.

use std::time::Duration;

use station_esp::Chip;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::{ByteFaults, Chatter, Faults, Late, PowerLoss};
use tokio::time::{Instant, timeout};

use super::rig::{Bay, board, half_compressible, prepared, wired};
use crate::FailureClass;
use crate::flash::{NoProgress, WriteOptions};
use crate::session::ConnectOptions;

fn faulty(faults: Faults) -> ChipConfig {
    ChipConfig {
        faults,
        ..wired(Chip::Esp32C3)
    }
}

/// Connects and writes; says whether flash holds the image when that is claimed.
async fn attempt(bay: &Bay, bytes: &[u8]) -> Result<u32, crate::DeviceError> {
    let image = prepared(0, bytes);
    let mut session = bay.connect(&ConnectOptions::default()).await?;
    let how = WriteOptions {
        retries: 5,
        ..WriteOptions::default()
    };
    let written = session.write(&image, &how, &NoProgress).await?;
    assert_eq!(
        bay.flash(0, bytes.len()).await,
        bytes,
        "a claim that is not true"
    );
    Ok(written.restarts)
}

#[tokio::test(start_paused = true)]
async fn spoiled_bytes_towards_the_chip_are_repaired_or_end_as_a_link_failure() {
    let bytes = half_compressible(200_000, 21);
    let mut passed = 0;
    for seed in 0..12 {
        let to_chip = ByteFaults {
            drop_per_million: 10,
            flip_per_million: 20,
            ..Default::default()
        };
        let faults = Faults {
            to_chip,
            ..Faults::default()
        };
        let bay = Bay::new(ChipConfig {
            seed,
            ..faulty(faults)
        });
        match attempt(&bay, &bytes).await {
            Ok(_) => passed += 1,
            Err(error) => assert!(
                matches!(error.class(), FailureClass::Link | FailureClass::Contact),
                "seed {seed}: {} {error}",
                error.class()
            ),
        }
    }
    assert!(passed >= 9, "{passed} of 12 passed");
}

#[tokio::test(start_paused = true)]
async fn spoiled_answers_are_repaired_or_end_as_a_link_failure() {
    let bytes = half_compressible(200_000, 22);
    let mut passed = 0;
    for seed in 0..12 {
        let from_chip = ByteFaults {
            drop_per_million: 300,
            flip_per_million: 300,
            ..Default::default()
        };
        let faults = Faults {
            from_chip,
            ..Faults::default()
        };
        let bay = Bay::new(ChipConfig {
            seed,
            ..faulty(faults)
        });
        match attempt(&bay, &bytes).await {
            Ok(_) => passed += 1,
            Err(error) => assert!(
                matches!(error.class(), FailureClass::Link | FailureClass::Contact),
                "seed {seed}: {} {error}",
                error.class()
            ),
        }
    }
    assert!(passed >= 9, "{passed} of 12 passed");
}

#[tokio::test(start_paused = true)]
async fn a_block_that_came_garbled_is_sent_again_without_starting_over() {
    let bytes = half_compressible(200_000, 23);
    // Well inside a data block: contact and stub take fewer than 20,000 bytes.
    let to_chip = ByteFaults {
        flip_at: vec![60_000],
        ..Default::default()
    };
    let bay = Bay::new(faulty(Faults {
        to_chip,
        ..Faults::default()
    }));
    assert_eq!(attempt(&bay, &bytes).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn chatter_between_answers_is_read_over() {
    let chatter = Some(Chatter {
        text: "I (123) wifi: noise".into(),
        every: 1,
    });
    let bay = Bay::new(faulty(Faults {
        chatter,
        ..Faults::default()
    }));
    attempt(&bay, &half_compressible(50_000, 24)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn late_answers_do_not_become_answers_to_something_else() {
    for by_ms in [20, 200, 800] {
        let late = Some(Late { every: 7, by_ms });
        let bay = Bay::new(faulty(Faults {
            late,
            ..Faults::default()
        }));
        match attempt(&bay, &half_compressible(100_000, 25)).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.class(), FailureClass::Link, "{by_ms}: {error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_supply_that_fails_mid_write_is_no_pass_and_the_next_attempt_succeeds() {
    let bytes = half_compressible(300_000, 26);
    for at_program in [1, 40, 400] {
        let power_loss = Some(PowerLoss {
            at_program: Some(at_program),
            back_after_ms: Some(300),
            ..PowerLoss::default()
        });
        let bay = Bay::new(faulty(Faults {
            power_loss,
            ..Faults::default()
        }));
        let start = Instant::now();
        let error = attempt(&bay, &bytes).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Link, "{error}");
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{:?}",
            start.elapsed()
        );
        attempt(&bay, &bytes).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_supply_that_stays_away_ends_in_bounded_time() {
    let power_loss = Some(PowerLoss {
        at_byte: Some(50_000),
        ..PowerLoss::default()
    });
    let bay = Bay::new(faulty(Faults {
        power_loss,
        ..Faults::default()
    }));
    let start = Instant::now();
    let error = attempt(&bay, &half_compressible(300_000, 27))
        .await
        .unwrap_err();
    assert_eq!(error.class(), FailureClass::Link, "{error}");
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_board_that_is_unplugged_ends_as_a_link_failure() {
    let bay = Bay::new(wired(Chip::Esp32C3));
    let mut session = bay.session().await;
    let control = bay.control.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        control.remove().await.unwrap();
    });
    let image = prepared(0, &half_compressible(500_000, 28));
    let error = session
        .write(&image, &WriteOptions::default(), &NoProgress)
        .await
        .unwrap_err();
    assert_eq!(error.class(), FailureClass::Link, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_write_broken_off_at_any_moment_leaves_session_and_port_usable() {
    let bytes = half_compressible(150_000, 29);
    let image = prepared(0, &bytes);
    for millis in [1, 3, 30, 101, 333, 700] {
        let bay = Bay::new(wired(Chip::Esp32C3));
        let mut session = bay.session().await;
        let how = WriteOptions::default();
        let cut = Duration::from_millis(millis);
        let broken = timeout(cut, session.write(&image, &how, &NoProgress)).await;
        assert!(broken.is_err(), "{millis}");
        session.write(&image, &how, &NoProgress).await.unwrap();
        assert_eq!(bay.flash(0, bytes.len()).await, bytes, "{millis}");

        let other = prepared(0, &half_compressible(150_000, 30));
        let broken = timeout(cut, session.write(&other, &how, &NoProgress)).await;
        assert!(broken.is_err(), "{millis}");
        drop(session);
        let mut session = bay.session().await;
        session.write(&image, &how, &NoProgress).await.unwrap();
        assert_eq!(bay.flash(0, bytes.len()).await, bytes, "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_broken_off_at_any_moment_leaves_the_port_usable() {
    let bay = Bay::new(wired(Chip::Esp32S3));
    for millis in [0, 1, 5, 20, 60, 100, 150, 220, 300] {
        let options = ConnectOptions::default();
        let _ = timeout(Duration::from_millis(millis), bay.connect(&options)).await;
        assert_eq!(
            bay.session().await.identity().chip,
            Chip::Esp32S3,
            "{millis}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_broken_off_leaves_the_session_usable() {
    let bytes = half_compressible(100_000, 31);
    let bay = Bay::new(wired(Chip::Esp32C3));
    let mut session = bay.session().await;
    session
        .write(&prepared(0, &bytes), &WriteOptions::default(), &NoProgress)
        .await
        .unwrap();
    for millis in [1, 10, 50, 99, 333] {
        let cut = Duration::from_millis(millis);
        assert!(
            timeout(cut, session.read_flash(0, 100_000, &NoProgress))
                .await
                .is_err()
        );
        assert_eq!(
            session.read_flash(7, 5000, &NoProgress).await.unwrap(),
            bytes[7..5007]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn reads_over_a_bad_link_are_proven_or_fail() {
    let bytes = half_compressible(60_000, 32);
    let mut right = 0;
    for seed in 0..8 {
        let from_chip = ByteFaults {
            flip_per_million: 20,
            ..Default::default()
        };
        let faults = Faults {
            from_chip,
            ..Faults::default()
        };
        let bay = Bay::new(ChipConfig {
            seed,
            ..faulty(faults)
        });
        if attempt(&bay, &bytes).await.is_err() {
            continue;
        }
        let Ok(mut session) = bay.connect(&ConnectOptions::default()).await else {
            continue;
        };
        match session.read_flash(0, 60_000, &NoProgress).await {
            Ok(read) => {
                assert_eq!(read, bytes);
                right += 1;
            }
            Err(error) => assert_eq!(error.class(), FailureClass::Link),
        }
    }
    assert!(right >= 4, "{right} of 8");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_board_without_wire_timing_works_the_same() {
    let bay = Bay::new(board(Chip::Esp32P4));
    attempt(&bay, &half_compressible(40_000, 33)).await.unwrap();
}
