//! Units that a person must look at: `unit_quarantine_list`, `unit_release`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use station_line::event::EventKind;
use station_line::journal::MAX_EVENTS;

use super::keys::mac;
use super::latest::Latest;
use super::text::words;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::{Station, permit};

/// A unit in quarantine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct QuarantineView {
    /// Its MAC
    pub mac: String,
    /// Stable code of the reason
    pub code: String,
    /// Why
    pub reason: String,
    /// Since when
    pub since: DateTime<Utc>,
    /// The attempt that put it there, if it was one
    pub attempt: Option<u64>,
}

/// Units in quarantine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListView {
    /// The units, newest first
    pub units: Vec<QuarantineView>,
}

/// `unit_quarantine_list`.
#[derive(Debug)]
pub struct UnitQuarantineList;

#[async_trait]
impl Operation for UnitQuarantineList {
    const DECLARATION: Declaration = Declaration {
        name: "unit_quarantine_list",
        aliases: &[],
        command: &["units", "quarantine"],
        title: "Units in quarantine",
        summary: "Returns the units whose fuses are not what the record says they should be, or that failed a burn, and why. \
                  Nothing is burned into them until somebody releases them.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = Latest;
    type Output = ListView;

    async fn invoke(
        station: &Station,
        latest: Latest,
        _call: &Call,
    ) -> Result<ListView, OperationError> {
        let limit = latest.count();
        station
            .read(move |reader| {
                // The limit is of units that are still there: one that was put aside long ago must not hide
                // behind those that were released since.
                let mut rows = reader.quarantines(MAX_EVENTS)?;
                rows.retain(|row| row.released_at.is_none());
                rows.truncate(limit);
                let units = rows.into_iter().map(|row| QuarantineView {
                    mac: row.mac.to_string(),
                    code: row.quarantine.code,
                    reason: row.quarantine.reason,
                    since: row.quarantine.since,
                    attempt: row.quarantine.attempt.map(|attempt| attempt.0),
                });
                Ok(ListView {
                    units: units.collect(),
                })
            })
            .await
    }

    fn words(view: &ListView) -> String {
        if view.units.is_empty() {
            return "no unit is in quarantine".to_owned();
        }
        let line = |unit: &QuarantineView| {
            format!(
                "{}  since {}  {} [{}]",
                unit.mac,
                unit.since.format("%F %T UTC"),
                unit.reason,
                unit.code
            )
        };
        let lines: Vec<String> = view.units.iter().map(line).collect();
        lines.join("\n")
    }
}

/// Parameters of `unit_release`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseParameters {
    /// MAC of the unit
    pub unit: String,
    /// What was found when somebody looked at it
    #[arg(long)]
    pub reason: String,
}

/// A unit that left quarantine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReleaseView {
    /// Its MAC
    pub mac: String,
    /// Why it had been there
    pub was: String,
}

/// `unit_release`.
#[derive(Debug)]
pub struct UnitRelease;

#[async_trait]
impl Operation for UnitRelease {
    const DECLARATION: Declaration = Declaration {
        name: "unit_release",
        aliases: &[],
        command: &["units", "release"],
        title: "Let a unit out of quarantine",
        summary: "Records that a person looked at a unit in quarantine and that it may be worked on again. Changes nothing on \
                  the unit.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = ReleaseParameters;
    type Output = ReleaseView;

    async fn invoke(
        station: &Station,
        parameters: ReleaseParameters,
        call: &Call,
    ) -> Result<ReleaseView, OperationError> {
        let mac = mac(&parameters.unit)?;
        words("reason", &parameters.reason)?;
        let journal = station.journal().await?;
        let asked = mac.clone();
        let quarantine = station
            .read(move |reader| Ok(reader.quarantine(&asked)?))
            .await?;
        let quarantine = quarantine.ok_or_else(|| {
            OperationError::usage(
                "unit-not-quarantined",
                format!("unit {mac} is not in quarantine"),
            )
            .hint("`station units quarantine` lists those that are")
        })?;
        // A person looked at it; a client's word for that is its person's.
        let digest = hex::encode(Sha256::digest(format!("{mac} {}", parameters.reason)));
        let question = format!(
            "release unit {mac} from quarantine: it was there because {} [{}]; now: {}\ndigest: {digest}",
            quarantine.reason, quarantine.code, parameters.reason
        );
        if let Err(error) = permit::person(call, question, &digest).await {
            return Err(permit::record(&journal, Self::DECLARATION.name, error).await?);
        }
        let released = EventKind::UnitReleased {
            mac: mac.clone(),
            by: permit::confirmed_by(call),
            reason: parameters.reason,
        };
        journal.note(Utc::now(), released).await?;
        Ok(ReleaseView {
            mac: mac.to_string(),
            was: quarantine.reason,
        })
    }
}
