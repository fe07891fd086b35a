//! The espflash library as a program that writes one image, for `station bench flash --peer espflash`.
//!
//! The program `espflash` takes no PTY (it insists on a port that the system lists), so its library, which
//! does the work in that program too, stands in for it: unmodified, with its own defaults, skip and verify on.
//!
//! Usage: `espflash_write PORT BAUD OFFSET FILE`, offset in decimal.

use std::error::Error;

use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::Flasher;
use espflash::target::DefaultProgressCallback;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, baud, offset, file] = arguments.as_slice() else {
        return Err("usage: espflash_write PORT BAUD OFFSET FILE".into());
    };
    let serial = serialport::new(port, 115_200).open_native()?;
    let usb = serialport::UsbPortInfo {
        vid: 0,
        pid: 0,
        serial_number: None,
        manufacturer: None,
        product: None,
        interface: None,
    };
    let connection = Connection::new(
        serial,
        usb,
        ResetAfterOperation::NoResetNoStub,
        ResetBeforeOperation::NoReset,
        115_200,
    );
    let mut flasher = Flasher::connect(connection, true, true, true, None, Some(baud.parse()?))?;
    flasher.write_bin_to_flash(
        offset.parse()?,
        &std::fs::read(file)?,
        &mut DefaultProgressCallback,
    )?;
    Ok(())
}
