//! Devices and tools of others take updates: ranges over HTTP and HTTPS, a push, signatures.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Ran, TestStation, python, recipe, root};

/// A port of this machine that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn driver(arguments: &[&str]) -> Value {
    let mut command = python();
    command
        .arg(root().join("tests/strangers/ota.py"))
        .args(arguments);
    Ran::of(&command.output().unwrap()).expect(0).json()
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// A station with a package `update.tar`, signed with a key that openssl made; returns what was said of it.
fn packaged() -> (TestStation, Value) {
    let station = TestStation::new();
    let elf = recipe("demo/selftest.elf");
    let arguments = [
        "firmware",
        "elf-to-binary",
        "--chip",
        "esp32c3",
        &elf,
        "--out",
        "app.bin",
    ];
    station.run(&arguments).expect(0);
    openssl(
        station.folder(),
        &["genpkey", "-algorithm", "ed25519", "-out", "key.pem"],
    );
    openssl(
        station.folder(),
        &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"],
    );
    let arguments = [
        "--json",
        "ota",
        "create",
        "app.bin",
        "--product",
        "sensor",
        "--version",
        "1.2.3",
        "--key-file",
        "key.pem",
        "--out",
        "update.tar",
    ];
    let made = station.run(&arguments).expect(0).json();
    (station, made)
}

/// Waits until something listens.
fn await_listener(port: u16) {
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "nothing listens on {port}");
        std::thread::yield_now();
    }
}

#[test]
fn a_signature_is_what_others_compute() {
    let (station, made) = packaged();
    let at = |name: &str| station.folder().join(name).display().to_string();
    let seen = driver(&["verify", &at("update.tar"), &at("public.pem")]);
    assert_eq!(seen["key"], made["signed_by"][0]);
    assert_eq!(seen["sha256"], made["manifest"]["sha256"]);
    let key = seen["key"].as_str().unwrap();
    station
        .run(&["ota", "validate", "update.tar", "--trusted", key])
        .expect(0);
    let refused = station
        .run(&["--json", "ota", "validate", "update.tar"])
        .expect(30)
        .json();
    assert_eq!(refused["findings"][0]["code"], "ota-untrusted");
}

#[test]
fn a_device_downloads_in_ranges_over_http_and_https() {
    let (station, made) = packaged();
    let at = |name: &str| station.folder().join(name).display().to_string();
    driver(&["certificate", &at("")]);
    for secure in [false, true] {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut arguments = vec![
            "ota",
            "deploy",
            "update.tar",
            "--unsigned",
            "--listen",
            &listen,
            "--within",
            "60s",
            "--downloads",
            "1",
        ];
        if secure {
            arguments.extend([
                "--certificate",
                "server.pem",
                "--certificate-key",
                "server.key",
            ]);
        }
        let live = station.start(&arguments);
        await_listener(port);
        let scheme = if secure { "https" } else { "http" };
        let url = format!("{scheme}://{listen}/image.bin");
        let ca = at("server.pem");
        let taken = driver(&["download", &url, &ca]);
        assert_eq!(taken["sha256"], made["manifest"]["sha256"]);
        let ended = live.ended();
        assert_eq!(ended.code, 0, "{}", ended.err);
        let served = &ended.events.last().unwrap()["served"];
        assert_eq!(
            (&served["downloads"], &served["bytes"]),
            (&1.into(), &taken["size"])
        );
    }
}

/// Answers one request with `answer` and returns what was sent.
fn device(answer: &'static str) -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut received = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let head = received.windows(4).position(|four| four == b"\r\n\r\n");
            let length = head.and_then(|end| {
                let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
                let length = head.split("content-length: ").nth(1)?;
                Some(end + 4 + length.lines().next()?.trim().parse::<usize>().ok()?)
            });
            if length.is_some_and(|length| received.len() >= length) {
                break;
            }
            let count = stream.read(&mut piece).unwrap();
            assert_ne!(count, 0, "the station hung up");
            received.extend_from_slice(&piece[..count]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        received
    });
    (port, receiving)
}

#[test]
fn a_push_arrives_whole_and_goes_nowhere_else() {
    let (station, _) = packaged();
    let image = std::fs::read(station.folder().join("app.bin")).unwrap();
    let push = |port: u16| {
        let url = format!("http://127.0.0.1:{port}/ota");
        station.run(&[
            "--json",
            "ota",
            "deploy",
            "update.tar",
            "--unsigned",
            "--push",
            &url,
        ])
    };
    let (port, receiving) = device("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    let pushed = push(port).expect(0).json();
    assert_eq!(pushed["pushed"]["answer"], "done");
    let received = receiving.join().unwrap();
    assert!(received.starts_with(b"PUT /ota HTTP/1.1\r\n"));
    assert!(received.ends_with(&image));
    let (port, receiving) =
        device("HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    let refused = push(port).expect(30).json();
    assert_eq!(refused["error"]["code"], "push-redirected");
    receiving.join().unwrap();
    let far = [
        "--json",
        "ota",
        "deploy",
        "update.tar",
        "--unsigned",
        "--push",
        "http://8.8.8.8/",
    ];
    let refused = station.run(&far).expect(70).json();
    assert_eq!(refused["error"]["code"], "push-not-allowed");
    let wide = [
        "--json",
        "ota",
        "deploy",
        "update.tar",
        "--unsigned",
        "--listen",
        "0.0.0.0:0",
    ];
    let refused = station.run(&wide).expect(70).json();
    assert_eq!(refused["error"]["code"], "ota-serve-not-allowed");
    let unsigned = ["--json", "ota", "deploy", "update.tar"];
    let refused = station.run(&unsigned).expect(30).json();
    assert_eq!(refused["error"]["code"], "ota-untrusted");
}
