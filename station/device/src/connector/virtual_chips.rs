//! Every kind of link against a virtual chip: a reset into the bootloader must make the ROM answer.

use std::sync::Arc;
use std::time::Duration;

use station_esp::chip::Chip;
use station_virtual::server::ctl::{self, Boards};
use station_virtual::server::{memory, pty, rfc2217, tcp};
use station_virtual::{ChipConfig, Control, VirtualChip};

use super::*;
use crate::reset::{ResetMeans, ResetTo};

/// No other boards than the one that is in.
struct NoBoards;

impl Boards for NoBoards {
    fn board(&self, _unit: Option<u64>) -> Result<(VirtualChip, bool), String> {
        Err("none".to_owned())
    }
}

fn bay() -> Control {
    memory::spawn(ChipConfig::new(Chip::Esp32C3, 1, 1)).1
}

fn connector(address: Address, locks: &Path) -> AddressConnector {
    AddressConnector::new("A1", address).with_lock_folders(LockFolders {
        uucp: locks.to_owned(),
        endpoints: locks.to_owned(),
    })
}

/// Greets the ROM until it answers with a frame that reports a successful SYNC (0x08).
async fn greet(port: &mut Port) -> Vec<u8> {
    let mut greeting = vec![
        0xc0, 0x00, 0x08, 0x24, 0x00, 0, 0, 0, 0, 0x07, 0x07, 0x12, 0x20,
    ];
    greeting.extend([0x55; 32]);
    greeting.push(0xc0);
    let answered = async {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            port.link.write_all(&greeting).await.unwrap();
            let pause = Duration::from_millis(200);
            while let Ok(count) = tokio::time::timeout(pause, port.link.read(&mut buffer)).await {
                heard.extend_from_slice(&buffer[..count.unwrap()]);
                if heard.windows(3).any(|bytes| bytes == [0xc0, 0x01, 0x08]) {
                    return heard;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered)
        .await
        .expect("the ROM is silent")
}

#[tokio::test]
async fn a_chip_behind_a_pseudo_terminal_is_reset_through_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let control = bay();
    let path = folder.path().join("bay1");
    let _terminal = pty::open(&control, &path).await.unwrap();
    let socket = folder.path().join("bay1.ctl");
    let _socket = ctl::serve(&control, &socket, Arc::new(NoBoards))
        .await
        .unwrap();
    let mut port = connector(Address::Tty(path), folder.path())
        .open()
        .await
        .unwrap();
    assert_eq!(port.reset.means(), ResetMeans::ControlSocket);
    port.reset
        .apply(&mut *port.link, ResetTo::Bootloader)
        .await
        .unwrap();
    greet(&mut port).await;
    port.link.set_baud(921_600).await.unwrap();
    port.reset
        .apply(&mut *port.link, ResetTo::Application)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_terminal_that_has_another_name_after_every_reset_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ChipConfig::new(Chip::Esp32C3, 1, 1);
    config.faults.reenumerate = true;
    // The boot log takes its time, as on a board.
    config.wire = station_virtual::wire::Wire::On;
    let control = memory::spawn(config).1;
    let path = folder.path().join("bay1");
    let _terminal = pty::open(&control, &path).await.unwrap();
    let _socket = ctl::serve(
        &control,
        &folder.path().join("bay1.ctl"),
        Arc::new(NoBoards),
    )
    .await
    .unwrap();
    let connector = connector(Address::Tty(path.clone()), folder.path());
    let presence = connector.presence();
    let before = std::fs::read_link(&path).unwrap();
    let port = connector.open().await.unwrap();
    let mut session = crate::Session::connect(port, &crate::ConnectOptions::default())
        .await
        .unwrap();
    assert_ne!(std::fs::read_link(&path).unwrap(), before, "it did move");
    session.md5(0, 4096).await.unwrap();
    let mut terminal = session.boot(115_200).await.unwrap();
    let boot = regex::Regex::new("boot:0x").unwrap();
    terminal
        .expect(&[&boot], Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(*presence.borrow(), Presence::Present(1), "the same board");
}

#[tokio::test]
async fn a_chip_behind_rfc_2217_is_reset_by_modem_lines() {
    let folder = tempfile::tempdir().unwrap();
    let control = bay();
    let server = rfc2217::serve(&control, 0).await.unwrap();
    let address = Address::Rfc2217 {
        host: "127.0.0.1".into(),
        port: server.address().port(),
    };
    for reset in [ResetConfig::Classic, ResetConfig::Tight] {
        let connector = connector(address.clone(), folder.path()).with_reset(Some(reset.clone()));
        let mut port = connector.open().await.unwrap();
        port.reset
            .apply(&mut *port.link, ResetTo::Application)
            .await
            .unwrap();
        port.reset
            .apply(&mut *port.link, ResetTo::Bootloader)
            .await
            .unwrap();
        port.link.discard_input().await.unwrap();
        greet(&mut port).await;
        port.link.set_baud(460_800).await.unwrap();
        assert_eq!(
            control.state().await.unwrap().host_baud,
            Some(460_800),
            "{reset:?}"
        );
    }
}

#[tokio::test]
async fn a_chip_behind_raw_tcp_is_reset_through_a_configured_socket() {
    let folder = tempfile::tempdir().unwrap();
    let control = bay();
    let server = tcp::serve(&control, 0).await.unwrap();
    let socket = folder.path().join("jig.ctl");
    let _socket = ctl::serve(&control, &socket, Arc::new(NoBoards))
        .await
        .unwrap();
    let address = Address::Tcp {
        host: "127.0.0.1".into(),
        port: server.address().port(),
    };
    let connector = connector(address, folder.path()).with_reset(Some(ResetConfig::Socket(socket)));
    let mut port = connector.open().await.unwrap();
    port.reset
        .apply(&mut *port.link, ResetTo::Bootloader)
        .await
        .unwrap();
    greet(&mut port).await;
}
