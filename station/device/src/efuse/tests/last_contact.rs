//! Chips that stop answering because they were told to.

use station_esp::Chip;
use station_esp::efuse::plan::{Danger, Wish};
use station_esp::efuse::reconcile::{Verdict, reconcile_closed};
use station_virtual::chip::ChipConfig;
use station_virtual::fault::{Faults, FuseBit, FuseFaults, PowerLoss, PulseMoment};

use super::rig::{Recorder, both_loaders, burn, field, look, plan, with_fuse_faults};
use crate::FailureClass;
use crate::efuse::PulseVerdict;
use crate::flash::{NoProgress, WriteOptions};
use crate::session::tests::rig::{Bay, board, prepared, rom_only, wired};

fn secure_download() -> Wish {
    Wish {
        accepted: vec![Danger::FlashUnreachableInSecureDownload],
        ..field("ENABLE_SECURITY_DOWNLOAD", 1)
    }
}

/// Switches download mode off for good.
fn closed(chip: Chip) -> Wish {
    let name = if chip == Chip::Esp32 {
        "UART_DOWNLOAD_DIS"
    } else {
        "DIS_DOWNLOAD_MODE"
    };
    Wish {
        accepted: vec![Danger::DownloadClosed, Danger::UsbClosed],
        ..field(name, 1)
    }
}

#[tokio::test(start_paused = true)]
async fn after_secure_download_mode_is_burned_the_session_knows_it() {
    for chip in Chip::ALL.into_iter().filter(|chip| *chip != Chip::Esp32) {
        for options in both_loaders() {
            let bay = Bay::new(wired(chip));
            let mut session = bay.connect(&options).await.unwrap();
            let mut witness = Recorder::default();
            let burned = burn(&mut session, &secure_download(), &mut witness)
                .await
                .unwrap_or_else(|error| panic!("{chip}: {error}"));
            assert!(burned.pulses.last().unwrap().verdict.is_success(), "{chip}");
            assert!(session.identity().secure_download, "{chip}");
            let set = look(&bay, |chip| chip.efuse().field("ENABLE_SECURITY_DOWNLOAD")).await;
            assert_eq!(set, 1, "{chip}");
            let error = session.fuse_snapshot().await.unwrap_err();
            assert_eq!(error.code(), "secure-download", "{chip}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chip_in_secure_download_mode_takes_what_is_not_read_back_and_names_the_rest() {
    let bay = Bay::new(wired(Chip::Esp32C3));
    let mut session = bay.connect(&rom_only()).await.unwrap();
    burn(&mut session, &secure_download(), &mut Recorder::default())
        .await
        .unwrap();
    drop(session);
    let mut session = bay.session().await;
    assert!(session.identity().secure_download);
    assert!(session.without_stub().unwrap().contains("secure download"));
    let image = prepared(0x1000, &[7; 5000]);
    let how = WriteOptions::default();
    let error = session.write(&image, &how, &NoProgress).await.unwrap_err();
    assert_eq!(error.code(), "secure-download");
    assert!(error.to_string().contains("SPI_FLASH_MD5"), "{error}");
    let how = WriteOptions {
        verify: false,
        ..how
    };
    let written = session.write(&image, &how, &NoProgress).await.unwrap();
    assert!(!written.verified);
    assert_eq!(bay.flash(0x1000, 5000).await, [7; 5000]);
}

#[tokio::test(start_paused = true)]
async fn a_chip_whose_download_mode_was_switched_off_is_burned_and_silent_or_seen() {
    for chip in Chip::ALL {
        for options in both_loaders() {
            let bay = Bay::new(wired(chip));
            let mut session = bay.connect(&options).await.unwrap();
            let mut witness = Recorder::default();
            let burned = burn(&mut session, &closed(chip), &mut witness)
                .await
                .unwrap_or_else(|error| panic!("{chip}: {error}"));
            assert!(burned.pulses.last().unwrap().verdict.is_success(), "{chip}");
            let silent = burned.pulses.last().unwrap().verdict == PulseVerdict::Silent;
            assert_eq!(silent, burned.after.is_none(), "{chip}");
            drop(session);
            let error = bay.connect(&options).await.unwrap_err();
            assert_eq!(error.class(), FailureClass::Contact, "{chip}: {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_should_be_closed_and_is_not_has_failed() {
    for options in both_loaders() {
        let bay = Bay::new(board(Chip::Esp32C3));
        let bit = look(&bay, |chip| {
            let map = chip.efuse().map();
            map.field("ENABLE_SECURITY_DOWNLOAD").unwrap().parts[0].bit
        })
        .await;
        let faults = FuseFaults {
            stuck: vec![FuseBit { block: 0, bit }],
            ..FuseFaults::default()
        };
        let bay = Bay::new(with_fuse_faults(board(Chip::Esp32C3), faults));
        let mut session = bay.connect(&options).await.unwrap();
        let mut witness = Recorder::default();
        let error = burn(&mut session, &secure_download(), &mut witness)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "burn-failed");
        assert!(!session.identity().secure_download);
    }
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_in_the_last_pulse_leaves_an_open_intent_that_the_closed_chip_settles() {
    for (moment, verdict) in [
        (PulseMoment::Before, None),
        (PulseMoment::After, Some(Verdict::Done)),
    ] {
        let loss = PowerLoss {
            at_pulse: Some(1),
            pulse: moment,
            back_after_ms: Some(60_000),
            ..PowerLoss::default()
        };
        let config = ChipConfig {
            faults: Faults {
                power_loss: Some(loss),
                ..Faults::default()
            },
            ..wired(Chip::Esp32C3)
        };
        let bay = Bay::new(config);
        let mut session = bay.session().await;
        let mut witness = Recorder::default();
        let wish = field("ENABLE_SECURITY_DOWNLOAD", 1);
        let error = burn(&mut session, &wish, &mut witness).await.unwrap_err();
        assert_eq!(error.code(), "burn-interrupted", "{error}");
        assert_eq!(
            witness.told,
            ["intended 1"],
            "silence before the end is no farewell"
        );
        drop(session);
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        let session = bay.session().await;
        assert_eq!(session.identity().secure_download, verdict.is_some());
        if let Some(verdict) = verdict {
            let info = session.identity().security.unwrap();
            let told = reconcile_closed(&witness.intents, &info);
            assert_eq!(told[0].verdict, verdict);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_secure_download_mode_does_not_explain_is_no_farewell() {
    // From a cut in here on, only what asks the closed chip is left.
    const TAIL: u64 = 230;
    let wish = field("ENABLE_SECURITY_DOWNLOAD", 1);
    let sound = Bay::new(wired(Chip::Esp32C3));
    let mut session = sound.connect(&rom_only()).await.unwrap();
    let before = session.loader.wire().sent();
    burn(&mut session, &wish, &mut Recorder::default())
        .await
        .unwrap();
    let after = session.loader.wire().sent();
    let mut burned = 0;
    for at in (before..after - TAIL).rev().step_by(41) {
        let loss = PowerLoss {
            at_byte: Some(at),
            back_after_ms: Some(600_000),
            ..PowerLoss::default()
        };
        let bay = Bay::new(ChipConfig {
            faults: Faults {
                power_loss: Some(loss),
                ..Faults::default()
            },
            ..wired(Chip::Esp32C3)
        });
        let Ok(mut session) = bay.connect(&rom_only()).await else {
            continue;
        };
        let mut witness = Recorder::default();
        let snapshot = session.fuse_snapshot().await;
        let result = match snapshot {
            Ok(snapshot) => {
                session
                    .burn(&plan(&snapshot, &wish, &[]), &mut witness)
                    .await
            }
            Err(_) => continue,
        };
        assert!(result.is_err(), "byte {at} of {before} to {after}");
        assert!(witness.results.is_empty(), "byte {at}: nobody saw the end");
        let set = look(&bay, |chip| chip.efuse().field("ENABLE_SECURITY_DOWNLOAD")).await;
        burned += set;
    }
    assert!(burned > 1, "some cuts came after the pulse");
}
