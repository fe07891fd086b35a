//! Fields, data and keys on every chip, with ROM and stub.

use station_esp::Chip;
use station_esp::efuse::plan::BurnPlan;

use super::rig::{
    KEY, Recorder, all_done, both_loaders, burn, everything, fuses, harmless, look, plan,
};
use crate::session::tests::rig::{Bay, board, wired};

#[tokio::test(start_paused = true)]
async fn a_field_is_burned_on_every_chip_with_stub_and_rom() {
    for chip in Chip::ALL {
        let wish = harmless(chip);
        for options in both_loaders() {
            let bay = Bay::new(board(chip));
            let mut session = bay.connect(&options).await.unwrap();
            let mut witness = Recorder::default();
            let burned = burn(&mut session, &wish, &mut witness).await.unwrap();
            assert!(all_done(&burned), "{chip}: {burned:?}");
            assert_eq!(burned.pulses.len(), 1, "{chip}");
            assert_eq!(witness.told, ["intended 1", "finished 1 done"], "{chip}");
            let name = wish.fields[0].field.clone();
            let set = look(&bay, move |chip| chip.efuse().field(&name)).await;
            assert_eq!(set, 1, "{chip}");
            let known = session.identity().fuses.as_ref().unwrap();
            let field = known.map().field(&wish.fields[0].field).unwrap();
            assert_eq!(
                known.number(field),
                burned.after.unwrap().fuses.number(field)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fields_data_and_a_hidden_key_are_burned_on_every_chip_with_stub_and_rom() {
    for chip in Chip::ALL {
        let wish = everything(chip);
        let mut found = Vec::new();
        for options in both_loaders() {
            let bay = Bay::new(wired(chip));
            let mut session = bay.connect(&options).await.unwrap();
            let mut witness = Recorder::default();
            let burned = burn(&mut session, &wish, &mut witness).await.unwrap();
            assert!(all_done(&burned), "{chip}: {burned:?}");
            let block = if chip == Chip::Esp32 {
                1
            } else {
                wished_block(chip)
            };
            let stored = look(&bay, move |chip| chip.efuse().data(block)).await;
            let mut bytes: Vec<u8> = stored.into_iter().flat_map(u32::to_le_bytes).collect();
            bytes.reverse();
            assert_eq!(bytes, KEY, "{chip}: these keys are stored in reverse order");
            let after = burned.after.unwrap();
            assert!(
                after.fuses.block(block).iter().all(|word| *word == 0),
                "{chip}: hidden"
            );
            let errors = look(&bay, |chip| chip.efuse().coding_errors()).await;
            assert!(errors.is_empty(), "{chip}: {errors:?}");
            for (result, record) in burned.pulses.iter().zip(&witness.intents) {
                assert_eq!(
                    (&result.before, &result.after),
                    (&record.before, &record.after)
                );
            }
            // Nothing is left to be done.
            let again = BurnPlan::make(&after, &wish, &witness.intents).unwrap();
            assert!(again.is_empty(), "{chip}: {}", again.describe());
            assert!(
                session
                    .burn(&again, &mut witness)
                    .await
                    .unwrap()
                    .pulses
                    .is_empty()
            );
            found.push(fuses(&bay).await);
        }
        assert_eq!(found[0], found[1], "{chip}: ROM and stub burn the same");
    }
}

fn wished_block(chip: Chip) -> u8 {
    if chip == Chip::Esp32C2 { 3 } else { 4 }
}

#[tokio::test(start_paused = true)]
async fn the_timing_registers_are_set_before_the_first_pulse() {
    for chip in Chip::ALL {
        let config = super::rig::with_fuse_faults(
            board(chip),
            station_virtual::fault::FuseFaults {
                needs_timing: true,
                ..Default::default()
            },
        );
        let bay = Bay::new(config);
        let mut session = bay.session().await;
        let mut witness = Recorder::default();
        let burned = burn(&mut session, &everything(chip), &mut witness)
            .await
            .unwrap();
        assert!(all_done(&burned), "{chip}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_crystals_of_an_esp32_and_an_esp32c2_have_their_timing() {
    for (chip, mhz) in [
        (Chip::Esp32, 26),
        (Chip::Esp32, 40),
        (Chip::Esp32C2, 26),
        (Chip::Esp32C2, 40),
    ] {
        let mut config = super::rig::with_fuse_faults(
            board(chip),
            station_virtual::fault::FuseFaults {
                needs_timing: true,
                ..Default::default()
            },
        );
        config.crystal_mhz = mhz;
        let bay = Bay::new(config);
        let mut session = bay.session().await;
        let snapshot = session.fuse_snapshot().await.unwrap();
        assert_eq!(snapshot.crystal_mhz, mhz, "{chip}");
        let plan = plan(&snapshot, &everything(chip), &[]);
        let burned = session.burn(&plan, &mut Recorder::default()).await.unwrap();
        assert!(all_done(&burned), "{chip} at {mhz} MHz");
    }
}
