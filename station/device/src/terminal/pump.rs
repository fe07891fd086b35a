//! The task that owns a terminal's port: it takes output in and sends what it is told to.
//!
//! Invariants: it ends when the link is lost or nobody gives orders any more, and hands the port
//! back; it never waits without a deadline while it has an order; orders come before output, so
//! that an application which never stops talking holds up neither what is sent nor the end. A port
//! that goes away with the reset that started the application is opened anew.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::capture::Capture;
use crate::error::DeviceError;
use crate::port::Port;

/// Something to send.
#[derive(Debug)]
pub(super) enum Order {
    /// Bytes for the application.
    Write {
        /// Which.
        bytes: Vec<u8>,
        /// Longest the link may take for them.
        patience: Duration,
        /// Told how it went.
        done: oneshot::Sender<Result<(), DeviceError>>,
    },
}

/// What was heard so far; shared by the pump and its terminal.
#[derive(Debug, Default)]
pub(super) struct Heard {
    state: Mutex<(Capture, Option<DeviceError>)>,
    /// Told whenever output came or the link was lost.
    pub(super) changed: Notify,
}

impl Heard {
    /// Position behind the newest byte, and why nothing more will come.
    pub(super) fn state(&self) -> (u64, Option<DeviceError>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.0.end(), state.1.clone())
    }

    /// Output from a position on; see [`Capture::since`].
    pub(super) fn since(&self, position: u64, bound: usize) -> (u64, Vec<u8>) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .since(position, bound)
    }

    /// Bytes no longer held.
    pub(super) fn dropped(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .dropped()
    }

    fn add(&self, bytes: &[u8]) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .add(bytes);
        // One waiter at most: a terminal is waited on by its owner alone. A permit is kept when
        // nobody waits, so nothing heard between two looks is missed.
        self.changed.notify_one();
    }

    fn lose(&self, error: DeviceError) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(error);
        self.changed.notify_one();
    }
}

/// Opens a port anew that went away with the reset of its chip.
async fn come_back(
    port: &mut Port,
    baud: Option<u32>,
    error: &io::Error,
) -> Result<(), DeviceError> {
    let lost = DeviceError::from_io(&port.describe(), error);
    port.come_back(baud, lost).await
}

/// Sends on a port that has just come back.
async fn send_again(port: &mut Port, bytes: &[u8], patience: Duration) -> Result<(), DeviceError> {
    match timeout(patience, port.link.write_all(bytes)).await {
        Ok(written) => written.map_err(|error| DeviceError::from_io(&port.describe(), &error)),
        Err(_) => Err(too_slow(patience)),
    }
}

fn too_slow(patience: Duration) -> DeviceError {
    DeviceError::Timeout {
        what: "sending to the application".into(),
        after: patience,
    }
}

/// Runs until orders end or the link is lost.
pub(super) async fn run(
    mut port: Port,
    baud: Option<u32>,
    mut orders: mpsc::Receiver<Order>,
    heard: std::sync::Arc<Heard>,
) -> Port {
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => order,
            read = port.link.read(&mut buffer) => {
                match read {
                    Ok(count) => heard.add(&buffer[..count]),
                    Err(error) => {
                        if let Err(lost) = come_back(&mut port, baud, &error).await {
                            heard.lose(lost);
                            return port;
                        }
                    }
                }
                continue;
            }
        };
        let Some(Order::Write {
            bytes,
            patience,
            done,
        }) = order
        else {
            return port;
        };
        let result = match timeout(patience, port.link.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => match come_back(&mut port, baud, &error).await {
                Ok(()) => send_again(&mut port, &bytes, patience).await,
                lost => lost,
            },
            Err(_) => Err(too_slow(patience)),
        };
        // Whoever asked may have given up waiting.
        let _ = done.send(result);
    }
}
