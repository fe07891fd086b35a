//! What people decide about irreversible things, and what the record says of them before they happen.
//!
//! Invariants: an approval is used up and recorded in one step by the writer, and a refusal is
//! recorded before it is told; a plan is stored whole before it is released.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::burn::BurnRow;
use super::command::{Command, PlanRecord};
use super::error::JournalError;
use super::open::Journal;
use crate::approval::{Approval, ApprovalId, ApprovalState, Grant, MAX_VALIDITY, UseApproval};
use crate::event::{Event, EventKind, Mac, PlanId};
use crate::release::{Release, StationKey, TrustedKeys, verify};

/// Longest name of a person, and longest reason, in bytes.
const MAX_WORDS: usize = 4096;

impl Journal {
    /// Records that somebody allows something, once.
    ///
    /// # Errors
    /// [`JournalError::Refused`] for no time at all or more than [`MAX_VALIDITY`]; whatever keeps it
    /// from being recorded.
    pub async fn grant(&self, grant: Grant) -> Result<Approval, JournalError> {
        let refused = |what: &str| JournalError::Refused {
            what: what.to_owned(),
        };
        bounded(&grant.by)?;
        if grant.valid < Duration::from_secs(1) || grant.valid > MAX_VALIDITY {
            return Err(refused(
                "an approval for less than a second or for more than 7 days",
            ));
        }
        let valid = TimeDelta::from_std(grant.valid).map_err(|_| refused("an endless approval"))?;
        let expires_at = grant
            .at
            .checked_add_signed(valid)
            .ok_or_else(|| refused("an approval beyond the end of time"))?
            .trunc_subsecs(6);
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| JournalError::Refused {
            what: format!("an approval without chance: {error}"),
        })?;
        let id = ApprovalId::from_bits(bits);
        let event = self
            .outside_a_run(
                grant.at,
                EventKind::Approved {
                    approval: id.clone(),
                    subject: grant.subject.clone(),
                    by: grant.by.clone(),
                    expires_at,
                    uses: 1,
                },
            )
            .await?;
        Ok(Approval {
            id,
            subject: grant.subject,
            by: grant.by,
            granted_at: event.at,
            expires_at,
            used_at: None,
            used_by: None,
            state: ApprovalState::Usable,
        })
    }

    /// Uses an approval up. When this returns, its use is durable and nobody can use it again.
    ///
    /// # Errors
    /// [`JournalError::Approval`] when it cannot be used, [`JournalError::Release`] when it is of a
    /// plan that is not released at this moment, and why; that is recorded as
    /// [`EventKind::Refused`] already.
    pub async fn use_approval(&self, request: UseApproval) -> Result<ApprovalId, JournalError> {
        bounded(&request.by)?;
        let command = Command::UseApproval(Box::new(request));
        let decision = self.ask(command).await?.approval;
        decision.ok_or(JournalError::Closed)?
    }

    /// Releases a plan: stores it and records the station's signature over it. Releasing it again
    /// under the same key changes nothing.
    ///
    /// # Errors
    /// [`JournalError::Refused`] while it is released under another key, [`JournalError::Release`]
    /// when that release is forged; whatever keeps it from being recorded.
    pub async fn release(
        &self,
        at: DateTime<Utc>,
        plan: &PlanRecord,
        key: &StationKey,
        by: &str,
    ) -> Result<Release, JournalError> {
        bounded(by)?;
        let known = self.reader()?.release_of(&plan.id)?;
        if let Some(release) = known.filter(|release| release.withdrawn.is_none()) {
            verify(&release, &TrustedKeys::new([release.key.clone()]))?;
            if release.key == key.public_hex() {
                return Ok(release);
            }
            let what = format!(
                "a release under another key than `{}`; withdraw that one first",
                release.key
            );
            return Err(JournalError::Refused { what });
        }
        self.store_plan(at, plan.clone()).await?;
        let release = Release::sign(at, plan, key, by);
        let event = EventKind::RecipeReleased {
            plan: release.plan.clone(),
            product: release.product.clone(),
            revision: release.revision.clone(),
            by: release.by.clone(),
            key: release.key.clone(),
            signature: release.signature.clone(),
        };
        let released_at = self.outside_a_run(at, event).await?.at;
        Ok(Release {
            released_at,
            ..release
        })
    }

    /// Takes the release of a plan back.
    ///
    /// # Errors
    /// [`JournalError::Refused`] when it is not released; whatever keeps it from being recorded.
    pub async fn withdraw(
        &self,
        at: DateTime<Utc>,
        plan: &PlanId,
        by: &str,
        reason: &str,
    ) -> Result<Arc<Event>, JournalError> {
        bounded(by)?;
        bounded(reason)?;
        let kind = EventKind::RecipeWithdrawn {
            plan: plan.clone(),
            by: by.to_owned(),
            reason: reason.to_owned(),
        };
        self.outside_a_run(at, kind).await
    }

    /// Returns the release a plan may be run under.
    ///
    /// # Errors
    /// [`JournalError::Release`] when it must not be run, and why.
    pub fn released(&self, plan: &PlanId, trusted: &TrustedKeys) -> Result<Release, JournalError> {
        self.reader()?.released(plan, trusted)
    }

    /// Returns every intent ever to burn something into a unit, in order, after everything handed
    /// over so far.
    ///
    /// # Errors
    /// Whatever keeps the journal from answering.
    pub async fn burns_of(&self, mac: &Mac) -> Result<Vec<BurnRow>, JournalError> {
        Ok(self.ask(Command::Burns { mac: mac.clone() }).await?.burns)
    }

    /// Returns the intents of a unit that have to be compared with the chip first, after everything
    /// handed over so far.
    ///
    /// # Errors
    /// Whatever keeps the journal from answering.
    pub async fn unfinished_burns(&self, mac: &Mac) -> Result<Vec<BurnRow>, JournalError> {
        let mut burns = self.burns_of(mac).await?;
        burns.retain(|burn| burn.state.is_unfinished());
        Ok(burns)
    }
}

fn bounded(text: &str) -> Result<(), JournalError> {
    if text.len() <= MAX_WORDS {
        return Ok(());
    }
    let what = format!("a name or reason of {} bytes", text.len());
    Err(JournalError::Refused { what })
}
