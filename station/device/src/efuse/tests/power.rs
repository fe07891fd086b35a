//! Power that fails before, within and after every pulse, and what is made of it afterwards.

use station_esp::Chip;
use station_esp::efuse::reconcile::{Verdict, reconcile};
use station_virtual::chip::ChipConfig;
use station_virtual::fault::{Faults, PowerLoss, PulseMoment};

use super::rig::{Recorder, burn, everything, fuses, plan, sound};
use crate::FailureClass;
use crate::session::tests::rig::{Bay, board};

fn cut(chip: Chip, pulse: u64, moment: PulseMoment, seed: u64) -> ChipConfig {
    let loss = PowerLoss {
        at_pulse: Some(pulse),
        pulse: moment,
        back_after_ms: Some(500),
        ..PowerLoss::default()
    };
    ChipConfig {
        seed,
        faults: Faults {
            power_loss: Some(loss),
            ..Faults::default()
        },
        ..board(chip)
    }
}

/// Cuts the power in one pulse, comes back, and brings the wish to its end.
async fn interrupted(
    chip: Chip,
    pulse: u64,
    moment: PulseMoment,
    seed: u64,
    wanted: &[u32],
) -> bool {
    let context = format!("{chip} pulse {pulse} {moment:?} seed {seed}");
    let wish = everything(chip);
    let bay = Bay::new(cut(chip, pulse, moment, seed));
    let mut witness = Recorder::default();
    let Err(error) = burn(&mut bay.session().await, &wish, &mut witness).await else {
        return false;
    };
    assert_eq!(error.code(), "burn-interrupted", "{context}: {error}");
    assert_eq!(error.class(), FailureClass::Link, "{context}");
    assert_eq!(witness.intents.len() as u64, pulse, "{context}");
    assert_eq!(
        witness.results.len() as u64,
        pulse - 1,
        "{context}: the last intent is open"
    );

    let mut session = bay.session().await;
    let snapshot = session.fuse_snapshot().await.unwrap();
    let open = witness.intents.last().cloned().unwrap();
    let verdicts = reconcile(std::slice::from_ref(&open), &snapshot);
    let verdict = &verdicts[0].verdict;
    let fits = match moment {
        PulseMoment::Before => *verdict == Verdict::NotDone,
        // Which fuses had burned is chance: all or none of a small pulse, too.
        PulseMoment::Partly => !matches!(verdict, Verdict::Unclear { .. }),
        PulseMoment::After => *verdict == Verdict::Done,
    };
    assert!(fits, "{context}: {verdict:?}");
    let mut earlier = witness.intents.clone();
    if *verdict == Verdict::NotDone {
        earlier.pop();
    }
    let rest = plan(&snapshot, &wish, &earlier);
    session
        .burn(&rest, &mut Recorder::default())
        .await
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(fuses(&bay).await, wanted, "{context}");
    true
}

#[tokio::test(start_paused = true)]
async fn after_a_power_cut_at_any_pulse_the_plan_is_brought_to_its_end() {
    for chip in [
        Chip::Esp32,
        Chip::Esp32S3,
        Chip::Esp32C3,
        Chip::Esp32C2,
        Chip::Esp32P4,
    ] {
        let sound = sound(chip, &everything(chip)).await;
        let wanted = fuses(&sound).await;
        for moment in [PulseMoment::Before, PulseMoment::Partly, PulseMoment::After] {
            for seed in 0..4 {
                let mut pulse = 1;
                while interrupted(chip, pulse, moment, seed, &wanted).await {
                    pulse += 1;
                }
                assert!(pulse > 3, "{chip}: the cuts reached the later pulses");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_at_any_byte_leaves_at_most_one_open_intent() {
    let chip = Chip::Esp32C3;
    let wish = everything(chip);
    let sound = Bay::new(board(chip));
    let mut session = sound.session().await;
    let before = session.loader.wire().sent();
    burn(&mut session, &wish, &mut Recorder::default())
        .await
        .unwrap();
    let after = session.loader.wire().sent();
    let wanted = fuses(&sound).await;
    for at in (before..after).step_by(61) {
        let loss = PowerLoss {
            at_byte: Some(at),
            back_after_ms: Some(500),
            ..PowerLoss::default()
        };
        let bay = Bay::new(ChipConfig {
            faults: Faults {
                power_loss: Some(loss),
                ..Faults::default()
            },
            ..board(chip)
        });
        let mut witness = Recorder::default();
        let Ok(mut session) = bay.connect(&crate::ConnectOptions::default()).await else {
            continue;
        };
        if burn(&mut session, &wish, &mut witness).await.is_ok() {
            continue;
        }
        drop(session);
        let open = witness.intents.len() - witness.results.len();
        assert!(open <= 1, "byte {at}");
        let mut session = bay.session().await;
        let snapshot = session.fuse_snapshot().await.unwrap();
        let last = &witness.intents[witness.results.len()..];
        let mut earlier = witness.intents.clone();
        match reconcile(last, &snapshot).first().map(|one| &one.verdict) {
            Some(Verdict::NotDone) => drop(earlier.pop()),
            Some(Verdict::Unclear { reason }) => panic!("byte {at}: {reason}"),
            Some(Verdict::Done | Verdict::Partly { .. }) | None => {}
        }
        let rest = plan(&snapshot, &wish, &earlier);
        session
            .burn(&rest, &mut Recorder::default())
            .await
            .unwrap_or_else(|error| panic!("byte {at}: {error}"));
        assert_eq!(fuses(&bay).await, wanted, "byte {at}");
    }
}
