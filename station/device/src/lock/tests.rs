//! Locks between this process and others, alive and dead.

use std::process::{Command, Stdio};

use super::*;

fn folders(root: &Path) -> LockFolders {
    LockFolders {
        uucp: root.to_owned(),
        endpoints: root.to_owned(),
    }
}

/// An address that no other test uses; a node need not exist to be locked.
fn tty(root: &Path) -> Address {
    Address::Tty(root.join("ttyT0"))
}

/// A process that lives until it is dropped.
struct Living(std::process::Child);

impl Living {
    fn start() -> Self {
        let child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn one_process_opens_one_port_once() {
    let root = tempfile::tempdir().unwrap();
    let first = PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap();
    let second = PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap_err();
    assert_eq!(second.code(), "port-in-use");
    assert!(
        second
            .hint()
            .unwrap()
            .contains(&std::process::id().to_string())
    );
    drop(first);
    PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lock_file_holds_our_pid_in_ten_columns_and_goes_with_the_lock() {
    let root = tempfile::tempdir().unwrap();
    let lock = PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap();
    let file = root.path().join("LCK..ttyT0");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, format!("{:>10}\n", std::process::id()));
    drop(lock);
    assert!(!file.exists());
    assert_eq!(
        fs::read_dir(root.path()).unwrap().count(),
        0,
        "no draft stays"
    );
}

#[tokio::test]
async fn the_lock_of_a_living_program_is_honoured() {
    let root = tempfile::tempdir().unwrap();
    let other = Living::start();
    let pid = other.0.id();
    fs::write(
        root.path().join("LCK..ttyT0"),
        format!("{pid:>10} minicom root\n"),
    )
    .unwrap();
    let error = PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, DeviceError::PortInUse { pid: Some(found), .. } if found == pid));
    assert!(root.path().join("LCK..ttyT0").exists());
}

#[tokio::test]
async fn the_lock_of_a_dead_program_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let pid = {
        let other = Living::start();
        other.0.id()
    };
    fs::write(root.path().join("LCK..ttyT0"), pid.to_ne_bytes()).unwrap();
    PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_fresh_lock_without_a_pid_is_honoured_and_an_old_one_is_not() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("LCK..ttyT0");
    fs::write(&path, "half-written").unwrap();
    let error = PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, DeviceError::PortInUse { pid: None, .. }));
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(hour_ago)
        .unwrap();
    PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_missing_lock_folder_is_tolerated() {
    let root = tempfile::tempdir().unwrap();
    let nowhere = folders(&root.path().join("no-such"));
    let address = Address::Tcp {
        host: "missing.test".into(),
        port: 1,
    };
    PortLock::take(&tty(root.path()), &nowhere).await.unwrap();
    PortLock::take(&address, &nowhere).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_is_locked_whichever_protocol_is_spoken() {
    let root = tempfile::tempdir().unwrap();
    let raw: Address = "tcp://lock.test:4000".parse().unwrap();
    let telnet: Address = "rfc2217://LOCK.test:4000".parse().unwrap();
    let other: Address = "tcp://lock.test:4001".parse().unwrap();
    let _first = PortLock::take(&raw, &folders(root.path())).await.unwrap();
    let error = PortLock::take(&telnet, &folders(root.path()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "port-in-use");
    PortLock::take(&other, &folders(root.path())).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_another_station_has_is_refused_with_its_pid() {
    let root = tempfile::tempdir().unwrap();
    let address: Address = "tcp://other.test:4000".parse().unwrap();
    // Another open file description is to `flock` what another process is.
    let file = fs::File::create(root.path().join("station-other.test_4000.lock")).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let error = PortLock::take(&address, &folders(root.path()))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        DeviceError::PortInUse { pid: Some(pid), .. } if pid == std::process::id()
    ));
    // Closing is not enough: a child that another test is just starting has the same open file.
    rustix::fs::flock(&file, rustix::fs::FlockOperation::Unlock).unwrap();
    PortLock::take(&address, &folders(root.path()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_port_that_is_being_closed_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let first = PortLock::take(&tty(root.path()), &folders(root.path()))
        .await
        .unwrap();
    first.closing();
    let address = tty(root.path());
    let places = folders(root.path());
    let next = tokio::spawn(async move { PortLock::take(&address, &places).await });
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    drop(first);
    next.await.unwrap().unwrap();
}
