//! Leaving the loader for the application.

use std::time::Duration;

use regex::Regex;
use station_esp::Chip;

use super::rig::{Bay, rom_only, wired};
use crate::session::{AfterSession, ConnectOptions};

#[tokio::test(start_paused = true)]
async fn a_chip_that_is_restarted_prints_its_boot_log_from_the_first_line() {
    let boot = Regex::new(r"boot:0x[0-9a-f]+ \(SPI").unwrap();
    for options in [ConnectOptions::default(), rom_only()] {
        let bay = Bay::new(wired(Chip::Esp32C3));
        let session = bay.connect(&options).await.unwrap();
        let mut terminal = session.boot(115_200).await.unwrap();
        terminal
            .expect(&[&boot], Duration::from_secs(2))
            .await
            .unwrap();
        assert!(
            terminal.transcript().contains("rst:"),
            "{}",
            terminal.transcript()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_given_back_can_be_listened_to() {
    let bay = Bay::new(wired(Chip::Esp32C3));
    let port = bay
        .session()
        .await
        .close(AfterSession::Application)
        .await
        .unwrap();
    let mut terminal = crate::Terminal::open(port);
    let text = terminal.listen(Duration::from_millis(500)).await;
    assert!(text.contains("boot:0x"), "{text}");
}
