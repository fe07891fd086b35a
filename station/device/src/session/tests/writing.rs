//! Writing, skipping, verifying and erasing.

use std::sync::Arc;

use station_esp::Chip;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::Faults;

use super::rig::{Bay, Told, board, half_compressible, prepared, rom_only, wired};
use crate::flash::{NoProgress, PreparedImage, WriteOptions};
use crate::session::ConnectOptions;
use crate::{DeviceError, FailureClass};

#[tokio::test(start_paused = true)]
async fn every_chip_holds_what_was_written_with_the_stub_and_without() {
    let bytes = half_compressible(70_001, 1);
    let image = prepared(0x1_0000, &bytes);
    for chip in Chip::ALL {
        for options in [ConnectOptions::default(), rom_only()] {
            let bay = Bay::new(board(chip));
            let mut session = bay.connect(&options).await.unwrap();
            let told = Told::default();
            let written = session
                .write(&image, &WriteOptions::default(), &told)
                .await
                .unwrap();
            assert!(written.verified && !written.skipped, "{chip}");
            assert_eq!(written.bytes, bytes.len() as u64);
            assert_eq!(bay.flash(0x1_0000, bytes.len()).await, bytes, "{chip}");
            let told = told.0.into_inner().unwrap();
            assert_eq!(told.last().unwrap().1, bytes.len() as u64);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_right_already_is_left_alone() {
    let bytes = half_compressible(200_000, 2);
    let image = prepared(0, &bytes);
    for options in [ConnectOptions::default(), rom_only()] {
        let bay = Bay::new(board(Chip::Esp32C3));
        let mut session = bay.connect(&options).await.unwrap();
        let how = WriteOptions::default();
        assert!(
            !session
                .write(&image, &how, &NoProgress)
                .await
                .unwrap()
                .skipped
        );
        let again = session.write(&image, &how, &NoProgress).await.unwrap();
        assert!(again.skipped && again.verified);
        assert!(again.wire_bytes < 200, "{}", again.wire_bytes);
        let how = WriteOptions {
            skip_unchanged: false,
            ..how
        };
        assert!(
            !session
                .write(&image, &how, &NoProgress)
                .await
                .unwrap()
                .skipped
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_compressed_goes_plain() {
    let bytes: Vec<u8> = half_compressible(120_000, 3)
        .chunks(256)
        .step_by(2)
        .flatten()
        .copied()
        .collect();
    let image = prepared(0x2_0000, &bytes);
    assert!(image.carried_bytes() >= bytes.len() as u64);
    let bay = Bay::new(board(Chip::Esp32S3));
    let written = bay
        .session()
        .await
        .write(&image, &WriteOptions::default(), &NoProgress)
        .await
        .unwrap();
    assert!(written.verified);
    assert_eq!(bay.flash(0x2_0000, bytes.len()).await, bytes);
}

#[tokio::test(start_paused = true)]
async fn blank_stretches_are_not_sent_and_are_blank_afterwards() {
    let mut bytes = half_compressible(30_000, 4);
    bytes.resize(600_000, 0xFF);
    bytes.extend(half_compressible(10_000, 5));
    let image = prepared(0, &bytes);
    for options in [ConnectOptions::default(), rom_only()] {
        let bay = Bay::new(board(Chip::Esp32C6));
        let mut session = bay.connect(&options).await.unwrap();
        let how = WriteOptions::default();
        // First the board is full of something else, then it is not.
        session
            .write(&prepared(0, &[0x5A; 700_000]), &how, &NoProgress)
            .await
            .unwrap();
        let used = session.write(&image, &how, &NoProgress).await.unwrap();
        assert_eq!(bay.flash(0, bytes.len()).await, bytes);
        if options.stub {
            assert!(used.wire_bytes < 45_000, "{}", used.wire_bytes);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_blank_throughout_erases() {
    let bay = Bay::new(board(Chip::Esp32));
    let mut session = bay.session().await;
    let how = WriteOptions::default();
    session
        .write(&prepared(0, &[0; 8192]), &how, &NoProgress)
        .await
        .unwrap();
    session
        .write(&prepared(0, &[0xFF; 5000]), &how, &NoProgress)
        .await
        .unwrap();
    assert_eq!(bay.flash(0, 8192).await, [0xFF; 8192]);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_sector_blames_the_flash_and_never_passes() {
    let image = prepared(0, &half_compressible(100_000, 6));
    for options in [ConnectOptions::default(), rom_only()] {
        let faults = Faults {
            stuck_sectors: vec![3],
            ..Faults::default()
        };
        let bay = Bay::new(ChipConfig {
            faults,
            ..board(Chip::Esp32C3)
        });
        let mut session = bay.connect(&options).await.unwrap();
        let error = session
            .write(&image, &WriteOptions::default(), &NoProgress)
            .await
            .unwrap_err();
        let class = error.class();
        assert!(
            matches!(class, FailureClass::Verify | FailureClass::Flash),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_beyond_the_flash_is_refused_before_anything_is_written() {
    let bay = Bay::new(board(Chip::Esp32C3).with_flash_size(1 << 20));
    let mut session = bay.session().await;
    let image = prepared((1 << 20) - 0x1000, &[1; 0x1001]);
    let error = session
        .write(&image, &WriteOptions::default(), &NoProgress)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("flash-range", FailureClass::Limit)
    );
    assert_eq!(bay.flash((1 << 20) - 0x1000, 16).await, [0xFF; 16]);
}

#[tokio::test(start_paused = true)]
async fn secure_download_mode_writes_but_does_not_claim_to_have_verified() {
    let bytes = half_compressible(20_000, 7);
    let bay = Bay::new(ChipConfig {
        secure_download: true,
        ..wired(Chip::Esp32C3)
    });
    let mut session = bay.session().await;
    let image = prepared(0x1_0000, &bytes);
    let error = session
        .write(&image, &WriteOptions::default(), &NoProgress)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "secure-download");
    assert_eq!(
        bay.flash(0x1_0000, 16).await,
        [0xFF; 16],
        "nothing was written"
    );
    let how = WriteOptions {
        verify: false,
        ..WriteOptions::default()
    };
    let written = session.write(&image, &how, &NoProgress).await.unwrap();
    assert!(!written.verified && !written.skipped);
    assert_eq!(bay.flash(0x1_0000, bytes.len()).await, bytes);
}

#[tokio::test(start_paused = true)]
async fn regions_and_the_whole_flash_can_be_erased_with_the_stub_only() {
    let bay = Bay::new(board(Chip::Esp32H2));
    let mut session = bay.session().await;
    let how = WriteOptions::default();
    session
        .write(&prepared(0, &[0x11; 0x5000]), &how, &NoProgress)
        .await
        .unwrap();
    session.erase_region(0x1000, 0x2000).await.unwrap();
    let flash = bay.flash(0, 0x5000).await;
    assert_eq!(flash[..0x1000], [0x11; 0x1000]);
    assert_eq!(flash[0x1000..0x3000], [0xFF; 0x2000]);
    assert_eq!(flash[0x3000..], [0x11; 0x2000]);
    assert!(!session.is_blank(0, 0x5000).await.unwrap());
    session.erase_flash().await.unwrap();
    assert!(session.is_blank(0, 4 << 20).await.unwrap());
    assert_eq!(
        session.erase_region(5, 0x1000).await.unwrap_err().code(),
        "invalid-input"
    );
    assert_eq!(
        session.erase_region(0, 8 << 20).await.unwrap_err().code(),
        "flash-range"
    );

    let mut session = bay.connect(&rom_only()).await.unwrap();
    let error = session.erase_region(0, 0x1000).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("unsupported", FailureClass::Station)
    );
}

#[tokio::test(start_paused = true)]
async fn operations_of_a_session_may_run_on_any_thread() {
    let bay = Bay::new(board(Chip::Esp32C3));
    let mut session = bay.session().await;
    let task = tokio::spawn(async move {
        let image = prepared(0, &[3; 5000]);
        session
            .write(&image, &WriteOptions::default(), &NoProgress)
            .await
            .unwrap();
        session.read_flash(0, 5000, &NoProgress).await.unwrap()
    });
    assert_eq!(task.await.unwrap(), [3; 5000]);
}

#[test]
fn an_image_that_makes_no_sense_is_refused_when_it_is_prepared() {
    let prepare = |offset, bytes: &[u8]| {
        PreparedImage::prepare("x", offset, Arc::from(bytes)).map_err(|error| error.code())
    };
    assert_eq!(prepare(0, &[]).unwrap_err(), "invalid-input");
    assert_eq!(prepare(100, &[1]).unwrap_err(), "invalid-input");
    assert_eq!(
        prepare(0xFFFF_F000, &[1; 4097]).unwrap_err(),
        "invalid-input"
    );
    assert!(prepare(0xFFFF_F000, &[1; 4096]).is_ok());
    let refused = PreparedImage::prepare("x", 100, Arc::from(&[1u8][..])).unwrap_err();
    assert!(matches!(refused, DeviceError::InvalidInput { .. }));
}
