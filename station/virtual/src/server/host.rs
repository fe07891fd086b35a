//! The host's end of a bay: whatever carries bytes between a program and the chip.
//!
//! Invariants: polling loses nothing; what waits to be sent is bounded, and a host that does not
//! read loses bytes as it would on a real wire; a host never makes the chip wait.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

/// Most bytes that wait for a host to take them.
const MOST_WAITING: usize = 256 * 1024;
/// How long a host may take nothing before what waits for it is thrown away.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a host did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It sent this many bytes, which are at the start of the buffer.
    Bytes(usize),
    /// It set its modem lines: `true` is asserted.
    Lines { dtr: bool, rts: bool },
    /// It went away for good.
    Gone,
}

/// One host of a bay.
pub(super) trait Host: Send {
    /// What kind of host this is; a bay has at most one of each kind.
    fn kind(&self) -> HostKind;

    /// The next thing the host does.
    fn poll_heard(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Heard>;

    /// Writes some of `bytes`.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// The baud rate the host has set at its end now, where that has a meaning.
    fn baud(&self) -> Option<u32>;

    /// Sets the baud rate of the host's end, where the host cannot do it itself.
    fn set_baud(&mut self, _baud: u32) {}

    /// The port vanishes and comes back under another name.
    ///
    /// # Errors
    ///
    /// The new port could not be made.
    fn reenumerate(&mut self) -> io::Result<Reappears> {
        Ok(Reappears::Never)
    }
}

/// Kinds of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostKind {
    /// A program in this process.
    Memory,
    /// A pseudo terminal.
    Pty,
    /// Raw bytes over TCP.
    Tcp,
    /// Telnet COM port control over TCP.
    Rfc2217,
}

/// Whether a host is still there after its port vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reappears {
    /// It is, under another name.
    Now,
    /// It has to connect again.
    Never,
}

/// All hosts of a bay, with what waits to be sent to them.
#[derive(Default)]
pub(super) struct Hosts {
    hosts: Vec<(Box<dyn Host>, Outbox)>,
    /// Kind of the host that spoke last: the chip hears, and is heard, at its rate.
    speaker: Option<HostKind>,
}

impl Hosts {
    /// Attaches a host in the place of an earlier one of its kind.
    pub(super) fn attach(&mut self, host: Box<dyn Host>) {
        self.hosts
            .retain(|(earlier, _)| earlier.kind() != host.kind());
        self.hosts.push((host, Outbox::default()));
    }

    /// The next thing any host does, with the baud rate of its end.
    ///
    /// What waits to be sent is sent on the way. Without `listening` only sending goes on.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
        listening: bool,
    ) -> Poll<(Heard, Option<u32>)> {
        let mut index = 0;
        while index < self.hosts.len() {
            let (host, outbox) = &mut self.hosts[index];
            let lost = outbox.poll_flush(context, host.as_mut());
            let heard = match lost {
                true => Poll::Ready(Heard::Gone),
                false if listening => host.poll_heard(context, buffer),
                false => Poll::Pending,
            };
            match heard {
                Poll::Ready(Heard::Gone) => {
                    self.hosts.remove(index);
                    return Poll::Ready((Heard::Gone, None));
                }
                Poll::Ready(heard) => {
                    let baud = host.baud();
                    self.speaker = Some(host.kind());
                    // The next poll begins with another host, so that none is starved.
                    self.hosts.rotate_left(index + 1);
                    return Poll::Ready((heard, baud));
                }
                Poll::Pending => index += 1,
            }
        }
        Poll::Pending
    }

    /// Hands bytes that left the chip to every host.
    pub(super) fn offer(&mut self, bytes: &[u8]) {
        for (_, outbox) in &mut self.hosts {
            outbox.put(bytes);
        }
    }

    /// The baud rate of the host's end, if there is a host whose rate is known.
    pub(super) fn baud(&self) -> Option<u32> {
        self.hosts.iter().find_map(|(host, _)| host.baud())
    }

    /// The rate that the host which spoke last has set at its end now: it may have changed it since, only to
    /// listen. `None` before any host spoke, or where a rate has no meaning.
    pub(super) fn speaker_baud(&self) -> Option<u32> {
        let speaker = self.speaker?;
        let (host, _) = self.hosts.iter().find(|(host, _)| host.kind() == speaker)?;
        host.baud()
    }

    /// Sets the baud rate of hosts that cannot do it themselves.
    pub(super) fn set_baud(&mut self, baud: u32) {
        self.hosts
            .iter_mut()
            .for_each(|(host, _)| host.set_baud(baud));
    }

    /// Every port vanishes; those that can come back under another name.
    pub(super) fn reenumerate(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        self.hosts.retain_mut(|(host, outbox)| {
            *outbox = Outbox::default();
            match host.reenumerate() {
                Ok(Reappears::Now) => true,
                Ok(Reappears::Never) => false,
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            }
        });
        outcome
    }
}

/// Bytes that wait for a host.
#[derive(Default)]
struct Outbox {
    waiting: VecDeque<u8>,
    stuck_since: Option<Instant>,
}

impl Outbox {
    /// Queues bytes; those of a host that takes nothing are thrown away.
    fn put(&mut self, bytes: &[u8]) {
        if self
            .stuck_since
            .is_some_and(|since| since.elapsed() > PATIENCE)
        {
            self.waiting.clear();
            self.stuck_since = None;
        }
        let room = MOST_WAITING - self.waiting.len();
        self.waiting.extend(&bytes[..bytes.len().min(room)]);
    }

    /// Sends what the host takes; true when the host is gone.
    fn poll_flush(&mut self, context: &mut Context<'_>, host: &mut dyn Host) -> bool {
        while !self.waiting.is_empty() {
            let (front, _) = self.waiting.as_slices();
            match host.poll_write(context, front) {
                Poll::Ready(Ok(0) | Err(_)) => return true,
                Poll::Ready(Ok(count)) => {
                    self.waiting.drain(..count);
                    self.stuck_since = None;
                }
                Poll::Pending => {
                    self.stuck_since.get_or_insert_with(Instant::now);
                    return false;
                }
            }
        }
        self.stuck_since = None;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that takes nothing.
    struct Deaf;

    impl Host for Deaf {
        fn kind(&self) -> HostKind {
            HostKind::Memory
        }

        fn poll_heard(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<Heard> {
            Poll::Pending
        }

        fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn baud(&self) -> Option<u32> {
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_host_that_takes_nothing_is_bounded_and_thrown_away() {
        let mut hosts = Hosts::default();
        hosts.attach(Box::new(Deaf));
        for _ in 0..100 {
            hosts.offer(&[0x55; 8192]);
        }
        assert_eq!(hosts.hosts[0].1.waiting.len(), MOST_WAITING);
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(hosts.poll(&mut context, &mut [0; 8], true).is_pending());
        tokio::time::advance(PATIENCE * 2).await;
        hosts.offer(b"fresh");
        assert_eq!(hosts.hosts[0].1.waiting, b"fresh");
    }

    #[test]
    fn a_second_host_of_a_kind_takes_the_place_of_the_first() {
        let mut hosts = Hosts::default();
        hosts.attach(Box::new(Deaf));
        hosts.attach(Box::new(Deaf));
        assert_eq!(hosts.hosts.len(), 1);
    }
}
