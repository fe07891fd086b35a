//! Conversations with a scripted application at the other end of an in-memory stream.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

use super::*;
use crate::link::memory::{BoardControl, MemoryLink};
use crate::reset::{NoReset, ResetTo};

struct Mute;

#[async_trait]
impl BoardControl for Mute {
    async fn reset(&self, _to: ResetTo) -> io::Result<()> {
        Ok(())
    }
}

fn terminal() -> (Terminal, DuplexStream) {
    let (host, chip) = duplex(64 * 1024);
    let link = MemoryLink::new("virtual:1", host, Arc::new(Mute));
    (
        Terminal::open(Port::new(Box::new(link), Box::new(NoReset))),
        chip,
    )
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_question_gets_its_answer_with_groups() {
    let (mut terminal, mut chip) = terminal();
    let app = tokio::spawn(async move {
        let mut line = [0; 9];
        chip.read_exact(&mut line).await.unwrap();
        chip.write_all(b"vdd=3301mV\r\n").await.unwrap();
        (line, chip)
    });
    terminal.send_line("adc vdd").await.unwrap();
    let seen = terminal
        .expect(&[&pattern(r"vdd=(\d+)mV")], Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(seen.groups, [Some("3301".to_owned())]);
    assert_eq!(&app.await.unwrap().0, b"adc vdd\r\n");
}

#[tokio::test(start_paused = true)]
async fn half_a_number_is_not_taken_for_a_number() {
    let (mut terminal, mut chip) = terminal();
    tokio::spawn(async move {
        for byte in b"rssi=-48\n" {
            chip.write_all(&[*byte]).await.unwrap();
            sleep(Duration::from_millis(10)).await;
        }
        chip
    });
    let seen = terminal
        .expect(&[&pattern(r"rssi=(-?\d+)")], Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(seen.groups, [Some("-48".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_match_at_the_end_counts_after_the_wire_was_quiet() {
    let (mut terminal, mut chip) = terminal();
    chip.write_all(b"ready>").await.unwrap();
    let start = Instant::now();
    terminal
        .expect(&[&pattern("ready>")], Duration::from_secs(5))
        .await
        .unwrap();
    assert!(start.elapsed() < Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn the_earliest_of_several_patterns_counts_and_nothing_is_matched_twice() {
    let (mut terminal, mut chip) = terminal();
    chip.write_all(b"SELFTEST START\nFAIL wifi\nPASS\n")
        .await
        .unwrap();
    let (pass, fail) = (pattern("PASS"), pattern("FAIL"));
    let seen = terminal
        .expect(&[&pass, &fail], Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(seen.pattern, 1);
    let seen = terminal
        .expect(&[&pass, &fail], Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(seen.pattern, 0);
    let error = terminal
        .expect(&[&pass, &fail], Duration::from_secs(1))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "not-heard");
}

#[tokio::test(start_paused = true)]
async fn chatter_does_not_stretch_the_deadline() {
    let (mut terminal, mut chip) = terminal();
    tokio::spawn(async move {
        while chip.write_all(b"still booting\n").await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    let start = Instant::now();
    let error = terminal
        .expect(&[&pattern("PASS")], Duration::from_secs(3))
        .await
        .unwrap_err();
    assert_eq!(error.class(), crate::FailureClass::Boot);
    assert!(error.to_string().contains("still booting"));
    assert!(start.elapsed() <= Duration::from_millis(3010));
}

#[tokio::test(start_paused = true)]
async fn a_lost_port_ends_the_wait_at_once() {
    let (mut terminal, chip) = terminal();
    drop(chip);
    let start = Instant::now();
    let error = terminal
        .expect(&[&pattern("PASS")], Duration::from_secs(30))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "link-lost");
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(
        terminal.send_line("x").await.unwrap_err().code(),
        "link-lost"
    );
}

#[tokio::test(start_paused = true)]
async fn an_application_that_reads_nothing_does_not_hold_the_writer_for_ever() {
    let (mut terminal, _chip) = terminal();
    let error = terminal.send(vec![b'x'; 100_000]).await.unwrap_err();
    assert_eq!(error.class(), crate::FailureClass::Timeout);
}

#[tokio::test(start_paused = true)]
async fn output_between_questions_is_kept_and_the_port_comes_back() {
    let (mut terminal, mut chip) = terminal();
    chip.write_all(b"one\n\xFFtwo\n").await.unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(terminal.transcript(), "one\n\u{FFFD}two\n");
    assert_eq!(
        terminal.listen(Duration::from_millis(5)).await,
        "one\n\u{FFFD}two\n"
    );
    let mut port = terminal.into_port().await.unwrap();
    chip.write_all(b"more").await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(port.link.read(&mut buffer).await.unwrap(), 4);
}
