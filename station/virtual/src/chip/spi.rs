//! The SPI controller as the loader's register commands drive it, and the flash's answers.
//!
//! Invariants: only "user" transactions run; at most 64 bytes move either way; a transaction ends
//! before the write that started it is answered; a program or erase without write-enable does
//! nothing, as on a real part.

use station_esp::chip::SpiRegisters;

use crate::nor::{EraseUnit, NorFlash, PAGE};

/// Starts a user transaction.
const CMD_USR: u32 = 1 << 18;
const USR_COMMAND: u32 = 1 << 31;
const USR_ADDR: u32 = 1 << 30;
const USR_MISO: u32 = 1 << 28;
const USR_MOSI: u32 = 1 << 27;
/// Write-enable latch in status register 1.
const WEL: u8 = 0x02;
/// The data words W0 to W15.
const WORDS: usize = 16;
const BYTES: usize = WORDS * 4;

/// The controller's registers and the flash's status registers.
#[derive(Debug)]
pub(super) struct SpiController {
    map: SpiRegisters,
    addr: u32,
    usr: u32,
    usr1: u32,
    usr2: u32,
    mosi_dlen: u32,
    miso_dlen: u32,
    words: [u32; WORDS],
    status: [u8; 3],
    jedec: [u8; 3],
    unique: u64,
}

impl SpiController {
    pub(super) fn new(map: SpiRegisters, jedec: [u8; 3], unique: u64) -> Self {
        Self {
            map,
            addr: 0,
            usr: USR_COMMAND,
            usr1: 0,
            usr2: 0,
            mosi_dlen: 0,
            miso_dlen: 0,
            words: [0; WORDS],
            status: [0, 0x02, 0x60],
            jedec,
            unique,
        }
    }

    /// What a reset of the chip (not of the flash) leaves.
    pub(super) fn reset(&mut self) {
        *self = Self {
            status: self.status,
            ..Self::new(self.map, self.jedec, self.unique)
        };
    }

    /// The register at `address`, when it is one of this controller's.
    pub(super) fn read(&self, address: u32) -> Option<u32> {
        if let Some(index) = self.word_index(address) {
            return self.words.get(index).copied();
        }
        let map = &self.map;
        [
            (map.cmd, 0),
            (map.addr, self.addr),
            (map.usr, self.usr),
            (map.usr1, self.usr1),
            (map.usr2, self.usr2),
            (map.mosi_dlen, self.mosi_dlen),
            (map.miso_dlen, self.miso_dlen),
        ]
        .into_iter()
        .find_map(|(register, value)| (register == address).then_some(value))
    }

    /// Writes a register; says whether `address` is one of this controller's.
    pub(super) fn write(&mut self, address: u32, value: u32, flash: &mut NorFlash) -> bool {
        if let Some(index) = self.word_index(address) {
            if let Some(word) = self.words.get_mut(index) {
                *word = value;
            }
            return true;
        }
        let map = self.map;
        let register = [
            (map.addr, &mut self.addr),
            (map.usr, &mut self.usr),
            (map.usr1, &mut self.usr1),
            (map.usr2, &mut self.usr2),
            (map.mosi_dlen, &mut self.mosi_dlen),
            (map.miso_dlen, &mut self.miso_dlen),
        ]
        .into_iter()
        .find_map(|(at, register)| (at == address).then_some(register));
        if let Some(register) = register {
            *register = value;
            return true;
        }
        if address != map.cmd {
            return false;
        }
        if value & CMD_USR != 0 && self.usr & USR_COMMAND != 0 {
            self.transact(flash);
        }
        true
    }

    fn word_index(&self, address: u32) -> Option<usize> {
        let offset = address.checked_sub(self.map.w0)?;
        let index = usize::try_from(offset / 4).ok()?;
        (offset % 4 == 0 && index < WORDS).then_some(index)
    }

    /// Runs one transaction: command, address, dummy, data out or in.
    fn transact(&mut self, flash: &mut NorFlash) {
        let command = (self.usr2 & 0xFF) as u8;
        let address = self.flash_address();
        let mut sent = [0u8; BYTES];
        for (chunk, word) in sent.chunks_exact_mut(4).zip(self.words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        let sent_bits = if self.usr & USR_MOSI == 0 {
            0
        } else {
            (self.mosi_dlen & 0x3FF) + 1
        };
        let sent_len = (sent_bits.div_ceil(8) as usize).min(BYTES);
        let mut answer = [0xFFu8; BYTES];
        self.act(
            command,
            address,
            sent.get(..sent_len).unwrap_or(&[]),
            &mut answer,
            flash,
        );
        if self.usr & USR_MISO != 0 {
            self.latch(&answer);
        }
    }

    /// The low `miso_dlen + 1` bits of the answer land in the data words.
    fn latch(&mut self, answer: &[u8; BYTES]) {
        let bits = ((self.miso_dlen & 0x3FF) + 1).min(BYTES as u32 * 8);
        for (index, (word, chunk)) in
            (0u32..).zip(self.words.iter_mut().zip(answer.chunks_exact(4)))
        {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(chunk);
            let value = u32::from_le_bytes(bytes);
            let mask = match bits.saturating_sub(index * 32) {
                0 => continue,
                left if left < 32 => (1 << left) - 1,
                _ => u32::MAX,
            };
            *word = (*word & !mask) | (value & mask);
        }
    }

    fn flash_address(&self) -> u32 {
        if self.usr & USR_ADDR == 0 {
            return 0;
        }
        let bits = (self.usr1 >> 26) + 1;
        if self.map.addr_msb && bits < 32 {
            self.addr >> (32 - bits)
        } else {
            self.addr
        }
    }

    fn act(
        &mut self,
        command: u8,
        address: u32,
        sent: &[u8],
        answer: &mut [u8; BYTES],
        flash: &mut NorFlash,
    ) {
        let first = sent.first().copied();
        match command {
            0x9F => answer[..3].copy_from_slice(&self.jedec),
            0x05 => answer.fill(self.status[0]),
            0x35 => answer.fill(self.status[1]),
            0x15 => answer.fill(self.status[2]),
            0x06 | 0x50 => self.status[0] |= WEL,
            0x04 => self.status[0] &= !WEL,
            0x01 => self.write_status(0, sent),
            0x31 => self.write_status(1, first.as_slice()),
            0x11 => self.write_status(2, first.as_slice()),
            0x5A => sfdp(address, flash.size(), answer),
            0x4B => answer[..8].copy_from_slice(&self.unique.to_be_bytes()),
            0x90 => answer[..2].copy_from_slice(&[self.jedec[0], self.jedec[2].wrapping_sub(1)]),
            0xAB => answer.fill(self.jedec[2].wrapping_sub(1)),
            0x03 | 0x0B => {
                let length = BYTES.min(flash.size().saturating_sub(address) as usize);
                if let Some(part) = answer.get_mut(..length) {
                    // The range was cut to the array, so reading cannot fail.
                    let _ = flash.read(address, part);
                }
            }
            0x02 | 0x20 | 0x52 | 0xD8 | 0x60 | 0xC7 => self.change(command, address, sent, flash),
            _ => {}
        }
    }

    /// Programs and erases; each takes the write-enable latch with it.
    fn change(&mut self, command: u8, address: u32, sent: &[u8], flash: &mut NorFlash) {
        if self.status[0] & WEL == 0 {
            return;
        }
        self.status[0] &= !WEL;
        // Beyond the array a part wraps or ignores; here it ignores.
        let _ = match command {
            0x02 => {
                let room = (PAGE - address % PAGE) as usize;
                flash.program(address, sent.get(..room.min(sent.len())).unwrap_or(&[]))
            }
            0x20 => flash.erase(address, EraseUnit::Sector),
            0x52 => flash.erase(address, EraseUnit::HalfBlock),
            0xD8 => flash.erase(address, EraseUnit::Block),
            _ => {
                flash.erase_chip();
                Ok(())
            }
        };
    }

    fn write_status(&mut self, first: usize, values: &[u8]) {
        if self.status[0] & WEL == 0 {
            return;
        }
        self.status[0] &= !WEL;
        for (register, value) in self
            .status
            .iter_mut()
            .skip(first)
            .zip(values.iter().take(2))
        {
            *register = *value;
        }
        self.status[0] &= !(WEL | 1);
    }
}

/// The serial flash discoverable parameters: header, one parameter header, sixteen double words
/// (JESD216: density, erase types 4 KiB and 64 KiB).
fn sfdp(address: u32, size: u32, answer: &mut [u8; BYTES]) {
    const TABLE: usize = 0x80;
    let mut words = [0xFFu8; TABLE + 64];
    words[..16].copy_from_slice(b"SFDP\x06\x01\x00\xFF\x00\x06\x01\x10\x80\x00\x00\xFF");
    let density = size.saturating_mul(8).saturating_sub(1);
    words[TABLE..TABLE + 4].copy_from_slice(&[0xE5, 0x20, 0xF1, 0xFF]);
    words[TABLE + 4..TABLE + 8].copy_from_slice(&density.to_le_bytes());
    words[TABLE + 28..TABLE + 36].copy_from_slice(&[12, 0x20, 15, 0x52, 16, 0xD8, 0, 0]);
    let start = (address as usize).min(words.len());
    for (to, from) in answer.iter_mut().zip(&words[start..]) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use station_esp::Chip;

    use super::*;

    fn run(
        spi: &mut SpiController,
        flash: &mut NorFlash,
        command: u8,
        out: &[u8],
        bits: u32,
    ) -> u32 {
        let map = spi.map;
        let mut usr = USR_COMMAND;
        if !out.is_empty() {
            usr |= USR_MOSI;
            spi.write(map.mosi_dlen, out.len() as u32 * 8 - 1, flash);
            let mut word = [0; 4];
            word[..out.len()].copy_from_slice(out);
            spi.write(map.w0, u32::from_le_bytes(word), flash);
        }
        if bits > 0 {
            usr |= USR_MISO;
            spi.write(map.miso_dlen, bits - 1, flash);
            spi.write(map.w0, 0, flash);
        }
        spi.write(map.usr, usr, flash);
        spi.write(map.usr2, 7 << 28 | u32::from(command), flash);
        spi.write(map.cmd, CMD_USR, flash);
        assert_eq!(spi.read(map.cmd), Some(0));
        spi.read(map.w0).unwrap()
    }

    #[test]
    fn the_id_comes_back_in_the_order_of_the_wire() {
        let mut flash = NorFlash::new(0x10000);
        for chip in Chip::ALL {
            let mut spi = SpiController::new(chip.spec().spi, [0xC8, 0x40, 0x16], 1);
            assert_eq!(run(&mut spi, &mut flash, 0x9F, &[], 24), 0x16_40C8);
        }
    }

    #[test]
    fn status_is_written_only_while_writing_is_enabled() {
        let mut flash = NorFlash::new(0x10000);
        let mut spi = SpiController::new(Chip::Esp32C3.spec().spi, [1, 2, 3], 1);
        run(&mut spi, &mut flash, 0x01, &[0x1C], 0);
        assert_eq!(run(&mut spi, &mut flash, 0x05, &[], 8), 0);
        run(&mut spi, &mut flash, 0x06, &[], 0);
        run(&mut spi, &mut flash, 0x01, &[0x1C, 0x40], 0);
        assert_eq!(run(&mut spi, &mut flash, 0x05, &[], 8), 0x1C);
        assert_eq!(run(&mut spi, &mut flash, 0x35, &[], 8), 0x40);
    }

    #[test]
    fn the_parameter_table_announces_itself() {
        let mut answer = [0; BYTES];
        sfdp(0, 4 << 20, &mut answer);
        assert_eq!(&answer[..4], b"SFDP");
        sfdp(0x84, 4 << 20, &mut answer);
        assert_eq!(
            u32::from_le_bytes([answer[0], answer[1], answer[2], answer[3]]),
            0x1FF_FFFF
        );
        sfdp(u32::MAX, 4 << 20, &mut answer);
    }
}
