//! How close a unit comes to its physical limit.

use std::time::Duration;

use station_esp::Chip;
use station_virtual::chip::ChipConfig;
use station_virtual::nor::FlashTiming;
use tokio::time::Instant;

use super::rig::{Bay, half_compressible, prepared, wired};
use crate::flash::{NoProgress, WriteOptions};

const BAUD: f64 = 921_600.0;

#[tokio::test(start_paused = true)]
async fn one_mebibyte_takes_at_most_a_tenth_longer_than_its_bytes_on_the_wire() {
    let config = ChipConfig {
        flash_timing: FlashTiming::Typical,
        ..wired(Chip::Esp32C3)
    };
    let bay = Bay::new(config);
    let bytes = half_compressible(1 << 20, 41);
    let image = prepared(0x1_0000, &bytes);

    let start = Instant::now();
    let mut session = bay.session().await;
    let connected = start.elapsed();
    let how = WriteOptions::default();
    let written = session.write(&image, &how, &NoProgress).await.unwrap();
    let took = start.elapsed();
    assert!(written.verified && !written.skipped);

    let limit = Duration::from_secs_f64(image.carried_bytes() as f64 * 10.0 / BAUD);
    let ratio = took.as_secs_f64() / limit.as_secs_f64();
    println!(
        "connect {connected:?}, write {:?}, limit {limit:?}, ratio {ratio:.3}; framing {} bytes",
        written.took,
        image.wire_bytes() - image.carried_bytes(),
    );
    assert!(ratio <= 1.10, "ratio {ratio:.3}");
}

#[tokio::test(start_paused = true)]
async fn a_board_that_holds_the_image_already_is_through_in_a_fraction() {
    let config = ChipConfig {
        flash_timing: FlashTiming::Typical,
        ..wired(Chip::Esp32C3)
    };
    let bay = Bay::new(config);
    let image = prepared(0x1_0000, &half_compressible(1 << 20, 42));
    let how = WriteOptions::default();
    bay.session()
        .await
        .write(&image, &how, &NoProgress)
        .await
        .unwrap();
    let start = Instant::now();
    let again = bay
        .session()
        .await
        .write(&image, &how, &NoProgress)
        .await
        .unwrap();
    assert!(again.skipped && again.verified);
    assert!(
        start.elapsed() < Duration::from_millis(400),
        "{:?}",
        start.elapsed()
    );
}
