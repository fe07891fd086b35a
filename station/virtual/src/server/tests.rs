//! Bays as hosts see them: in memory on a paused clock, over terminals and sockets on the real one.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use station_esp::Chip;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::*;
use crate::chip::{ChipConfig, Mode, VirtualChip};
use crate::script::AppScript;
use crate::wire::Wire;

const DEADLINE: Duration = Duration::from_secs(20);

fn board(unit: u64) -> ChipConfig {
    ChipConfig {
        app: Some(AppScript::demo()),
        wire: Wire::On,
        ..ChipConfig::new(Chip::Esp32C3, unit, 1)
    }
}

/// The frame that a host knocks with: SYNC with its 36 bytes.
fn sync() -> Vec<u8> {
    let mut frame = b"\xC0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20".to_vec();
    frame.extend([0x55; 32]);
    frame.push(0xC0);
    frame
}

/// The beginning of an answer to SYNC.
const SYNCED: &[u8] = b"\xC0\x01\x08";

/// Reads a register, which nothing else here does: answers to earlier knocks may still come.
const QUESTION: &[u8] = b"\xC0\x00\x0A\x04\x00\x00\x00\x00\x00\x00\x10\x00\x40\xC0";
/// How its answer begins.
const ANSWERED: &[u8] = b"\xC0\x01\x0A";

/// Reads until `wanted` has come, or fails after the deadline.
async fn until(stream: &mut (impl AsyncRead + Unpin), wanted: &[u8]) -> Vec<u8> {
    let mut seen = Vec::new();
    let found = timeout(DEADLINE, async {
        let mut buffer = [0; 1024];
        while !seen.windows(wanted.len()).any(|part| part == wanted) {
            let count = stream.read(&mut buffer).await.unwrap();
            assert_ne!(
                count,
                0,
                "the port closed after {:?}",
                String::from_utf8_lossy(&seen)
            );
            seen.extend_from_slice(&buffer[..count]);
        }
    });
    let found = found.await;
    assert!(
        found.is_ok(),
        "only came: {:?}",
        String::from_utf8_lossy(&seen)
    );
    seen
}

/// Reads for `span` and returns what came.
async fn during(stream: &mut (impl AsyncRead + Unpin), span: Duration) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    let end = Instant::now() + span;
    while let Ok(Ok(count)) = tokio::time::timeout_at(end, stream.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        seen.extend_from_slice(&buffer[..count]);
    }
    seen
}

/// Knocks, as hosts do, until the chip has booted far enough to answer.
async fn knock(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut seen = Vec::new();
    let end = Instant::now() + DEADLINE;
    while !holds(&seen, SYNCED) {
        assert!(
            Instant::now() < end,
            "only came: {:?}",
            String::from_utf8_lossy(&seen)
        );
        stream.write_all(&sync()).await.unwrap();
        seen.extend(during(stream, Duration::from_millis(100)).await);
    }
}

fn holds(seen: &[u8], wanted: &[u8]) -> bool {
    seen.windows(wanted.len()).any(|part| part == wanted)
}

#[tokio::test(start_paused = true)]
async fn a_chip_in_memory_answers_once_it_is_in_the_bootloader() {
    let (mut link, control) = memory::spawn(board(1));
    control.reset(ResetTo::Bootloader).await.unwrap();
    assert!(holds(
        &until(&mut link, b"waiting for download").await,
        b"waiting"
    ));
    knock(&mut link).await;
    let state = control.state().await.unwrap();
    assert_eq!(state.mode, Some(Mode::Rom));
    assert!(state.strap_download);
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_takes_effect_behind_the_bytes_sent_before() {
    let (mut link, control) = memory::spawn(board(1));
    control.reset(ResetTo::Bootloader).await.unwrap();
    during(&mut link, Duration::from_secs(1)).await;
    link.write_all(&sync()).await.unwrap();
    control.set_baud(9_600).await.unwrap();
    // The answer comes at the chip's rate, which the host no longer understands, so the host goes
    // back.
    control.set_baud(115_200).await.unwrap();
    assert!(holds(
        &during(&mut link, Duration::from_secs(1)).await,
        SYNCED
    ));
    control.set_baud(9_600).await.unwrap();
    link.write_all(&sync()).await.unwrap();
    assert!(!holds(
        &during(&mut link, Duration::from_secs(1)).await,
        SYNCED
    ));
}

#[tokio::test(start_paused = true)]
async fn a_host_feels_the_wire() {
    let (mut link, control) = memory::spawn(board(1));
    control.reset(ResetTo::Bootloader).await.unwrap();
    let start = Instant::now();
    // Ten bits a byte at 115200 baud, less what the pipe and the bay may hold in between.
    link.write_all(&vec![0; 300_000]).await.unwrap();
    let wire = Duration::from_micros((300_000 - 100_000) * 10_000_000 / 115_200 / 1_000 * 1_000);
    assert!(
        start.elapsed() > wire,
        "{:?} is less than {wire:?}",
        start.elapsed()
    );
    drop(control);
}

#[tokio::test(start_paused = true)]
async fn boards_come_and_go_in_one_bay() {
    let (mut link, control) = memory::spawn(board(1));
    let mut presence = control.presence();
    assert_eq!(*presence.borrow_and_update(), Presence::Present(1));
    let first = control.state().await.unwrap().mac;
    assert!(control.remove().await.unwrap().is_some());
    presence.changed().await.unwrap();
    assert_eq!(*presence.borrow_and_update(), Presence::Absent);
    during(&mut link, Duration::from_secs(1)).await;
    link.write_all(&sync()).await.unwrap();
    assert_eq!(during(&mut link, Duration::from_secs(1)).await, b"");
    control.replace(board(2)).await.unwrap();
    presence.changed().await.unwrap();
    assert_eq!(*presence.borrow_and_update(), Presence::Present(2));
    assert_ne!(control.state().await.unwrap().mac, first);
    control.reset(ResetTo::Bootloader).await.unwrap();
    until(&mut link, b"waiting for download").await;
    knock(&mut link).await;
}

/// Everything one knock brings, with the time it came at.
async fn diary(unit: u64) -> Vec<(Duration, Vec<u8>)> {
    let (mut link, control) = memory::spawn(board(unit));
    let start = Instant::now();
    control.reset(ResetTo::Bootloader).await.unwrap();
    link.write_all(&sync()).await.unwrap();
    let mut diary = Vec::new();
    let mut buffer = [0; 256];
    let end = start + Duration::from_secs(2);
    while let Ok(Ok(count)) = tokio::time::timeout_at(end, link.read(&mut buffer)).await {
        diary.push((start.elapsed(), buffer[..count].to_vec()));
    }
    diary
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_come_at_the_same_times() {
    let once = diary(3).await;
    assert!(!once.is_empty());
    assert_eq!(diary(3).await, once);
}

#[tokio::test(start_paused = true)]
async fn a_port_opened_again_ends_the_earlier_stream() {
    let (mut first, control) = memory::spawn(board(1));
    control.reset(ResetTo::Bootloader).await.unwrap();
    let mut second: DuplexStream = control.open().await.unwrap();
    during(&mut first, Duration::from_secs(1)).await;
    assert_eq!(first.read(&mut [0; 8]).await.unwrap(), 0);
    knock(&mut second).await;
}

/// A program's side of a terminal: it reads and writes without blocking the test.
struct Terminal {
    reader: pipe::Receiver,
    writer: pipe::Sender,
}

impl Terminal {
    fn open(link: &Path, baud: u32) -> Self {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
        let port: OwnedFd = rustix::fs::open(link, flags, Mode::empty()).unwrap();
        let mut settings = rustix::termios::tcgetattr(&port).unwrap();
        settings.make_raw();
        settings.set_speed(baud).unwrap();
        let now = rustix::termios::OptionalActions::Now;
        rustix::termios::tcsetattr(&port, now, &settings).unwrap();
        Self {
            reader: pipe::Receiver::from_owned_fd_unchecked(port.try_clone().unwrap()).unwrap(),
            writer: pipe::Sender::from_owned_fd_unchecked(port).unwrap(),
        }
    }

    async fn knock(&mut self) {
        let Self { reader, writer } = self;
        knock(&mut tokio::io::join(reader, writer)).await;
    }
}

/// A bay with a board in download mode.
async fn waiting() -> Control {
    let control = memory::spawn_empty();
    control
        .insert(VirtualChip::new(board(1)), true)
        .await
        .unwrap();
    control
}

#[tokio::test]
async fn programs_come_and_go_on_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let control = waiting().await;
    let link = pty::open(&control, &dir.path().join("bay1")).await.unwrap();
    for _ in 0..3 {
        Terminal::open(link.path(), 115_200).knock().await;
    }
    let path = link.path().to_owned();
    drop(link);
    assert!(std::fs::symlink_metadata(path).is_err());
}

#[tokio::test]
async fn a_terminal_at_the_wrong_rate_is_not_understood() {
    let dir = tempfile::tempdir().unwrap();
    let control = waiting().await;
    let link = pty::open(&control, &dir.path().join("bay1")).await.unwrap();
    // Until it has understood something, the ROM takes on whatever rate it hears.
    Terminal::open(link.path(), 115_200).knock().await;
    let mut slow = Terminal::open(link.path(), 38_400);
    slow.writer.write_all(QUESTION).await.unwrap();
    let heard = during(&mut slow.reader, Duration::from_millis(300)).await;
    assert!(!holds(&heard, ANSWERED));
    assert_eq!(control.state().await.unwrap().host_baud, Some(38_400));
    drop(slow);
    let mut right = Terminal::open(link.path(), 115_200);
    right.knock().await;
    right.writer.write_all(QUESTION).await.unwrap();
    until(&mut right.reader, ANSWERED).await;
}

#[tokio::test]
async fn a_terminal_comes_back_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let control = waiting().await;
    let link = pty::open(&control, &dir.path().join("bay1")).await.unwrap();
    let before = std::fs::read_link(link.path()).unwrap();
    let mut old = Terminal::open(link.path(), 115_200);
    control.reenumerate().await.unwrap();
    assert_ne!(std::fs::read_link(link.path()).unwrap(), before);
    let mut buffer = [0; 64];
    let ended = timeout(DEADLINE, async {
        while matches!(old.reader.read(&mut buffer).await, Ok(count) if count > 0) {}
    });
    ended.await.expect("the old terminal hangs up");
    Terminal::open(link.path(), 115_200).knock().await;
}

#[tokio::test]
async fn a_file_in_the_way_of_a_terminal_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bay1");
    std::fs::write(&path, "precious").unwrap();
    let error = pty::open(&waiting().await, &path).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn one_client_at_a_time_has_the_bytes() {
    let control = waiting().await;
    let server = tcp::serve(&control, 0).await.unwrap();
    assert!(server.address().ip().is_loopback());
    let mut first = TcpStream::connect(server.address()).await.unwrap();
    knock(&mut first).await;
    let mut second = TcpStream::connect(server.address()).await.unwrap();
    let refused = timeout(DEADLINE, second.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(refused, Ok(0) | Err(_)));
    knock(&mut first).await;
    drop(first);
    knock(&mut TcpStream::connect(server.address()).await.unwrap()).await;
}

/// One step of a modem line, as a client sends it: SET-CONTROL of COM-PORT-OPTION.
fn step(value: u8) -> [u8; 7] {
    [0xFF, 0xFA, 44, 5, value, 0xFF, 0xF0]
}

const DTR_ON: u8 = 8;
const DTR_OFF: u8 = 9;
const RTS_ON: u8 = 11;
const RTS_OFF: u8 = 12;

async fn steps(stream: &mut TcpStream, values: &[u8]) {
    for value in values {
        stream.write_all(&step(*value)).await.unwrap();
        // The server acknowledges each step with its own code and the value.
        until(stream, &[0xFF, 0xFA, 44, 105, *value]).await;
    }
}

/// Waits until the chip is in download mode, or no more.
async fn in_download_mode(control: &Control, wanted: bool) {
    let reached = async {
        while (control.state().await.unwrap().mode == Some(Mode::Rom)) != wanted {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, reached)
        .await
        .expect("the chip changes its mode");
}

#[tokio::test]
async fn lines_over_rfc_2217_lead_into_the_bootloader_and_out_again() {
    let control = memory::spawn_empty();
    control
        .insert(VirtualChip::new(board(1)), false)
        .await
        .unwrap();
    let server = rfc2217::serve(&control, 0).await.unwrap();
    let mut client = TcpStream::connect(server.address()).await.unwrap();
    client.write_all(&[0xFF, 0xFB, 44]).await.unwrap();
    steps(&mut client, &[DTR_ON, RTS_ON]).await;
    steps(&mut client, &[DTR_OFF, RTS_ON, DTR_ON, RTS_OFF]).await;
    in_download_mode(&control, true).await;
    steps(&mut client, &[DTR_OFF]).await;
    knock(&mut client).await;
    steps(&mut client, &[RTS_ON, RTS_OFF]).await;
    in_download_mode(&control, false).await;
}

#[tokio::test]
async fn the_rate_set_over_rfc_2217_is_the_rate_of_its_bytes() {
    let control = waiting().await;
    let server = rfc2217::serve(&control, 0).await.unwrap();
    let mut client = TcpStream::connect(server.address()).await.unwrap();
    knock(&mut client).await;
    let [.., high, low] = 38_400u32.to_be_bytes();
    client.write_all(&[0xFF, 0xFB, 44]).await.unwrap();
    client
        .write_all(&[0xFF, 0xFA, 44, 1, 0, 0, high, low, 0xFF, 0xF0])
        .await
        .unwrap();
    client.write_all(QUESTION).await.unwrap();
    let heard = during(&mut client, Duration::from_millis(300)).await;
    assert!(!holds(&heard, ANSWERED));
    assert_eq!(control.state().await.unwrap().host_baud, Some(38_400));
}

struct NoBoards;

impl ctl::Boards for NoBoards {
    fn board(&self, unit: Option<u64>) -> Result<(VirtualChip, bool), String> {
        match unit {
            Some(unit) => Ok((VirtualChip::new(board(unit)), false)),
            None => Err("the tray is empty".to_owned()),
        }
    }
}

async fn answer(stream: &mut UnixStream, line: &str) -> String {
    stream.write_all(line.as_bytes()).await.unwrap();
    let seen = until(stream, b"\n").await;
    String::from_utf8(seen).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn every_line_to_the_control_socket_is_answered_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bay1.ctl");
    let control = waiting().await;
    let server = ctl::serve(&control, &path, Arc::new(NoBoards))
        .await
        .unwrap();
    let mut hand = UnixStream::connect(&path).await.unwrap();
    for line in [
        "power off\n",
        "power on\n",
        "lines dtr=0 rts=1\n",
        "lines dtr=0 rts=0\r\n",
        "baud 9600\n",
    ] {
        assert_eq!(answer(&mut hand, line).await, "ok");
    }
    assert_eq!(answer(&mut hand, "reset download\n").await, "ok");
    let state = answer(&mut hand, "state\n").await;
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["present"], true);
    assert_eq!(state["chip"], "esp32c3");
    assert_eq!(answer(&mut hand, "remove\n").await, "ok");
    assert!(
        answer(&mut hand, "state\n")
            .await
            .contains("\"present\":false")
    );
    assert_eq!(
        answer(&mut hand, "insert\n").await,
        "error the tray is empty"
    );
    assert_eq!(answer(&mut hand, "insert 5\n").await, "ok");
    for line in [
        "\n",
        "lines dtr=2 rts=0\n",
        "baud 0\n",
        "replace x\n",
        "reset sideways\n",
    ] {
        assert!(
            answer(&mut hand, line).await.starts_with("error "),
            "{line}"
        );
    }
    assert_eq!(
        answer(&mut hand, &"x".repeat(300)).await,
        "error line too long"
    );
    assert!(
        ctl::serve(&control, &path, Arc::new(NoBoards))
            .await
            .is_err()
    );
    drop(server);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bay1.ctl");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let control = waiting().await;
    let _server = ctl::serve(&control, &path, Arc::new(NoBoards))
        .await
        .unwrap();
    let mut hand = UnixStream::connect(&path).await.unwrap();
    assert_eq!(answer(&mut hand, "reset\n").await, "ok");
}
