//! The ESP32-S2's fuses by name, and a controller whose every interval is set.

use crate::chip::{Chip, Revision};

use super::layout;
use super::table::{fuses, open, reversed, secret};
use super::{
    BlockErrors, Controller, ErrorRegisters, FuseBlock, FuseField, FuseMap, Generation, KeyPurpose,
    RegisterBits, Timing,
};

/// The map.
pub(super) static MAP: FuseMap = FuseMap {
    chip: Chip::Esp32S2,
    from: Revision::new(0, 0),
    blocks: &BLOCKS,
    fields: &FIELDS,
    purposes: &PURPOSES,
    controller: &CONTROLLER,
};

const BASE: u32 = 0x3F41_A000;

static BLOCKS: [FuseBlock; 11] = layout::eleven_blocks(BASE);

static ERRORS: [BlockErrors; 10] = layout::block_errors(BASE + 0x1C0);

/// For a bus clock of 40 MHz, which is what the ROM runs on.
static SET: [RegisterBits; 10] = [
    layout::bits(BASE + 0x1F4, 0x0000_00FF, 0x01), // TSUP_A
    layout::bits(BASE + 0x1F0, 0xFFFF_0000, 0x190 << 16), // TPGM
    layout::bits(BASE + 0x1F0, 0x0000_00FF, 0x01), // THP_A
    layout::bits(BASE + 0x1F0, 0x0000_FF00, 0x02 << 8), // TPGM_INACTIVE
    layout::bits(BASE + 0x1E8, 0x0000_00FF, 0x50), // DAC_CLK_DIV
    layout::bits(BASE + 0x1F4, 0x00FF_FF00, 0x5100 << 8), // PWR_ON_NUM
    layout::bits(BASE + 0x1F8, 0x0000_FFFF, 0x80), // PWR_OFF_NUM
    layout::bits(BASE + 0x1EC, 0x00FF_0000, 0x01 << 16), // TSUR_A
    layout::bits(BASE + 0x1EC, 0x0000_FF00, 0x02 << 8), // TRD
    layout::bits(BASE + 0x1EC, 0x0000_00FF, 0x01), // THR_A
];

static CONTROLLER: Controller = Controller {
    generation: Generation::ReedSolomon,
    base: BASE,
    window: 0x200,
    conf: BASE + 0x1CC,
    command: BASE + 0x1D4,
    program: BASE,
    program_words: 8,
    check: BASE + 0x020,
    timing: &[Timing {
        crystal_mhz: Some(40),
        set: &SET,
    }],
    errors: ErrorRegisters::PerBlock {
        repeat: &[
            BASE + 0x17C,
            BASE + 0x180,
            BASE + 0x184,
            BASE + 0x188,
            BASE + 0x190,
        ],
        blocks: &ERRORS,
    },
};

static PURPOSES: [KeyPurpose; 12] = [
    open("USER", 0),
    open("RESERVED", 1),
    reversed("XTS_AES_256_KEY_1", 2),
    reversed("XTS_AES_256_KEY_2", 3),
    reversed("XTS_AES_128_KEY", 4),
    secret("HMAC_DOWN_ALL", 5),
    secret("HMAC_DOWN_JTAG", 6),
    secret("HMAC_DOWN_DIGITAL_SIGNATURE", 7),
    secret("HMAC_UP", 8),
    open("SECURE_BOOT_DIGEST0", 9),
    open("SECURE_BOOT_DIGEST1", 10),
    open("SECURE_BOOT_DIGEST2", 11),
];

static FIELDS: [FuseField; 95] = fuses![
    WR_DIS                        = 0:0+32;
    RD_DIS                        = 0:32+7 wd 0;
    DIS_ICACHE                    = 0:40+1 wd 2;
    DIS_DCACHE                    = 0:41+1 wd 2;
    DIS_DOWNLOAD_ICACHE           = 0:42+1 wd 2;
    DIS_DOWNLOAD_DCACHE           = 0:43+1 wd 2;
    DIS_FORCE_DOWNLOAD            = 0:44+1 wd 2;
    DIS_USB                       = 0:45+1 wd 2;
    DIS_TWAI                      = 0:46+1 wd 2 also DIS_CAN;
    DIS_BOOT_REMAP                = 0:47+1 wd 2;
    SOFT_DIS_JTAG                 = 0:49+1 wd 2;
    HARD_DIS_JTAG                 = 0:50+1 wd 2;
    DIS_DOWNLOAD_MANUAL_ENCRYPT   = 0:51+1 wd 2;
    USB_EXCHG_PINS                = 0:56+1 wd 30;
    USB_EXT_PHY_ENABLE            = 0:57+1 wd 30 also EXT_PHY_ENABLE;
    USB_FORCE_NOPERSIST           = 0:58+1 wd 30;
    BLOCK0_VERSION                = 0:59+2 wd 30;
    VDD_SPI_XPD                   = 0:68+1 wd 3;
    VDD_SPI_TIEH                  = 0:69+1 wd 3;
    VDD_SPI_FORCE                 = 0:70+1 wd 3;
    WDT_DELAY_SEL                 = 0:80+2 wd 3;
    SPI_BOOT_CRYPT_CNT            = 0:82+3 wd 4 is count;
    SECURE_BOOT_KEY_REVOKE0       = 0:85+1 wd 5;
    SECURE_BOOT_KEY_REVOKE1       = 0:86+1 wd 6;
    SECURE_BOOT_KEY_REVOKE2       = 0:87+1 wd 7;
    KEY_PURPOSE_0                 = 0:88+4 wd 8 is purpose also KEY0_PURPOSE;
    KEY_PURPOSE_1                 = 0:92+4 wd 9 is purpose also KEY1_PURPOSE;
    KEY_PURPOSE_2                 = 0:96+4 wd 10 is purpose also KEY2_PURPOSE;
    KEY_PURPOSE_3                 = 0:100+4 wd 11 is purpose also KEY3_PURPOSE;
    KEY_PURPOSE_4                 = 0:104+4 wd 12 is purpose also KEY4_PURPOSE;
    KEY_PURPOSE_5                 = 0:108+4 wd 13 is purpose also KEY5_PURPOSE;
    SECURE_BOOT_EN                = 0:116+1 wd 15;
    SECURE_BOOT_AGGRESSIVE_REVOKE = 0:117+1 wd 16;
    FLASH_TPUW                    = 0:124+4 wd 18;
    DIS_DOWNLOAD_MODE             = 0:128+1 wd 18;
    DIS_LEGACY_SPI_BOOT           = 0:129+1 wd 18;
    UART_PRINT_CHANNEL            = 0:130+1 wd 18;
    DIS_USB_DOWNLOAD_MODE         = 0:132+1 wd 18;
    ENABLE_SECURITY_DOWNLOAD      = 0:133+1 wd 18;
    UART_PRINT_CONTROL            = 0:134+2 wd 18;
    PIN_POWER_SELECTION           = 0:136+1 wd 18;
    FLASH_TYPE                    = 0:137+1 wd 18;
    FORCE_SEND_RESUME             = 0:138+1 wd 18;
    SECURE_VERSION                = 0:139+16 wd 18;
    DISABLE_WAFER_VERSION_MAJOR   = 0:160+1;
    DISABLE_BLK_VERSION_MAJOR     = 0:161+1;
    MAC                           = 1:0+48 wd 20 is mac also MAC_FACTORY;
    SPI_PAD_CONFIG_CLK            = 1:48+6 wd 20;
    SPI_PAD_CONFIG_Q              = 1:54+6 wd 20;
    SPI_PAD_CONFIG_D              = 1:60+6 wd 20;
    SPI_PAD_CONFIG_CS             = 1:66+6 wd 20;
    SPI_PAD_CONFIG_HD             = 1:72+6 wd 20;
    SPI_PAD_CONFIG_WP             = 1:78+6 wd 20;
    SPI_PAD_CONFIG_DQS            = 1:84+6 wd 20;
    SPI_PAD_CONFIG_D4             = 1:90+6 wd 20;
    SPI_PAD_CONFIG_D5             = 1:96+6 wd 20;
    SPI_PAD_CONFIG_D6             = 1:102+6 wd 20;
    SPI_PAD_CONFIG_D7             = 1:108+6 wd 20;
    WAFER_VERSION_MAJOR           = 1:114+2 wd 20;
    WAFER_VERSION_MINOR_HI        = 1:116+1 wd 20;
    FLASH_VERSION                 = 1:117+4 wd 20;
    BLK_VERSION_MAJOR             = 1:121+2 wd 20;
    PSRAM_VERSION                 = 1:124+4 wd 20;
    PKG_VERSION                   = 1:128+4 wd 20;
    WAFER_VERSION_MINOR_LO        = 1:132+3 wd 20;
    WAFER_VERSION_MINOR           = 1:132+3 1:116+1 wd 20;
    OPTIONAL_UNIQUE_ID            = 2:0+128 wd 21 is bytes;
    ADC_CALIB                     = 2:128+4 wd 21;
    BLK_VERSION_MINOR             = 2:132+3 wd 21;
    TEMP_CALIB                    = 2:135+9 wd 21;
    RTCCALIB_V1IDX_A10H           = 2:144+8 wd 21;
    RTCCALIB_V1IDX_A11H           = 2:152+8 wd 21;
    RTCCALIB_V1IDX_A12H           = 2:160+8 wd 21;
    RTCCALIB_V1IDX_A13H           = 2:168+8 wd 21;
    RTCCALIB_V1IDX_A20H           = 2:176+8 wd 21;
    RTCCALIB_V1IDX_A21H           = 2:184+8 wd 21;
    RTCCALIB_V1IDX_A22H           = 2:192+8 wd 21;
    RTCCALIB_V1IDX_A23H           = 2:200+8 wd 21;
    RTCCALIB_V1IDX_A10L           = 2:208+6 wd 21;
    RTCCALIB_V1IDX_A11L           = 2:214+6 wd 21;
    RTCCALIB_V1IDX_A12L           = 2:220+6 wd 21;
    RTCCALIB_V1IDX_A13L           = 2:226+6 wd 21;
    RTCCALIB_V1IDX_A20L           = 2:232+6 wd 21;
    RTCCALIB_V1IDX_A21L           = 2:238+6 wd 21;
    RTCCALIB_V1IDX_A22L           = 2:244+6 wd 21;
    RTCCALIB_V1IDX_A23L           = 2:250+6 wd 21;
    BLOCK_USR_DATA                = 3:0+256 wd 22 is bytes also USER_DATA;
    CUSTOM_MAC                    = 3:200+48 wd 22 is custom_mac also MAC_CUSTOM;
    BLOCK_KEY0                    = 4:0+256 wd 23 rd 0 is bytes also KEY0;
    BLOCK_KEY1                    = 5:0+256 wd 24 rd 1 is bytes also KEY1;
    BLOCK_KEY2                    = 6:0+256 wd 25 rd 2 is bytes also KEY2;
    BLOCK_KEY3                    = 7:0+256 wd 26 rd 3 is bytes also KEY3;
    BLOCK_KEY4                    = 8:0+256 wd 27 rd 4 is bytes also KEY4;
    BLOCK_KEY5                    = 9:0+256 wd 28 rd 5 is bytes also KEY5;
    BLOCK_SYS_DATA2               = 10:0+256 wd 29 rd 6 is bytes also SYS_DATA_PART2;
];
