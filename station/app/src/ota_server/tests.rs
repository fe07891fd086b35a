//! The server over real sockets of this machine, asked with bytes written by hand.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use station_esp::Chip;
use station_esp::ota::{Manifest, Package};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Count, Offer, OtaServer, Until};

/// A small application image for the ESP32-C3 with code and data in mapped flash.
fn image() -> Vec<u8> {
    let mut bytes = vec![0xE9, 2, 2, 0x20, 0, 0, 0x38, 0x40, 0xEE, 0, 0, 0];
    bytes.extend(Chip::Esp32C3.spec().image_id.to_le_bytes());
    bytes.extend([0, 3, 0, 199, 0, 0, 0, 0, 0, 1]);
    let segments = [
        (0x3C00_0020_u32, vec![7; 64]),
        (
            0x4200_0068,
            (0..700_u32).map(|at| at.to_le_bytes()[0]).collect(),
        ),
    ];
    let mut sum = 0xEF;
    for (address, content) in segments {
        bytes.extend(address.to_le_bytes());
        bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        sum = content.iter().fold(sum, |sum: u8, byte| sum ^ byte);
        bytes.extend(content);
    }
    bytes.resize(bytes.len() / 16 * 16 + 15, 0);
    bytes.push(sum);
    let hash = Sha256::digest(&bytes);
    bytes.extend(hash);
    bytes
}

fn package() -> Vec<u8> {
    let image = image();
    let manifest = Manifest::for_image("sensor", Some("1.2.3"), None, &image).unwrap();
    Package::new(manifest, &image).unwrap().to_bytes().unwrap()
}

struct Served {
    address: std::net::SocketAddr,
    running: JoinHandle<Count>,
}

impl Served {
    async fn until(downloads: u64) -> Self {
        let offer = Offer::of(package()).unwrap();
        let server = OtaServer::bind("127.0.0.1:0".parse().unwrap(), offer, None);
        let server = server.await.unwrap();
        let until = Until {
            time: Duration::from_secs(60),
            downloads: Some(downloads),
        };
        Self {
            address: server.address(),
            running: tokio::spawn(server.run(until)),
        }
    }

    /// The head, in lower case, and the body of the answer to one request.
    async fn ask(&self, request: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{request}Host: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head.to_lowercase(), answer[end + 4..].to_vec())
    }
}

#[tokio::test]
async fn an_image_is_sent_whole_and_counted() {
    let served = Served::until(2).await;
    let image = image();
    for path in ["/image.bin", "/package.tar"] {
        let (head, body) = served.ask(&format!("GET {path} HTTP/1.1\r\n")).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("accept-ranges: bytes"), "{head}");
        match path {
            "/image.bin" => assert_eq!(body, image),
            _ => assert_eq!(body, package()),
        }
    }
    let count = served.running.await.unwrap();
    assert_eq!((count.requests, count.downloads, count.refused), (2, 2, 0));
    assert_eq!(count.bytes, (image.len() + package().len()) as u64);
}

#[tokio::test]
async fn a_part_carries_the_digest_of_the_whole_and_only_the_last_one_is_a_download() {
    use base64::Engine as _;
    let served = Served::until(1).await;
    let image = image();
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&image));
    let length = image.len();
    let first = "GET /image.bin HTTP/1.1\r\nRange: bytes=0-99\r\n";
    let (head, body) = served.ask(first).await;
    assert!(head.starts_with("http/1.1 206"), "{head}");
    assert!(
        head.contains(&format!("content-range: bytes 0-99/{length}")),
        "{head}"
    );
    let shown = format!("repr-digest: sha-256=:{digest}:").to_lowercase();
    assert!(head.contains(&shown), "{head}");
    assert_eq!(body, image[..100]);
    let beyond = format!("GET /image.bin HTTP/1.1\r\nRange: bytes={length}-\r\n");
    let (head, body) = served.ask(&beyond).await;
    assert!(head.starts_with("http/1.1 416"), "{head}");
    assert!(
        head.contains(&format!("content-range: bytes */{length}")),
        "{head}"
    );
    assert!(body.is_empty());
    assert!(!served.running.is_finished());
    let rest = "GET /image.bin HTTP/1.1\r\nRange: bytes=100-\r\n";
    let (_, body) = served.ask(rest).await;
    assert_eq!(body, image[100..]);
    assert_eq!(served.running.await.unwrap().downloads, 1);
}

#[tokio::test]
async fn a_range_of_other_bytes_is_the_whole_and_known_bytes_are_not_sent() {
    let served = Served::until(9).await;
    let image = image();
    let etag = format!("\"{}\"", hex::encode(Sha256::digest(&image)));
    let part = "GET /image.bin HTTP/1.1\r\nRange: bytes=0-9\r\n";
    let (_, body) = served.ask(&format!("{part}If-Range: {etag}\r\n")).await;
    assert_eq!(body, image[..10]);
    let (_, body) = served.ask(&format!("{part}If-Range: \"other\"\r\n")).await;
    assert_eq!(body, image);
    let known = format!("GET /image.bin HTTP/1.1\r\nIf-None-Match: \"a\", W/{etag}\r\n");
    let (head, body) = served.ask(&known).await;
    assert!(head.starts_with("http/1.1 304"), "{head}");
    assert!(body.is_empty());
    served.running.abort();
}

#[tokio::test]
async fn head_says_how_long_it_is_and_anything_else_is_refused() {
    let served = Served::until(9).await;
    let head = "HEAD /image.bin HTTP/1.1\r\nRange: bytes=0-9\r\n";
    let (head, body) = served.ask(head).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", image().len())),
        "{head}"
    );
    assert!(body.is_empty());
    for (request, status) in [
        ("GET / HTTP/1.1\r\n", 404),
        ("GET /../etc/passwd HTTP/1.1\r\n", 404),
        ("GET /image.bin/ HTTP/1.1\r\n", 404),
        ("POST /image.bin HTTP/1.1\r\n", 405),
    ] {
        let (head, _) = served.ask(request).await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{request}: {head}"
        );
    }
    let long = format!(
        "GET /image.bin HTTP/1.1\r\nX: {}\r\n",
        "x".repeat(64 * 1024)
    );
    let (head, _) = served.ask(&long).await;
    assert!(head.starts_with("http/1.1 431"), "{head}");
    served.running.abort();
}

#[tokio::test]
async fn an_open_connection_does_not_hold_the_end_up() {
    let served = Served::until(1).await;
    let mut open = TcpStream::connect(served.address).await.unwrap();
    open.write_all(b"HEAD /image.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    open.read_exact(&mut first).await.unwrap();
    served.ask("GET /image.bin HTTP/1.1\r\n").await;
    assert_eq!(served.running.await.unwrap().downloads, 1);
    // What is left of the answer, and then the end of the connection.
    let mut rest = Vec::new();
    open.read_to_end(&mut rest).await.unwrap();
}
