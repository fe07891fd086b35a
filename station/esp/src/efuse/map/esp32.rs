//! The ESP32's fuses by name, and its controller, which no later chip has.

use crate::chip::{Chip, Revision};

use super::layout;
use super::table::fuses;
use super::{
    Coding, Controller, ErrorRegisters, FuseBlock, FuseField, FuseMap, Generation, ReadDisable,
    RegisterBits, Timing,
};

/// The map.
pub(super) static MAP: FuseMap = FuseMap {
    chip: Chip::Esp32,
    from: Revision::new(0, 0),
    blocks: &BLOCKS,
    fields: &FIELDS,
    purposes: &[],
    controller: &CONTROLLER,
};

const BASE: u32 = 0x3FF5_A000;

static BLOCKS: [FuseBlock; 4] = [
    FuseBlock {
        write: BASE + 0x01C,
        ..layout::block_0(BASE, BASE, 7)
    },
    block(1, "BLOCK1", &["flash_encryption"], 0x038, 0x098),
    block(
        2,
        "BLOCK2",
        &["secure_boot_v1", "secure_boot_v2"],
        0x058,
        0x0B8,
    ),
    FuseBlock {
        key_slot: false,
        ..block(3, "BLOCK3", &[], 0x078, 0x0D8)
    },
];

/// Blocks 1 to 3 have eight words without coding and six with the 3/4 scheme.
const fn block(
    number: u8,
    name: &'static str,
    aliases: &'static [&'static str],
    read: u32,
    write: u32,
) -> FuseBlock {
    FuseBlock {
        write: BASE + write,
        coding: Coding::ByScheme,
        read_disable: ReadDisable::Whole(number - 1),
        key_slot: true,
        ..layout::coded(number, name, aliases, BASE, BASE + read, 8, number + 6)
    }
}

static CONTROLLER: Controller = Controller {
    generation: Generation::First,
    base: BASE,
    window: 0x200,
    conf: BASE + 0x0FC,
    command: BASE + 0x104,
    program: BASE + 0x01C,
    program_words: 8,
    check: 0,
    timing: &[
        Timing {
            crystal_mhz: Some(26),
            set: &SET_26,
        },
        Timing {
            crystal_mhz: Some(40),
            set: &SET_40,
        },
    ],
    errors: ErrorRegisters::Decoder {
        address: BASE + 0x11C,
        mask: 0xFFF,
    },
};

static SET_26: [RegisterBits; 3] = timing(52, 250, 255);
static SET_40: [RegisterBits; 3] = timing(80, 160, 255);

/// `DAC_CLK_DIV`, `CLK_SEL0` and `CLK_SEL1`.
const fn timing(divider: u32, first: u32, second: u32) -> [RegisterBits; 3] {
    [
        layout::bits(BASE + 0x118, 0x00FF, divider),
        layout::bits(BASE + 0x0F8, 0x00FF, first),
        layout::bits(BASE + 0x0F8, 0xFF00, second << 8),
    ]
}

static FIELDS: [FuseField; 51] = fuses![
    WR_DIS                = 0:0+16 wd 1;
    RD_DIS                = 0:16+4 wd 0;
    FLASH_CRYPT_CNT       = 0:20+7 wd 2 is count;
    UART_DOWNLOAD_DIS     = 0:27+1 wd 2;
    MAC                   = 0:32+48 wd 3 is mac also MAC_FACTORY;
    MAC_CRC               = 0:80+8 wd 3 also MAC_FACTORY_CRC;
    DISABLE_APP_CPU       = 0:96+1 wd 3 also CHIP_VER_DIS_APP_CPU;
    DISABLE_BT            = 0:97+1 wd 3 also CHIP_VER_DIS_BT;
    CHIP_PACKAGE_4BIT     = 0:98+1 also CHIP_VER_PKG_4BIT;
    DIS_CACHE             = 0:99+1 wd 3 also CHIP_VER_DIS_CACHE;
    SPI_PAD_CONFIG_HD     = 0:100+5;
    CHIP_PACKAGE          = 0:105+3 also CHIP_VER_PKG;
    PKG_VERSION           = 0:105+3 0:98+1;
    CHIP_CPU_FREQ_LOW     = 0:108+1;
    CHIP_CPU_FREQ_RATED   = 0:109+1;
    BLK3_PART_RESERVE     = 0:110+1 wd 10 rd 3;
    CHIP_VER_REV1         = 0:111+1;
    CLK8M_FREQ            = 0:128+8 wd 4 also CK8M_FREQ;
    ADC_VREF              = 0:136+5 wd 4;
    XPD_SDIO_REG          = 0:142+1 wd 5;
    XPD_SDIO_TIEH         = 0:143+1 wd 5 also SDIO_TIEH;
    XPD_SDIO_FORCE        = 0:144+1 wd 5 also SDIO_FORCE;
    SPI_PAD_CONFIG_CLK    = 0:160+5 wd 6;
    SPI_PAD_CONFIG_Q      = 0:165+5 wd 6;
    SPI_PAD_CONFIG_D      = 0:170+5 wd 6;
    SPI_PAD_CONFIG_CS0    = 0:175+5 wd 6;
    CHIP_VER_REV2         = 0:180+1;
    VOL_LEVEL_HP_INV      = 0:182+2 wd 3;
    WAFER_VERSION_MINOR   = 0:184+2;
    FLASH_CRYPT_CONFIG    = 0:188+4 wd 10 rd 3 also ENCRYPT_CONFIG;
    CODING_SCHEME         = 0:192+2 wd 10 rd 3;
    CONSOLE_DEBUG_DISABLE = 0:194+1 wd 15;
    DISABLE_SDIO_HOST     = 0:195+1;
    ABS_DONE_0            = 0:196+1 wd 12;
    ABS_DONE_1            = 0:197+1 wd 13;
    JTAG_DISABLE          = 0:198+1 wd 14 also DISABLE_JTAG;
    DISABLE_DL_ENCRYPT    = 0:199+1 wd 15;
    DISABLE_DL_DECRYPT    = 0:200+1 wd 15;
    DISABLE_DL_CACHE      = 0:201+1 wd 15;
    KEY_STATUS            = 0:202+1 wd 10 rd 3;
    BLOCK1                = 1:0+256 wd 7 rd 0 is bytes also ENCRYPT_FLASH_KEY;
    BLOCK2                = 2:0+256 wd 8 rd 1 is bytes also SECURE_BOOT_KEY;
    BLOCK3                = 3:0+256 wd 9 rd 2 is bytes;
    CUSTOM_MAC_CRC        = 3:0+8 wd 9 rd 2 also MAC_CUSTOM_CRC;
    CUSTOM_MAC            = 3:8+48 wd 9 rd 2 is custom_mac also MAC_CUSTOM;
    ADC1_TP_LOW           = 3:96+7 wd 9 rd 2;
    ADC1_TP_HIGH          = 3:103+9 wd 9 rd 2;
    ADC2_TP_LOW           = 3:112+7 wd 9 rd 2;
    ADC2_TP_HIGH          = 3:119+9 wd 9 rd 2;
    SECURE_VERSION        = 3:128+32 wd 9 rd 2;
    MAC_VERSION           = 3:184+8 wd 9 rd 2 also MAC_CUSTOM_VER;
];
