//! What must not be seen of a key anywhere.

use station_esp::Chip;
use station_esp::efuse::plan::Danger;

use super::rig::{KEY, Recorder, burn, key};
use crate::session::tests::rig::{Bay, board};

/// Whether four bytes of the key in a row appear in a text, as hex in either order or as numbers.
fn shows_key(text: &str) -> bool {
    KEY.windows(4).any(|bytes| {
        let word = u32::from_le_bytes(bytes.try_into().unwrap());
        let listed: Vec<String> = bytes.iter().map(u8::to_string).collect();
        [word, word.swap_bytes()]
            .iter()
            .any(|word| text.contains(&format!("{word:08x}")) || text.contains(&word.to_string()))
            || text.contains(&listed.join(", "))
    })
}

#[tokio::test(start_paused = true)]
async fn nothing_that_can_be_printed_shows_a_key() {
    let mut readable = key(Chip::Esp32S3);
    readable.keys[0].purpose = "USER".into();
    readable.keys[0].read_protect = Some(false);
    readable.accepted = vec![Danger::UnprotectedKey];
    for (chip, wish) in [
        (Chip::Esp32, key(Chip::Esp32)),
        (Chip::Esp32S3, key(Chip::Esp32S3)),
        (Chip::Esp32S3, readable),
    ] {
        let bay = Bay::new(board(chip));
        let mut session = bay.session().await;
        let mut witness = Recorder::default();
        let burned = burn(&mut session, &wish, &mut witness).await.unwrap();
        for text in [
            format!("{session:?}"),
            format!("{burned:?}"),
            format!("{:?}", witness.intents),
            format!("{:?}", witness.results),
        ] {
            assert!(!shows_key(&text), "{chip}: {text}");
        }
    }
    assert!(shows_key(&format!("{KEY:?}")), "the search itself works");
}
