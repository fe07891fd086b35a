//! The espflash library, unmodified, against the virtual chips over a PTY.

use std::path::Path;

use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::Flasher;
use espflash::target::DefaultProgressCallback;
use md5::{Digest, Md5};

use crate::support::Fleet;

fn connect(pty: &Path) -> Flasher {
    let port = serialport::new(pty.display().to_string(), 115_200)
        .open_native()
        .unwrap();
    let usb = serialport::UsbPortInfo {
        vid: 0,
        pid: 0,
        serial_number: None,
        manufacturer: None,
        product: None,
        interface: None,
    };
    let connection = Connection::new(
        port,
        usb,
        ResetAfterOperation::NoResetNoStub,
        ResetBeforeOperation::NoReset,
        115_200,
    );
    Flasher::connect(connection, true, true, false, None, Some(460_800)).unwrap()
}

fn round(chip: &'static str) {
    let fleet = Fleet::of(chip, 1);
    let mut flasher = connect(&fleet.pty(1));
    let board = flasher.device_info().unwrap();
    assert_eq!(
        board.mac_address.unwrap_or_default().to_lowercase(),
        fleet.mac(1),
        "{chip}"
    );
    assert_eq!(board.flash_size.to_string(), "4MB");
    let image: Vec<u8> = (0..40_000_u32).map(|at| ((at * at) >> 7) as u8).collect();
    flasher
        .write_bin_to_flash(0x10000, &image, &mut DefaultProgressCallback)
        .unwrap();
    let wanted = u128::from_be_bytes(Md5::digest(&image).into());
    let found = flasher.checksum_md5(0x10000, image.len() as u32).unwrap();
    assert_eq!(found, wanted, "{chip}");
    let back = fleet.folder().join("back.bin");
    flasher
        .read_flash(0x10000, image.len() as u32, 0x1000, 64, back.clone())
        .unwrap();
    assert_eq!(std::fs::read(back).unwrap(), image, "{chip}");
    flasher.erase_region(0x10000, 0x1000).unwrap();
}

macro_rules! every_chip {
    ($($chip:ident)*) => { $(
        #[test]
        fn $chip() {
            round(stringify!($chip));
        }
    )* };
}

mod identifies_writes_verifies_reads_and_erases {
    use super::round;

    every_chip!(esp32 esp32s2 esp32s3 esp32c2 esp32c3 esp32c5 esp32c6 esp32c61 esp32h2 esp32h4 esp32p4 esp32s31);
}
