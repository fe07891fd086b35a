//! A program that the station started, together with everything that program started.
//!
//! Invariant: whoever gives a program up kills its whole process group, so that nothing of a step or
//! a reset outlives its deadline; a group that was let go is left alone.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// The process group of one program; dropped, it is killed unless it was let go.
#[derive(Debug)]
pub struct ProgramGroup(Option<Pid>);

impl ProgramGroup {
    /// Starts a program as the leader of a group of its own.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn start(command: &mut Command) -> std::io::Result<(Child, Self)> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        Ok((child, Self(leader)))
    }

    /// The program has ended by itself: what it left running was meant to run on.
    pub fn let_go(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProgramGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0
            && let Err(error) = kill_process_group(leader, Signal::KILL)
        {
            tracing::debug!(%error, "a program could not be killed");
        }
    }
}
