//! Random wishes: what is planned is what stands in the fuses.

use proptest::prelude::*;
use station_esp::Chip;
use station_esp::efuse::map::{FieldKind, fuse_map};
use station_esp::efuse::plan::{BurnPlan, FieldValue, FieldWish, FuseModel, Wish};

use super::rig::{Recorder, all_done, both_loaders, look};
use crate::session::tests::rig::{Bay, board};

/// Some fields of block 0 with some values, and perhaps data and a key.
fn wish() -> impl Strategy<Value = (Chip, Wish, bool)> {
    let choice = (any::<prop::sample::Index>(), any::<u64>(), 0..4u8);
    let choices = prop::collection::vec(choice, 0..5);
    let parts = (
        prop::sample::select(Chip::ALL.to_vec()),
        choices,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    parts.prop_map(|(chip, choices, data, key, stub)| {
        let map = fuse_map(chip, board(chip).revision);
        let fields: Vec<_> = map
            .fields
            .iter()
            .filter(|field| {
                let number = matches!(field.kind, FieldKind::Number | FieldKind::Count);
                let fits = field.width() <= 64 && field.block() == 0;
                // Protections are the plan's own business here.
                number && fits && !matches!(field.name, "WR_DIS" | "RD_DIS" | "CODING_SCHEME")
            })
            .collect();
        let mut wish = Wish::default();
        for (index, value, close) in choices {
            let field = fields[index.index(fields.len())];
            if wish.fields.iter().any(|wished| wished.field == field.name) {
                continue;
            }
            let value = value & (u64::MAX >> (64 - field.width()));
            if close == 0 {
                wish.write_protect.push(field.name.into());
            }
            wish.fields.push(FieldWish {
                field: field.name.into(),
                value: FieldValue::Number(value),
            });
        }
        if data {
            wish.blocks = super::rig::user_data(chip).unwrap_or_default().blocks;
        }
        if key {
            wish.keys = super::rig::key(chip).keys;
        }
        (chip, wish, stub)
    })
}

async fn burned_as_planned(chip: Chip, wish: &Wish, stub: bool) -> Result<bool, TestCaseError> {
    let bay = Bay::new(board(chip));
    let options = both_loaders()[usize::from(!stub)].clone();
    let mut session = bay.connect(&options).await.unwrap();
    let snapshot = session.fuse_snapshot().await.unwrap();
    let Ok(plan) = BurnPlan::make(&snapshot, wish, &[]) else {
        return Ok(false);
    };
    let mut model = FuseModel::of(&snapshot);
    for pulse in plan.pulses() {
        model.burn(pulse);
    }
    let burned = session
        .burn(&plan, &mut Recorder::default())
        .await
        .map_err(|error| TestCaseError::fail(format!("{chip}: {error}")))?;
    let Some(after) = &burned.after else {
        return Ok(true);
    };
    prop_assert!(all_done(&burned));
    prop_assert_eq!(&after.fuses, &model.seen());
    let model = model.burned();
    for block in snapshot.map().blocks {
        let number = block.number;
        let stored = look(&bay, move |chip| chip.efuse().data(number)).await;
        let planned = model.block(number);
        prop_assert!(stored.starts_with(planned), "{chip} block {number}");
        prop_assert!(stored[planned.len()..].iter().all(|word| *word == 0));
    }
    let shown = look(&bay, |chip| chip.efuse().image().clone()).await;
    prop_assert_eq!(&shown, &after.fuses);
    Ok(true)
}

#[test]
fn a_random_plan_leaves_exactly_what_it_promised() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let burned = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&wish(), |(chip, wish, stub)| {
            let done = runtime.block_on(burned_as_planned(chip, &wish, stub))?;
            burned.set(burned.get() + u32::from(done));
            Ok(())
        })
        .unwrap();
    assert!(
        burned.get() > 40,
        "{} of 150 wishes were legal",
        burned.get()
    );
}
