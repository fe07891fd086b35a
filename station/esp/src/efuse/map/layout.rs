//! What the controllers of the later chips have in common: blocks, error bits, timing.

use super::{BlockErrors, Coding, FailBit, FuseBlock, ReadDisable, RegisterBits};

/// Names of the key blocks, and the fields that say what their keys are for.
const KEYS: [(&str, &[&str], &str); 6] = [
    ("BLOCK_KEY0", &["BLOCK4", "KEY0"], "KEY_PURPOSE_0"),
    ("BLOCK_KEY1", &["BLOCK5", "KEY1"], "KEY_PURPOSE_1"),
    ("BLOCK_KEY2", &["BLOCK6", "KEY2"], "KEY_PURPOSE_2"),
    ("BLOCK_KEY3", &["BLOCK7", "KEY3"], "KEY_PURPOSE_3"),
    ("BLOCK_KEY4", &["BLOCK8", "KEY4"], "KEY_PURPOSE_4"),
    ("BLOCK_KEY5", &["BLOCK9", "KEY5"], "KEY_PURPOSE_5"),
];

/// The eleven blocks of most chips: block 0, factory data, system data, user data, six keys, more
/// system data.
pub(super) const fn eleven_blocks(base: u32) -> [FuseBlock; 11] {
    let read = base + 0x02C;
    [
        block_0(base, read, 6),
        factory(base, base + 0x044),
        system(base, base + 0x05C),
        user(base, base + 0x07C),
        key(base, base + 0x09C, 0),
        key(base, base + 0x0BC, 1),
        key(base, base + 0x0DC, 2),
        key(base, base + 0x0FC, 3),
        key(base, base + 0x11C, 4),
        key(base, base + 0x13C, 5),
        last(
            base,
            base + 0x15C,
            10,
            &["BLOCK10", "SYS_DATA_PART2"],
            29,
            6,
        ),
    ]
}

/// Block 0, whose fields are closed one group at a time.
pub(super) const fn block_0(base: u32, read: u32, words: u8) -> FuseBlock {
    FuseBlock {
        number: 0,
        name: "BLOCK0",
        aliases: &[],
        read,
        words,
        write: base,
        coding: Coding::Plain,
        write_disable: None,
        read_disable: ReadDisable::Never,
        purpose: None,
        key_slot: false,
    }
}

/// A Reed-Solomon coded block without a key that can always be read.
pub(super) const fn coded(
    number: u8,
    name: &'static str,
    aliases: &'static [&'static str],
    base: u32,
    read: u32,
    words: u8,
    write_disable: u8,
) -> FuseBlock {
    FuseBlock {
        number,
        name,
        aliases,
        read,
        words,
        coding: Coding::ReedSolomon,
        write_disable: Some(write_disable),
        ..block_0(base, read, words)
    }
}

/// Block 1: the MAC and what the factory measured.
pub(super) const fn factory(base: u32, read: u32) -> FuseBlock {
    coded(1, "BLOCK1", &["MAC_SPI_8M_0"], base, read, 6, 20)
}

/// Block 2: more of what the factory measured.
pub(super) const fn system(base: u32, read: u32) -> FuseBlock {
    let aliases = &["BLOCK2", "SYS_DATA_PART1"];
    coded(2, "BLOCK_SYS_DATA", aliases, base, read, 8, 21)
}

/// Block 3: free for the product.
pub(super) const fn user(base: u32, read: u32) -> FuseBlock {
    let aliases = &["BLOCK3", "USER_DATA"];
    coded(3, "BLOCK_USR_DATA", aliases, base, read, 8, 22)
}

/// Key block `slot`, from 0.
pub(super) const fn key(base: u32, read: u32, slot: u8) -> FuseBlock {
    let (name, aliases, purpose) = KEYS[slot as usize];
    FuseBlock {
        read_disable: ReadDisable::Whole(slot),
        purpose: Some(purpose),
        key_slot: true,
        ..coded(4 + slot, name, aliases, base, read, 8, 23 + slot)
    }
}

/// The block behind the keys: system data that can be hidden like a key.
pub(super) const fn last(
    base: u32,
    read: u32,
    number: u8,
    aliases: &'static [&'static str],
    write_disable: u8,
    read_disable: u8,
) -> FuseBlock {
    FuseBlock {
        read_disable: ReadDisable::Whole(read_disable),
        ..coded(
            number,
            "BLOCK_SYS_DATA2",
            aliases,
            base,
            read,
            8,
            write_disable,
        )
    }
}

/// Errors of blocks 1 to `N`, four bits each from `address` on, eight blocks a register: a count in
/// three bits and above it the bit that says the block cannot be corrected.
pub(super) const fn block_errors<const N: usize>(address: u32) -> [BlockErrors; N] {
    let none = BlockErrors {
        block: 0,
        address: 0,
        count_bit: 0,
        fail_bit: None,
    };
    let mut all = [none; N];
    let mut index = 0;
    while index < N {
        let (address, bit) = (address + (index as u32 / 8) * 4, (index as u8 % 8) * 4);
        all[index] = BlockErrors {
            block: index as u8 + 1,
            address,
            count_bit: bit,
            fail_bit: Some(FailBit {
                address,
                bit: bit + 3,
            }),
        };
        index += 1;
    }
    all
}

/// The same on the ESP32-C3, where the bit for a block stands with the count of the next one, and
/// block 10 has none.
pub(super) const fn shifted_block_errors(address: u32) -> [BlockErrors; 10] {
    let mut all: [BlockErrors; 10] = block_errors(address);
    let mut index = 0;
    while index < 9 {
        all[index].fail_bit = all[index + 1].fail_bit;
        index += 1;
    }
    all[9].fail_bit = None;
    all
}

/// What most of the chips want before programming, with the addresses of `DAC_CONF`,
/// `WR_TIM_CONF1` and `WR_TIM_CONF2`.
pub(super) const fn timing(dac: u32, first: u32, second: u32) -> [RegisterBits; 4] {
    [
        bits(dac, 0x0001_FE00, 0xFF << 9),
        bits(dac, 0x0000_00FF, 0x28),
        bits(first, 0x00FF_FF00, 0x3000 << 8),
        bits(second, 0x0000_FFFF, 0x190),
    ]
}

/// A row of a timing table.
pub(super) const fn bits(address: u32, mask: u32, value: u32) -> RegisterBits {
    RegisterBits {
        address,
        mask,
        value,
    }
}
