//! What a snapshot holds and when there is none.

use station_esp::Chip;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::{ByteFaults, Faults, FuseBit, FuseFaults};

use super::rig::{both_loaders, look, with_fuse_faults};
use crate::session::tests::rig::{Bay, board, wired};

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_what_the_chip_shows_with_stub_and_rom() {
    for chip in Chip::ALL {
        for options in both_loaders() {
            let bay = Bay::new(board(chip));
            let mut session = bay.connect(&options).await.unwrap();
            let snapshot = session.fuse_snapshot().await.unwrap();
            let image = look(&bay, |chip| chip.efuse().image().clone()).await;
            assert_eq!(snapshot.fuses, image, "{chip}");
            assert_eq!(Some(snapshot.mac), session.identity().mac);
            assert_eq!(Some(snapshot.revision), session.identity().revision);
            assert!(snapshot.errors.is_empty(), "{chip}: {:?}", snapshot.errors);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn coding_errors_are_told_by_block() {
    for (chip, block, bit) in [
        (Chip::Esp32S3, 4, 3),
        (Chip::Esp32C3, 9, 30),
        (Chip::Esp32P4, 2, 300),
        (Chip::Esp32C2, 3, 0),
    ] {
        let faults = FuseFaults {
            misread: vec![FuseBit { block, bit }],
            ..FuseFaults::default()
        };
        let bay = Bay::new(with_fuse_faults(board(chip), faults));
        let mut session = bay.session().await;
        let errors = session.fuse_snapshot().await.unwrap().errors;
        let told: Vec<_> = errors
            .iter()
            .map(|e| (e.block, e.count, e.failed))
            .collect();
        assert_eq!(told, [(block, 1, false)], "{chip}");
    }
    let faults = FuseFaults {
        repeat_errors: vec![5, 40],
        ..FuseFaults::default()
    };
    let bay = Bay::new(with_fuse_faults(board(Chip::Esp32C6), faults));
    let errors = bay.session().await.fuse_snapshot().await.unwrap().errors;
    assert_eq!((errors.len(), errors[0].block, errors[0].count), (1, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn spoiled_answers_do_not_become_part_of_a_snapshot() {
    let mut right = 0;
    for seed in 0..8 {
        let bay = Bay::new(ChipConfig {
            seed,
            faults: Faults {
                from_chip: ByteFaults {
                    flip_per_million: 400,
                    ..Default::default()
                },
                ..Faults::default()
            },
            ..wired(Chip::Esp32S3)
        });
        let Ok(mut session) = bay.connect(&crate::ConnectOptions::default()).await else {
            continue;
        };
        let Ok(snapshot) = session.fuse_snapshot().await else {
            continue;
        };
        let image = look(&bay, |chip| chip.efuse().image().clone()).await;
        assert_eq!(snapshot.fuses, image, "seed {seed}");
        right += 1;
    }
    assert!(right >= 5, "{right} of 8");
}

#[tokio::test(start_paused = true)]
async fn in_secure_download_mode_there_is_no_snapshot_and_no_burn() {
    let bay = Bay::new(ChipConfig {
        secure_download: true,
        ..board(Chip::Esp32C3)
    });
    let error = bay.session().await.fuse_snapshot().await.unwrap_err();
    assert_eq!(error.code(), "secure-download");
    assert!(error.to_string().contains("reading the eFuses"), "{error}");
    assert!(error.hint().unwrap().contains("ENABLE_SECURITY_DOWNLOAD"));
}
