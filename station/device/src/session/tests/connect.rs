//! Contact, detection, rates and the stub.

use std::time::Duration;

use station_esp::Chip;
use station_esp::command::Dialect;
use station_virtual::chip::{ChipConfig, RefusalStyle};
use station_virtual::fault::Faults;
use tokio::time::Instant;

use super::rig::{Bay, board, rom_only, wired};
use crate::FailureClass;
use crate::loader::BaudMemory;
use crate::session::{AfterSession, ConnectOptions, Session};

#[tokio::test(start_paused = true)]
async fn every_chip_says_who_it_is_with_the_stub_and_without() {
    for chip in Chip::ALL {
        for options in [ConnectOptions::default(), rom_only()] {
            let config = wired(chip);
            let (mac, revision, crystal) = (config.mac, config.revision, config.crystal_mhz);
            let bay = Bay::new(config);
            let session = bay
                .connect(&options)
                .await
                .unwrap_or_else(|e| panic!("{chip}: {e}"));
            let identity = session.identity();
            assert_eq!(identity.chip, chip);
            assert_eq!(identity.mac, Some(mac), "{chip}");
            assert_eq!(identity.revision, Some(revision), "{chip}");
            assert_eq!(identity.crystal_mhz, crystal, "{chip}");
            let flash = identity.flash.clone().unwrap();
            assert_eq!((flash.jedec, flash.size), (0xC8_4016, 4 << 20), "{chip}");
            let loader = if options.stub {
                Dialect::Stub
            } else {
                Dialect::Rom
            };
            assert_eq!(session.loader(), loader, "{chip}");
            assert_eq!(session.baud(), 921_600, "{chip}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rom_that_refuses_eight_times_under_another_name_is_understood() {
    let config = ChipConfig {
        refusal: RefusalStyle::EightOther,
        ..wired(Chip::Esp32)
    };
    let bay = Bay::new(config);
    assert_eq!(bay.session().await.identity().chip, Chip::Esp32);
}

#[tokio::test(start_paused = true)]
async fn a_crystal_of_26_mhz_is_found_and_its_rates_work() {
    for chip in [Chip::Esp32, Chip::Esp32C2] {
        for options in [ConnectOptions::default(), rom_only()] {
            let bay = Bay::new(ChipConfig {
                crystal_mhz: 26,
                ..wired(chip)
            });
            let session = bay.connect(&options).await.unwrap();
            assert_eq!(session.identity().crystal_mhz, 26, "{chip}");
            assert_eq!(session.baud(), 921_600, "{chip}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_the_wire_does_not_carry_is_left_for_a_slower_one_and_remembered() {
    let faults = Faults {
        max_baud: Some(500_000),
        ..Faults::default()
    };
    let bay = Bay::new(ChipConfig {
        faults,
        ..wired(Chip::Esp32C3)
    });
    let options = ConnectOptions {
        baud_memory: BaudMemory::default(),
        ..Default::default()
    };
    assert_eq!(bay.connect(&options).await.unwrap().baud(), 460_800);

    let start = Instant::now();
    assert_eq!(bay.connect(&options).await.unwrap().baud(), 460_800);
    let again = start.elapsed();
    let start = Instant::now();
    assert_eq!(bay.session().await.baud(), 460_800);
    assert!(
        again < start.elapsed(),
        "what is remembered saves the failed try"
    );
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_ignores_the_change_of_rate_is_talked_to_at_the_first_one() {
    let faults = Faults {
        ignore_baud: true,
        ..Faults::default()
    };
    let bay = Bay::new(ChipConfig {
        faults,
        ..wired(Chip::Esp32S3)
    });
    assert_eq!(bay.session().await.baud(), 115_200);
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_is_not_welcome_is_turned_away_before_anything_is_loaded() {
    let bay = Bay::new(board(Chip::Esp32C6));
    let options = ConnectOptions {
        chips: vec![Chip::Esp32, Chip::Esp32C3],
        ..Default::default()
    };
    let error = bay.connect(&options).await.unwrap_err();
    assert_eq!(error.code(), "wrong-chip");
    assert_eq!(
        error.to_string(),
        "found ESP32-C6, expected ESP32 or ESP32-C3"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_chip_ends_as_no_answer_within_the_deadline() {
    let faults = Faults {
        silent: true,
        ..Faults::default()
    };
    let bay = Bay::new(ChipConfig {
        faults,
        ..wired(Chip::Esp32C3)
    });
    let options = ConnectOptions {
        deadline: Duration::from_secs(5),
        ..Default::default()
    };
    let start = Instant::now();
    let error = bay.connect(&options).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("no-answer", FailureClass::Contact)
    );
    assert!(start.elapsed() <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_flood_does_not_stretch_the_deadline() {
    let faults = Faults {
        flood: true,
        ..Faults::default()
    };
    for config in [wired(Chip::Esp32C3), board(Chip::Esp32C3)] {
        let bay = Bay::new(ChipConfig {
            faults: faults.clone(),
            ..config
        });
        let options = ConnectOptions {
            deadline: Duration::from_secs(3),
            ..Default::default()
        };
        let start = Instant::now();
        let error = bay.connect(&options).await.unwrap_err();
        assert_eq!(error.code(), "noise-only", "{error}");
        assert!(
            start.elapsed() <= Duration::from_millis(3010),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_chip_whose_boot_pin_is_not_low_is_named_with_its_mode() {
    let bay = Bay::new(wired(Chip::Esp32C3));
    let error =
        Session::connect(bay.port_with_open_strap().await, &ConnectOptions::default()).await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("wrong-boot-mode", FailureClass::Contact)
    );
    assert!(error.to_string().contains("`0x"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_runs_its_application_is_named_as_such() {
    let bay = Bay::new(wired(Chip::Esp32C3));
    let error = Session::connect(bay.port_without_reset().await, &ConnectOptions::default()).await;
    assert_eq!(error.unwrap_err().class(), FailureClass::Contact);
}

#[tokio::test(start_paused = true)]
async fn a_stub_that_already_runs_is_recognised_and_used() {
    let bay = Bay::new(wired(Chip::Esp32C3));
    let session = bay.session().await;
    let port = session.close(AfterSession::Stay).await.unwrap();
    drop(port);
    let port = bay.port_without_reset().await;
    let mut session = Session::connect(port, &ConnectOptions::default())
        .await
        .unwrap();
    assert_eq!(session.loader(), Dialect::Stub);
    assert_eq!(session.flash_id().await.unwrap().size, 4 << 20);
}

#[tokio::test(start_paused = true)]
async fn secure_download_mode_is_recognised_and_its_limits_are_named() {
    for chip in [Chip::Esp32S2, Chip::Esp32C3, Chip::Esp32P4] {
        let bay = Bay::new(ChipConfig {
            secure_download: true,
            ..wired(chip)
        });
        let mut session = bay.session().await;
        let identity = session.identity();
        assert!(identity.secure_download, "{chip}");
        assert_eq!(
            (identity.chip, identity.mac, &identity.flash),
            (chip, None, &None)
        );
        assert_eq!(session.loader(), Dialect::Rom);
        assert_eq!(session.baud(), 921_600);
        for error in [
            session.read_register(0x4000_1000).await.unwrap_err(),
            session.md5(0, 4096).await.unwrap_err(),
            session.erase_flash().await.unwrap_err(),
            session
                .read_flash(0, 64, &crate::NoProgress)
                .await
                .unwrap_err(),
        ] {
            assert_eq!(error.code(), "secure-download", "{chip}: {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_flash_chip_that_does_not_answer_is_an_error_and_no_default() {
    for jedec in [[0xFF; 3], [0; 3], [0xC8, 0x40, 0x77]] {
        let faults = Faults {
            flash_jedec: Some(jedec),
            ..Faults::default()
        };
        let bay = Bay::new(ChipConfig {
            faults,
            ..board(Chip::Esp32)
        });
        let error = bay.connect(&ConnectOptions::default()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("flash-id", FailureClass::Flash)
        );
    }
}
