//! Fleets are served, kept and cleaned up.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Serves until `during` is done with what became ready.
async fn served<T, F>(config: FleetConfig, during: impl FnOnce(Ready) -> F) -> Result<T, FleetError>
where
    F: Future<Output = T>,
{
    let (tell, told) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = serve(
        config,
        async {
            let _ = stopped.await;
        },
        |ready| {
            let _ = tell.send(ready.clone());
        },
    );
    let watching = async {
        let ready = told.await.ok()?;
        let seen = during(ready).await;
        let _ = stop.send(());
        Some(seen)
    };
    let both = async { tokio::join!(serving, watching) };
    let (served, seen) = tokio::time::timeout(DEADLINE, both)
        .await
        .expect("serving ends");
    served.map(|()| seen.expect("it became ready"))
}

/// The answer of a control socket to one line.
async fn told(ctl: &Path, line: &str) -> String {
    let mut stream = BufReader::new(UnixStream::connect(ctl).await.unwrap());
    stream
        .write_all(format!("{line}\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).await.unwrap();
    answer.trim_end().to_owned()
}

fn config(dir: &Path) -> FleetConfig {
    FleetConfig {
        dir: Some(dir.to_owned()),
        ..FleetConfig::new(Chip::Esp32C3, 2)
    }
}

#[test]
fn units_of_a_fleet_never_share_a_mac() {
    for seed in [0, 1, u64::MAX] {
        let macs: BTreeSet<_> = (1..=70_000).map(|unit| mac(seed, unit).0).collect();
        assert_eq!(macs.len(), 70_000);
        assert!(macs.iter().all(|mac| mac[..3] == [0x7C, 0xDF, 0xA1]));
    }
    assert_ne!(mac(1, 1), mac(2, 1));
}

#[tokio::test]
async fn a_fleet_tells_how_it_is_reached_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.tcp = Some(0);
    config.rfc2217 = Some(0);
    let line = served(config, |ready| async move {
        for bay in &ready.bays {
            assert!(std::fs::metadata(bay.pty.as_ref().unwrap()).is_ok());
            let state = told(bay.ctl.as_ref().unwrap(), "state").await;
            assert!(state.contains(&bay.mac), "{state}");
            assert!(state.contains("\"strap_download\":true"), "{state}");
        }
        ready.line()
    });
    let line = line.await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["ready"], true);
    assert_eq!(json["bays"][1]["name"], "bay2");
    assert_eq!(json["bays"][1]["chip"], "esp32c3");
    assert_ne!(json["bays"][0]["tcp"], json["bays"][1]["tcp"]);
    assert!(
        json["bays"][0]["rfc2217"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_kept_board_comes_back_with_its_mac() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir.path().join("ports"));
    config.state = Some(dir.path().join("state"));
    let before = served(config.clone(), |ready| async move {
        // Another board than the first has the bay in the end.
        assert_eq!(
            told(ready.bays[0].ctl.as_ref().unwrap(), "replace").await,
            "ok"
        );
        told(ready.bays[0].ctl.as_ref().unwrap(), "state").await
    });
    let before = before.await.unwrap();
    let after = served(
        config.clone(),
        |ready| async move { ready.bays[0].mac.clone() },
    );
    let after = after.await.unwrap();
    assert!(before.contains(&after), "{after} is not in {before}");
    let third = served(config, |ready| async move {
        assert_eq!(
            told(ready.bays[1].ctl.as_ref().unwrap(), "replace").await,
            "ok"
        );
        told(ready.bays[1].ctl.as_ref().unwrap(), "state").await
    });
    assert!(
        !third.await.unwrap().contains(&after),
        "two bays have the same board"
    );
}

#[tokio::test]
async fn state_of_another_chip_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir.path().join("ports"));
    config.state = Some(dir.path().join("state"));
    served(config.clone(), |_| async {}).await.unwrap();
    config.chip = Chip::Esp32;
    let error = served(config, |_| async {}).await.unwrap_err();
    assert_eq!(error.code(), "fleet-state-foreign");
}

#[tokio::test]
async fn a_fleet_nobody_can_reach_is_refused() {
    let refused =
        |config: FleetConfig| async { serve(config, async {}, |_| {}).await.unwrap_err().code() };
    assert_eq!(
        refused(FleetConfig::new(Chip::Esp32, 1)).await,
        "fleet-no-ports"
    );
    assert_eq!(
        refused(FleetConfig::new(Chip::Esp32, 0)).await,
        "fleet-count"
    );
    let far = FleetConfig {
        tcp: Some(65_535),
        ..FleetConfig::new(Chip::Esp32, 2)
    };
    assert_eq!(refused(far).await, "fleet-port-range");
}
