//! Unmodified espefuse reads every virtual chip's eFuses.

use crate::support::{Fleet, stranger};

const CHIPS: [&str; 12] = [
    "esp32", "esp32s2", "esp32s3", "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61",
    "esp32h2", "esp32h4", "esp32p4", "esp32s31",
];

#[test]
fn the_summary_shows_the_factory_mac_of_every_chip() {
    for chip in CHIPS {
        let fleet = Fleet::of(chip, 1);
        let port = format!("socket://{}", fleet.tcp(1));
        let ran = stranger(
            "espefuse",
            &[
                "--chip", chip, "--port", &port, "--before", "no-reset", "summary",
            ],
        )
        .expect(0);
        assert!(
            ran.out.to_lowercase().contains(fleet.mac(1)),
            "{chip}: {}",
            ran.out
        );
    }
}
