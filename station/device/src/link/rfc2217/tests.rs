//! The RFC 2217 link against the crate's own server, and against peers that are none.

use std::time::Duration;

use rfc2217::{Server, ServerEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

/// An RFC 2217 server that echoes serial data and reports what it was told.
async fn echo_server() -> (u16, mpsc::UnboundedReceiver<ServerEvent>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut server = Server::new(PortSettings::default());
        let mut buffer = [0; 4096];
        loop {
            socket.write_all(&server.take_output()).await.unwrap();
            let Ok(count @ 1..) = socket.read(&mut buffer).await else {
                return;
            };
            let payload = server.receive(&buffer[..count]);
            server.write_data(&payload);
            while let Some(event) = server.poll_event() {
                tell.send(event).unwrap();
            }
        }
    });
    (port, events)
}

#[tokio::test]
async fn every_byte_value_survives_the_telnet_layer() {
    let (port, _events) = echo_server().await;
    let mut link = Rfc2217Link::connect("127.0.0.1", port, 115_200)
        .await
        .unwrap();
    let all: Vec<u8> = (0..=255u8).cycle().take(40_000).collect();
    link.write_all(&all).await.unwrap();
    let mut back = Vec::new();
    let mut buffer = [0; 4096];
    while back.len() < all.len() {
        let count = link.read(&mut buffer).await.unwrap();
        back.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(back, all);
}

#[tokio::test]
async fn baud_and_lines_are_acknowledged_before_the_call_returns() {
    let (port, mut events) = echo_server().await;
    let mut link = Rfc2217Link::connect("127.0.0.1", port, 115_200)
        .await
        .unwrap();
    link.set_baud(921_600).await.unwrap();
    link.set_lines(Some(false), Some(true)).await.unwrap();
    assert!(!link.mute);
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(event);
    }
    assert!(told.iter().any(
        |event| matches!(event, ServerEvent::SettingsChanged(set) if set.baud_rate == 921_600)
    ));
    assert_eq!(
        told[told.len() - 2..],
        [ServerEvent::Dtr(false), ServerEvent::Rts(true)]
    );
}

#[tokio::test]
async fn discarded_input_is_gone_and_later_input_is_not() {
    let (port, _events) = echo_server().await;
    let mut link = Rfc2217Link::connect("127.0.0.1", port, 115_200)
        .await
        .unwrap();
    link.write_all(b"old").await.unwrap();
    link.discard_input().await.unwrap();
    link.write_all(b"new").await.unwrap();
    let mut buffer = [0; 16];
    let count = link.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"new");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_unreachable_at_the_deadline() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::time::timeout(Duration::from_secs(30), async {
        let (link, _peer) = tokio::join!(
            Rfc2217Link::connect("127.0.0.1", port, 115_200),
            listener.accept()
        );
        let error = link.unwrap_err();
        assert_eq!(error.code(), "unreachable");
        assert!(error.to_string().contains("COM-PORT-OPTION"), "{error}");
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_plain_telnet_server_is_refused_at_once() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        // IAC DONT COM-PORT-OPTION
        socket.write_all(&[0xff, 0xfe, 0x2c]).await.unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    });
    let error = Rfc2217Link::connect("127.0.0.1", port, 115_200)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_flood_is_held_back_by_a_bounded_inbox() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut server = Server::new(PortSettings::default());
        let mut buffer = [0; 4096];
        while server.settings().baud_rate != 57_600 {
            socket.write_all(&server.take_output()).await.unwrap();
            let count = socket.read(&mut buffer).await.unwrap();
            let _ = server.receive(&buffer[..count]);
        }
        socket.write_all(&server.take_output()).await.unwrap();
        while socket.write_all(&[0x55; 4096]).await.is_ok() {}
    });
    let mut link = Rfc2217Link::connect("127.0.0.1", port, 57_600)
        .await
        .unwrap();
    link.set_lines(Some(true), None).await.unwrap();
    assert!(
        link.inbox.len() <= INBOX_LIMIT + CHUNK,
        "{}",
        link.inbox.len()
    );
    assert!(
        !link.mute,
        "an acknowledgment behind a flood is not a missing one"
    );
    link.discard_input().await.unwrap();
    assert!(link.inbox.is_empty());
}
