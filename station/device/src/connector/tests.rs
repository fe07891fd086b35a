//! Ports opened by address and by bay key, with their locks and reset controls.

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;

use rustix::pty::OpenptFlags;
use tokio::net::{TcpListener, UnixListener};

use super::*;
use crate::bay::FakeSysfs;
use crate::reset::ResetMeans;

/// The far end of a pseudo terminal, and the path of the near one.
fn pty_pair() -> (OwnedFd, PathBuf) {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    (master, PathBuf::from(name.into_string().unwrap()))
}

fn connector(address: Address, locks: &Path) -> AddressConnector {
    AddressConnector::new("A1", address).with_lock_folders(LockFolders {
        uucp: locks.to_owned(),
        endpoints: locks.to_owned(),
    })
}

#[tokio::test]
async fn a_pseudo_terminal_brings_its_control_socket_and_a_second_open_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_master, node) = pty_pair();
    let bay = folder.path().join("bay1");
    symlink(&node, &bay).unwrap();
    let _socket = UnixListener::bind(folder.path().join("bay1.ctl")).unwrap();
    let first = connector(Address::Tty(bay.clone()), folder.path());
    let port = first.open().await.unwrap();
    assert_eq!(port.reset.means(), ResetMeans::ControlSocket);
    let direct = connector(Address::Tty(node), folder.path());
    let error = direct.open().await.unwrap_err();
    assert_eq!(error.code(), "port-in-use", "another name of the same node");
    drop(port);
    let port = direct.open().await.unwrap();
    assert_eq!(
        port.reset.means(),
        ResetMeans::None,
        "no socket beside that name"
    );
}

#[tokio::test]
async fn a_bay_is_resolved_again_when_its_tty_has_another_name() {
    let locks = tempfile::tempdir().unwrap();
    let fake = FakeSysfs::new();
    let (_first, node) = pty_pair();
    let (_second, other) = pty_pair();
    let controller = "pci0000:00/0000:00:14.0";
    let device = fake.plug(controller, "usb1/1-4", ("303a", "1001"), 3);
    fake.tty(&device, "1.0", None, "ttyACM0");
    symlink(&node, fake.sysfs().nodes.join("ttyACM0")).unwrap();
    let watch = BayWatch::start(fake.sysfs());
    let key = "pci-0000:00:14.0/4:1.0".parse().unwrap();
    let bay = AddressConnector::for_bay("A1", key, watch).with_lock_folders(LockFolders {
        uucp: locks.path().to_owned(),
        endpoints: locks.path().to_owned(),
    });
    let port = bay.open().await.unwrap();
    assert!(port.describe().ends_with("ttyACM0"), "{port:?}");
    drop(port);
    fake.unplug(&device, &["ttyACM0"]);
    assert_eq!(bay.open().await.unwrap_err().code(), "no-board");
    let device = fake.plug(controller, "usb1/1-4", ("303a", "1001"), 4);
    fake.tty(&device, "1.0", None, "ttyACM7");
    symlink(&other, fake.sysfs().nodes.join("ttyACM7")).unwrap();
    assert!(bay.open().await.unwrap().describe().ends_with("ttyACM7"));
}

#[tokio::test]
async fn a_network_port_is_locked_while_it_is_open() {
    let locks = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = Address::Tcp {
        host: "127.0.0.1".into(),
        port: listener.local_addr().unwrap().port(),
    };
    let tcp = connector(address, locks.path()).with_reset(Some(ResetConfig::Watchdog));
    let port = tcp.open().await.unwrap();
    assert_eq!(port.reset.means(), ResetMeans::Watchdog);
    assert_eq!(*tcp.presence().borrow(), Presence::Unknown);
    assert_eq!(tcp.open().await.unwrap_err().code(), "port-in-use");
    drop(port);
    tcp.open().await.unwrap();
}

#[tokio::test]
async fn a_node_that_comes_goes_and_comes_back_is_another_board() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let mut presence = connector(Address::Tty(path.clone()), folder.path()).presence();
    assert_eq!(*presence.borrow_and_update(), Presence::Absent);
    fs::write(&path, "").unwrap();
    presence
        .wait_for(|now| *now == Presence::Present(1))
        .await
        .unwrap();
    fs::remove_file(&path).unwrap();
    presence
        .wait_for(|now| *now == Presence::Absent)
        .await
        .unwrap();
    fs::write(&path, "").unwrap();
    presence
        .wait_for(|now| *now == Presence::Present(2))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_empty_place_is_a_contact_failure() {
    let folder = tempfile::tempdir().unwrap();
    let missing = connector(Address::Tty(folder.path().join("tty")), folder.path());
    assert_eq!(missing.open().await.unwrap_err().code(), "no-board");
    let virtual_chip = connector(Address::Virtual(1), folder.path());
    assert_eq!(virtual_chip.open().await.unwrap_err().code(), "unsupported");
}

#[tokio::test]
async fn an_open_that_was_cancelled_does_not_keep_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let (_master, node) = pty_pair();
    let bay = connector(Address::Tty(node), folder.path());
    for polls in 1..20 {
        let mut opening = Box::pin(bay.open());
        for _ in 0..polls {
            if let std::task::Poll::Ready(port) = futures_util::poll!(opening.as_mut()) {
                port.unwrap();
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(opening);
    }
    bay.open().await.unwrap();
}
