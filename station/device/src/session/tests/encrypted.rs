//! Images that the chip encrypts, and chips that do not start the stub.

use station_esp::Chip;
use station_esp::command::Dialect;

use super::rig::{Bay, board, prepared, rom_only};
use crate::flash::NoProgress;
use crate::session::ConnectOptions;

#[tokio::test(start_paused = true)]
async fn the_rom_of_an_esp32_cannot_encrypt_and_says_what_can() {
    let bay = Bay::new(board(Chip::Esp32));
    let mut session = bay.connect(&rom_only()).await.unwrap();
    let image = prepared(0x1_0000, &[1; 100]);
    let error = session
        .write_encrypted(&image, 0, &NoProgress)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "unsupported");
    assert!(error.to_string().contains("the stub can"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_chip_whose_fuses_forbid_it_is_not_asked_to_encrypt() {
    for options in [ConnectOptions::default(), rom_only()] {
        let bay = Bay::new(board(Chip::Esp32S3));
        bay.burn("DIS_DOWNLOAD_MANUAL_ENCRYPT").await;
        let mut session = bay.connect(&options).await.unwrap();
        let image = prepared(0x1_0000, &[1; 100]);
        let error = session
            .write_encrypted(&image, 0, &NoProgress)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "unsupported");
        assert!(error.to_string().contains("ciphertext"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chip_without_a_key_is_not_asked_to_encrypt() {
    for chip in [Chip::Esp32, Chip::Esp32S3, Chip::Esp32C2, Chip::Esp32P4] {
        let bay = Bay::new(board(chip));
        let mut session = bay.session().await;
        let before = bay.flash(0x1_0000, 4096).await;
        let image = prepared(0x1_0000, &[1; 100]);
        let error = session
            .write_encrypted(&image, 0, &NoProgress)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "unsupported", "{chip}");
        assert!(error.to_string().contains("hold no key"), "{chip}: {error}");
        assert_eq!(bay.flash(0x1_0000, 4096).await, before, "{chip}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_does_not_start_the_stub_is_used_through_its_rom_and_says_why() {
    for chip in [Chip::Esp32S3, Chip::Esp32C3] {
        let bay = Bay::new(board(chip));
        assert_eq!(bay.session().await.without_stub(), None);
        bay.burn("SECURE_BOOT_EN").await;
        let session = bay.session().await;
        assert_eq!(session.loader(), Dialect::Rom);
        assert!(session.without_stub().unwrap().contains("secure boot"));
    }
    let other = Bay::new(board(Chip::Esp32C6));
    other.burn("SECURE_BOOT_EN").await;
    assert_eq!(other.session().await.loader(), Dialect::Stub);
}

#[tokio::test(start_paused = true)]
async fn what_the_chip_encrypts_is_what_the_station_would_have_written() {
    use crate::efuse::tests::rig;
    use station_esp::secret::Secret;
    use station_esp::secure::encryption::{FlashKey, Scheme, encrypt, filled_up};
    let key = [0x5C; 32];
    for chip in [Chip::Esp32C3, Chip::Esp32S3, Chip::Esp32] {
        for options in [ConnectOptions::default(), rom_only()] {
            if chip == Chip::Esp32 && !options.stub {
                continue;
            }
            let bay = Bay::new(board(chip));
            let mut wish = rig::key_of(chip, &key);
            if chip == Chip::Esp32 {
                wish.fields = rig::field("FLASH_CRYPT_CONFIG", 0xF).fields;
            }
            let mut session = bay.connect(&options).await.unwrap();
            rig::burn(&mut session, &wish, &mut Default::default())
                .await
                .unwrap();
            let mut bytes = super::rig::half_compressible(70_001, 5);
            // Erased flash is content too.
            bytes[8192..49_152].fill(0xFF);
            let image = prepared(0x1_0000, &bytes);
            let written = session
                .write_encrypted(&image, 1, &NoProgress)
                .await
                .unwrap();
            assert!(!written.verified && written.bytes == 70_001);
            let scheme = Scheme::of(chip);
            let key = FlashKey::new(scheme, Secret::new(key.to_vec())).unwrap();
            let wanted = encrypt(&key, 0x1_0000, &filled_up(bytes)).unwrap();
            let found = bay.flash(0x1_0000, wanted.len()).await;
            assert!(found == wanted, "{chip}, stub {}", options.stub);
        }
    }
}
