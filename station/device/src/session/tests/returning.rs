//! Ports that go away with a reset, and those that go away otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use regex::Regex;
use station_esp::Chip;
use tokio::sync::watch;
use tokio::time::Instant;

use super::rig::{Bay, wired};
use crate::error::DeviceError;
use crate::port::{Connector, Port, Presence};
use crate::session::{ConnectOptions, Session};

/// Opens a bay's port again, or says that there is no board.
struct Again {
    bay: Bay,
    there: bool,
    opened: AtomicU32,
}

#[async_trait]
impl Connector for Again {
    fn name(&self) -> String {
        "A1".into()
    }

    async fn open(&self) -> Result<Port, DeviceError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        if self.there {
            return Ok(self.bay.port().await);
        }
        Err(DeviceError::NoBoard { place: self.name() })
    }

    fn presence(&self) -> watch::Receiver<Presence> {
        watch::Sender::new(Presence::Unknown).subscribe()
    }
}

/// A bay whose port goes away with every reset, or stays.
fn again(goes: bool, there: bool) -> Arc<Again> {
    let mut config = wired(Chip::Esp32C3);
    config.faults.reenumerate = goes;
    Arc::new(Again {
        bay: Bay::new(config),
        there,
        opened: AtomicU32::new(0),
    })
}

async fn connect(again: &Arc<Again>) -> Result<Session, DeviceError> {
    let port = again.bay.port().await.returning(again.clone());
    Session::connect(port, &ConnectOptions::default()).await
}

#[tokio::test(start_paused = true)]
async fn a_port_that_went_away_with_a_reset_is_opened_again_for_loader_and_application() {
    let again = again(true, true);
    let session = connect(&again).await.unwrap();
    assert_eq!(again.opened.load(Ordering::Relaxed), 1);
    let mut terminal = session.boot(115_200).await.unwrap();
    let boot = Regex::new("boot:0x").unwrap();
    terminal
        .expect(&[&boot], Duration::from_secs(3))
        .await
        .unwrap();
    assert_eq!(again.opened.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_does_not_come_back_is_lost_by_its_deadline() {
    let again = again(true, false);
    let start = Instant::now();
    let error = connect(&again).await.unwrap_err();
    assert_eq!(error.code(), "link-lost");
    assert!(error.to_string().contains("did not come back"), "{error}");
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_port_that_goes_away_after_its_chip_answered_is_lost_at_once() {
    let again = again(false, true);
    let mut session = connect(&again).await.unwrap();
    again.bay.control.reenumerate().await.unwrap();
    let error = session.md5(0, 4096).await.unwrap_err();
    assert_eq!(error.code(), "link-lost");
    assert_eq!(
        again.opened.load(Ordering::Relaxed),
        0,
        "nobody looked for it"
    );
}
