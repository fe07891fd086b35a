//! A chip that may have stopped answering because it was told to.
//!
//! Invariants: it is looked for once; the board is reset only where the port can bring it into its
//! bootloader and the fuses leave that open, because a chip that boots instead may begin to encrypt
//! its flash; silence is an answer here, not an error.

use std::time::Duration;

use station_esp::chip::SecurityInfoShape;
use station_esp::command::SecurityFlag;
use tokio::time::{Instant, timeout};

use super::controller::Fuses;

/// Longest the search may take.
const SEARCH: Duration = Duration::from_secs(10);

/// What is left of the conversation.
pub(super) enum Farewell {
    /// The loader answers and registers can be read.
    Answers,
    /// The chip says that it is in secure download mode.
    Closed,
    /// Nothing answers.
    Silence,
}

impl Fuses<'_> {
    /// Looks for the chip once more.
    pub(super) async fn farewell(&mut self, closes_download: bool) -> Farewell {
        let search = async {
            let mut found = self.loader.attention().await.is_ok();
            if !found && !closes_download {
                let deadline = Instant::now() + SEARCH;
                found = matches!(self.loader.reach_again(deadline).await, Ok(true));
            }
            found && self.tells().await
        };
        match timeout(SEARCH, search).await {
            Ok(true) if self.loader.is_secure() => Farewell::Closed,
            Ok(true) => Farewell::Answers,
            Ok(false) | Err(_) => Farewell::Silence,
        }
    }

    /// Whether a loader that greets still tells anything; keeps in mind whether it is closed.
    async fn tells(&mut self) -> bool {
        if self.spec.security_info != SecurityInfoShape::Unsupported
            && let Ok(Some(info)) = self.loader.security_info().await
            && info.has(SecurityFlag::SecureDownload)
        {
            self.loader.set_secure();
            return true;
        }
        self.loader.read_register(self.spec.uart.date).await.is_ok()
    }
}
