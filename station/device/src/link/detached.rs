//! Calls into the kernel that may hang, each on a thread of its own.
//!
//! A USB serial driver can sit in `open`, `close` or an ioctl for as long as its device keeps
//! silent, and nothing interrupts it.
//!
//! Invariants:
//! - Such a call costs one detached thread and nobody else: neither the runtime nor the end of the
//!   process waits for it.
//! - There are never more than [`MAX_THREADS`] of them.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// Most threads at once: one stuck call for each of 64 bays, with room for those that are not.
const MAX_THREADS: usize = 128;

/// Threads that live.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// The right to one thread.
struct Slot;

impl Slot {
    fn take() -> Option<Self> {
        ALIVE
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |alive| {
                (alive < MAX_THREADS).then_some(alive + 1)
            })
            .ok()
            .map(|_| Self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Starts `work` on a thread and returns where its result will come.
///
/// # Errors
/// `ResourceBusy` when too many earlier calls are still stuck, or what the system says.
pub(crate) fn start<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let slot = Slot::take().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::ResourceBusy,
            "too many calls into serial drivers are stuck",
        )
    })?;
    let (done, result) = oneshot::channel();
    // Nobody joins it: the point is that it may never end.
    thread::Builder::new()
        .name("serial-call".into())
        .spawn(move || {
            let value = work();
            drop(slot);
            // Whoever asked may be gone; then the value is dropped here, which is a safe place.
            let _ = done.send(value);
        })?;
    Ok(result)
}

/// Waits for a result of [`start`].
///
/// # Errors
/// `TimedOut` after `deadline`; `BrokenPipe` when the thread died.
pub(crate) async fn wait<T>(
    result: &mut oneshot::Receiver<T>,
    deadline: Duration,
) -> io::Result<T> {
    match tokio::time::timeout(deadline, result).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(io::Error::new(
            io::ErrorKind::BrokenPipe,
            "the serial call died",
        )),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the serial driver has not answered for {deadline:?}"),
        )),
    }
}

/// Drops `value` on a thread of its own, or leaks it when no thread can be had: a leaked file
/// descriptor harms less than a runtime that hangs in `close`.
pub(crate) fn dispose<T: Send + 'static>(value: T, before: impl FnOnce(&T) + Send + 'static) {
    let Some(slot) = Slot::take() else {
        tracing::warn!("too many ports do not close, one more is given up");
        std::mem::forget(value);
        return;
    };
    let closing = thread::Builder::new()
        .name("serial-close".into())
        .spawn(move || {
            before(&value);
            drop(value);
            drop(slot);
        });
    if let Err(error) = closing {
        tracing::warn!(%error, "no thread to close a port on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_hangs_costs_its_deadline_and_no_more() {
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let mut result = start(move || hold.recv().is_err()).unwrap();
        let error = wait(&mut result, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(release);
        assert!(wait(&mut result, Duration::from_secs(10)).await.unwrap());
    }
}
