//! `check = { policy = … }`: the fuses of a unit against the rules of a policy.

use station_esp::efuse::policy::{self, Level};

use crate::outcome::{Failure, FailureClass};
use crate::plan::CheckedPolicy;
use crate::recipe::closes;
use crate::runner::attempt::{Attempt, Turn};

/// Most differences that are named in a failure.
const NAMED: usize = 8;

/// Compares every fuse the policy speaks of. What only should be is no failure, nor is the fuse
/// with which a later step closes the loader: afterwards nobody could compare anything.
pub(super) async fn check(
    attempt: &mut Attempt<'_>,
    turn: Turn<'_>,
    wanted: &CheckedPolicy,
) -> Result<(), Failure> {
    let steps = &attempt.run.plan.contents().steps;
    let later = steps.iter().skip_while(|step| step.name != turn.step.name);
    let closing: Vec<&str> = later.filter_map(|step| closes(&step.action)).collect();
    let snapshot = attempt.chip.session()?.fuse_snapshot().await?;
    let policy = wanted.for_chip(snapshot.chip, snapshot.revision);
    let differences: Vec<_> = policy::compare(&policy, &snapshot)
        .into_iter()
        .filter(|it| it.level == Level::Must && !closing.contains(&it.field.as_str()))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = differences
        .iter()
        .take(NAMED)
        .map(|it| format!("{} is {}, wanted {}", it.field, it.found, it.wanted))
        .collect();
    let message = format!(
        "{} rules of policy `{}` are not met: {}",
        differences.len(),
        policy.name,
        named.join("; ")
    );
    Err(Failure::new(
        FailureClass::Verify,
        "policy-not-met",
        message,
    ))
}
