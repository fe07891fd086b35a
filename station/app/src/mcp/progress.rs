//! Progress of one tool call: reports in, `notifications/progress` out, at most a few a second.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::operation::CallProgress;

const REPORT_PAUSE: Duration = Duration::from_millis(200);

/// Where an operation reports; keeps only the latest.
#[derive(Debug)]
pub(super) struct LatestProgress {
    latest: watch::Sender<Option<String>>,
}

impl CallProgress for LatestProgress {
    fn progress(&self, phase: &str, done: u64, total: Option<u64>) {
        let text = match total {
            Some(total) if total > 0 => {
                format!("{phase}: {}%", done.min(total).saturating_mul(100) / total)
            }
            Some(_) | None => format!("{phase}: {done}"),
        };
        self.latest.send_replace(Some(text));
    }
}

/// Starts the task that tells the client. It ends when aborted or when nobody can report any more.
///
/// The protocol wants the number to rise with every notification and allows it to have no total, so it
/// counts notifications; how far along the work is stands in the message.
pub(super) fn forward(
    peer: Peer<RoleServer>,
    token: ProgressToken,
) -> (LatestProgress, JoinHandle<()>) {
    let (latest, mut reports) = watch::channel(None);
    let task = tokio::spawn(async move {
        let mut sent = 0.0;
        while reports.changed().await.is_ok() {
            let Some(message) = reports.borrow_and_update().clone() else {
                continue;
            };
            sent += 1.0;
            let report = ProgressNotificationParam::new(token.clone(), sent).with_message(message);
            if peer.notify_progress(report).await.is_err() {
                return;
            }
            sleep_until(Instant::now() + REPORT_PAUSE).await;
        }
    });
    (LatestProgress { latest }, task)
}
