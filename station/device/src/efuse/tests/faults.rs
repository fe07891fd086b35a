//! Fuses that burn late or never, codings with errors, and links that spoil bytes.

use station_esp::Chip;
use station_virtual::chip::ChipConfig;
use station_virtual::fault::{ByteFaults, Faults, FuseBit, FuseFaults, WeakFuse};

use super::rig::{
    Recorder, both_loaders, burn, everything, field, fuses, harmless, key, look, sound,
    with_fuse_faults,
};
use crate::FailureClass;
use crate::efuse::{BurnError, PulseVerdict};
use crate::session::tests::rig::{Bay, board, wired};

/// The bit that [`harmless`] burns.
async fn harmless_bit(chip: Chip) -> (u8, u16) {
    let bay = Bay::new(board(chip));
    let name = harmless(chip).fields[0].field.clone();
    look(&bay, move |chip| {
        let part = chip.efuse().map().field(&name).unwrap().parts[0];
        (part.block, part.bit)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_weak_fuse_is_burned_again_with_the_same_words() {
    for chip in Chip::ALL {
        let (block, bit) = harmless_bit(chip).await;
        for (pulses, options) in (2..=3).zip(both_loaders()) {
            let faults = FuseFaults {
                weak: vec![WeakFuse { block, bit, pulses }],
                ..FuseFaults::default()
            };
            let bay = Bay::new(with_fuse_faults(board(chip), faults));
            let mut session = bay.connect(&options).await.unwrap();
            let mut witness = Recorder::default();
            let burned = burn(&mut session, &harmless(chip), &mut witness)
                .await
                .unwrap();
            assert_eq!(burned.pulses[0].verdict, PulseVerdict::Done, "{chip}");
            assert_eq!(u32::from(burned.pulses[0].tries), pulses, "{chip}");
            assert_eq!(witness.told.len(), 2, "one intent, however many tries");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_weak_bit_of_a_key_is_repaired_though_the_coding_hides_it() {
    for (chip, block) in [(Chip::Esp32S3, 4), (Chip::Esp32C2, 3), (Chip::Esp32P4, 4)] {
        // A bit that the key sets, and one of its check words.
        let sound = sound(chip, &key(chip)).await;
        let bits = look(&sound, move |chip| chip.efuse().bits(block).to_vec()).await;
        let set = |from: usize, to: usize| {
            let mut bits = (from..to).filter(|bit| bits[bit / 32] >> (bit % 32) & 1 == 1);
            u16::try_from(bits.next().unwrap()).unwrap()
        };
        let weak = [set(0, 256), set(256, 352)].map(|bit| WeakFuse {
            block,
            bit,
            pulses: 2,
        });
        let faults = FuseFaults {
            weak: weak.to_vec(),
            ..FuseFaults::default()
        };
        let bay = Bay::new(with_fuse_faults(board(chip), faults));
        let mut session = bay.session().await;
        let burned = burn(&mut session, &key(chip), &mut Recorder::default())
            .await
            .unwrap();
        assert_eq!(burned.pulses[0].tries, 2, "{chip}");
        assert_eq!(
            fuses(&bay).await,
            fuses(&sound).await,
            "{chip}: every bit is there"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_fuse_that_never_burns_fails_the_pulse_after_three_tries() {
    for chip in Chip::ALL {
        let (block, bit) = harmless_bit(chip).await;
        let faults = FuseFaults {
            stuck: vec![FuseBit { block, bit }],
            ..FuseFaults::default()
        };
        let bay = Bay::new(with_fuse_faults(board(chip), faults));
        let mut session = bay.session().await;
        let mut witness = Recorder::default();
        let error = burn(&mut session, &harmless(chip), &mut witness)
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("burn-failed", FailureClass::Efuse)
        );
        assert!(error.to_string().contains("1 bit is not set"), "{error}");
        assert_eq!(witness.told, ["intended 1", "finished 1 failed"], "{chip}");
        let result = &witness.results[0];
        assert_eq!((result.tries, &result.before), (3, &result.after), "{chip}");
        assert_eq!(look(&bay, |chip| chip.efuse().pulses()).await, 3, "{chip}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_coding_error_after_the_pulse_fails_it_though_the_data_read_right() {
    let chip = Chip::Esp32S3;
    // Stuck in the check words: the data are corrected by the coding.
    let sound = sound(chip, &key(chip)).await;
    let bits = look(&sound, |chip| chip.efuse().bits(4).to_vec()).await;
    let bit = (256..352u16).find(|bit| bits[usize::from(bit / 32)] >> (bit % 32) & 1 == 1);
    let faults = FuseFaults {
        stuck: vec![FuseBit {
            block: 4,
            bit: bit.unwrap(),
        }],
        ..FuseFaults::default()
    };
    let bay = Bay::new(with_fuse_faults(board(chip), faults));
    let mut witness = Recorder::default();
    let error = burn(&mut bay.session().await, &key(chip), &mut witness)
        .await
        .unwrap_err();
    let BurnError::Failed {
        pulse: 1,
        tries: 3,
        reason,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert!(reason.contains("coding of block 4"), "{reason}");
    assert_eq!(witness.told, ["intended 1", "finished 1 failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_stays_busy_ends_in_an_open_intent() {
    let faults = FuseFaults {
        busy_us: Some(60_000_000),
        ..FuseFaults::default()
    };
    let bay = Bay::new(with_fuse_faults(wired(Chip::Esp32C3), faults));
    let mut witness = Recorder::default();
    let wish = field("DIS_FORCE_DOWNLOAD", 1);
    let error = burn(&mut bay.session().await, &wish, &mut witness)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "burn-interrupted", "{error}");
    assert_eq!(witness.told, ["intended 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_spoiled_link_never_burns_anything_but_the_plan() {
    let chip = Chip::Esp32C3;
    let sound = Bay::new(wired(chip));
    burn(
        &mut sound.session().await,
        &everything(chip),
        &mut Recorder::default(),
    )
    .await
    .unwrap();
    let wanted = fuses(&sound).await;
    let mut passed = 0;
    for seed in 0..200 {
        let spoiled = ByteFaults {
            drop_per_million: 100,
            flip_per_million: 100,
            ..Default::default()
        };
        let bay = Bay::new(ChipConfig {
            seed,
            faults: Faults {
                to_chip: spoiled.clone(),
                from_chip: spoiled,
                ..Faults::default()
            },
            ..wired(chip)
        });
        let Ok(mut session) = bay.connect(&crate::ConnectOptions::default()).await else {
            continue;
        };
        let mut witness = Recorder::default();
        let result = burn(&mut session, &everything(chip), &mut witness).await;
        let now = fuses(&bay).await;
        let extra: u32 = now
            .iter()
            .zip(&wanted)
            .map(|(is, may)| (is & !may).count_ones())
            .sum();
        assert_eq!(extra, 0, "seed {seed}: {result:?}");
        match result {
            Ok(_) => {
                assert_eq!(now, wanted, "seed {seed}");
                passed += 1;
            }
            Err(error) => assert!(
                matches!(error.class(), FailureClass::Link),
                "seed {seed}: {} {error}",
                error.class()
            ),
        }
    }
    assert!(passed >= 50, "{passed} of 200 passed");
}
