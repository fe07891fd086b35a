//! What processes used: CPU time and peak memory, read from `/proc` while they run and when they have ended.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::operation::OperationError;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Unit of CPU times in `/proc` (`USER_HZ`, 100 on every Linux architecture Rust supports).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a group of processes used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Seconds until the last had ended.
    pub wall_s: f64,
    /// CPU seconds of all, to 10 ms each.
    pub cpu_s: f64,
    /// Sum of their memory peaks in MB.
    pub rss_mb: f64,
}

/// Processes that are measured. Those that are left when one of them fails are ended with it.
#[derive(Debug, Default)]
pub(super) struct Contestants(Vec<Child>);

impl Contestants {
    /// Adds one that has just been started.
    pub(super) fn add(&mut self, child: Child) {
        self.0.push(child);
    }
}

impl From<Child> for Contestants {
    fn from(child: Child) -> Self {
        Self(vec![child])
    }
}

impl Drop for Contestants {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that was waited for is neither signalled nor waited for again.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Waits for all of them. Those that fail are reported by name.
pub(super) async fn measure(
    mut contestants: Contestants,
    started: Instant,
    limit: Duration,
) -> Result<Used, OperationError> {
    let children = &mut contestants.0;
    let mut used = Used {
        wall_s: 0.0,
        cpu_s: 0.0,
        rss_mb: 0.0,
    };
    let mut peaks = vec![0.0_f64; children.len()];
    let mut running: Vec<usize> = (0..children.len()).collect();
    let mut tick = tokio::time::interval(LOOK);
    while !running.is_empty() {
        tick.tick().await;
        if started.elapsed() > limit {
            return Err(OperationError::new(
                "bench-timeout",
                "a contestant did not end in time",
            ));
        }
        let mut ended = Vec::new();
        for at in &running {
            let pid = children[*at].id();
            peaks[*at] = peaks[*at].max(peak_mb(pid));
            if has_ended(pid) {
                ended.push(*at);
            }
        }
        for at in ended {
            running.retain(|other| *other != at);
            used.wall_s = started.elapsed().as_secs_f64();
            // It is a zombie now: its times are complete and still readable.
            used.cpu_s += cpu_seconds(children[at].id());
            check(children[at].wait())?;
        }
    }
    used.rss_mb = peaks.iter().sum();
    Ok(used)
}

fn check(ended: std::io::Result<ExitStatus>) -> Result<(), OperationError> {
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(OperationError::new(
            "bench-failed",
            format!("a contestant failed: {status}"),
        )),
        Err(error) => Err(OperationError::new(
            "bench-failed",
            format!("a contestant was lost: {error}"),
        )),
    }
}

fn has_ended(pid: u32) -> bool {
    let Some(pid) = Pid::from_raw(pid.cast_signed()) else {
        return true;
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

fn cpu_seconds(pid: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0.0;
    };
    // The name may contain anything; fields count from behind its closing parenthesis, which is field 2.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |field: usize| {
        fields
            .get(field - 3)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(14) + ticks(15)) / TICKS_PER_SECOND
}

fn peak_mb(pid: u32) -> f64 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
        return 0.0;
    };
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kilobytes| kilobytes.trim().parse::<f64>().ok())
        .map_or(0.0, |kilobytes| kilobytes / 1024.0)
}
