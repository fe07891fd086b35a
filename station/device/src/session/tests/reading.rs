//! Reading flash back.

use station_esp::Chip;

use super::rig::{Bay, Told, board, half_compressible, prepared, rom_only};
use crate::flash::{NoProgress, WriteOptions};
use crate::session::ConnectOptions;

#[tokio::test(start_paused = true)]
async fn every_chip_reads_back_what_was_written() {
    let bytes = half_compressible(9_001, 11);
    let image = prepared(0x3000, &bytes);
    for chip in Chip::ALL {
        for options in [ConnectOptions::default(), rom_only()] {
            let bay = Bay::new(board(chip));
            let mut session = bay.connect(&options).await.unwrap();
            session
                .write(&image, &WriteOptions::default(), &NoProgress)
                .await
                .unwrap();
            let read = session.read_flash(0x3000, 9_001, &NoProgress).await;
            assert_eq!(
                read.unwrap_or_else(|error| panic!("{chip}: {error}")),
                bytes
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_read_comes_in_stretches_and_tells_how_far_it_is() {
    let bytes = half_compressible(300_000, 12);
    let bay = Bay::new(board(Chip::Esp32C3));
    let mut session = bay.session().await;
    session
        .write(&prepared(0, &bytes), &WriteOptions::default(), &NoProgress)
        .await
        .unwrap();
    let told = Told::default();
    let mut sink = Vec::new();
    session
        .read_flash_into(1, 299_998, &mut sink, &told)
        .await
        .unwrap();
    assert_eq!(sink, bytes[1..299_999]);
    let told = told.0.into_inner().unwrap();
    assert_eq!(told.last().unwrap(), &("read".to_owned(), 299_998));
    assert!(told.is_sorted_by_key(|(_, done)| *done));
}

#[tokio::test(start_paused = true)]
async fn a_read_beyond_the_flash_is_refused() {
    let bay = Bay::new(board(Chip::Esp32C3));
    let mut session = bay.session().await;
    let error = session
        .read_flash((4 << 20) - 4, 8, &NoProgress)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "flash-range");
    assert!(
        session
            .read_flash(0, 0, &NoProgress)
            .await
            .unwrap()
            .is_empty()
    );
}
