//! The ESP32-C6's fuses by name.

use crate::chip::{Chip, Revision};

use super::layout;
use super::table::{fuses, not_in_block_9, open, reversed, secret};
use super::{
    BlockErrors, Controller, ErrorRegisters, FuseBlock, FuseField, FuseMap, Generation, KeyPurpose,
    RegisterBits, Timing,
};

/// The map.
pub(super) static MAP: FuseMap = FuseMap {
    chip: Chip::Esp32C6,
    from: Revision::new(0, 0),
    blocks: &BLOCKS,
    fields: &FIELDS,
    purposes: &PURPOSES,
    controller: &CONTROLLER,
};

const BASE: u32 = 0x600B_0800;

static BLOCKS: [FuseBlock; 11] = layout::eleven_blocks(BASE);

static ERRORS: [BlockErrors; 10] = layout::block_errors(BASE + 0x1C0);

static SET: [RegisterBits; 4] = layout::timing(BASE + 0x1E8, BASE + 0x1F0, BASE + 0x1F4);

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

static PURPOSES: [KeyPurpose; 10] = [
    open("USER", 0),
    open("RESERVED", 1),
    not_in_block_9(reversed("XTS_AES_128_KEY", 4)),
    secret("HMAC_DOWN_ALL", 5),
    secret("HMAC_DOWN_JTAG", 6),
    secret("HMAC_DOWN_DIGITAL_SIGNATURE", 7),
    secret("HMAC_UP", 8),
    open("SECURE_BOOT_DIGEST0", 9),
    open("SECURE_BOOT_DIGEST1", 10),
    open("SECURE_BOOT_DIGEST2", 11),
];

static FIELDS: [FuseField; 87] = fuses![
    WR_DIS                            = 0:0+32;
    RD_DIS                            = 0:32+7 wd 0;
    SWAP_UART_SDIO_EN                 = 0:39+1 wd 2;
    DIS_ICACHE                        = 0:40+1 wd 2;
    DIS_USB_JTAG                      = 0:41+1 wd 2;
    DIS_DOWNLOAD_ICACHE               = 0:42+1 wd 2;
    DIS_USB_SERIAL_JTAG               = 0:43+1 wd 2;
    DIS_FORCE_DOWNLOAD                = 0:44+1 wd 2;
    SPI_DOWNLOAD_MSPI_DIS             = 0:45+1 wd 17;
    DIS_TWAI                          = 0:46+1 wd 2 also DIS_CAN;
    JTAG_SEL_ENABLE                   = 0:47+1 wd 2;
    SOFT_DIS_JTAG                     = 0:48+3 wd 31;
    DIS_PAD_JTAG                      = 0:51+1 wd 2;
    DIS_DOWNLOAD_MANUAL_ENCRYPT       = 0:52+1 wd 2;
    USB_EXCHG_PINS                    = 0:57+1 wd 30;
    VDD_SPI_AS_GPIO                   = 0:58+1 wd 30;
    WDT_DELAY_SEL                     = 0:80+2 wd 3;
    SPI_BOOT_CRYPT_CNT                = 0:82+3 wd 4 is count;
    SECURE_BOOT_KEY_REVOKE0           = 0:85+1 wd 5;
    SECURE_BOOT_KEY_REVOKE1           = 0:86+1 wd 6;
    SECURE_BOOT_KEY_REVOKE2           = 0:87+1 wd 7;
    KEY_PURPOSE_0                     = 0:88+4 wd 8 is purpose also KEY0_PURPOSE;
    KEY_PURPOSE_1                     = 0:92+4 wd 9 is purpose also KEY1_PURPOSE;
    KEY_PURPOSE_2                     = 0:96+4 wd 10 is purpose also KEY2_PURPOSE;
    KEY_PURPOSE_3                     = 0:100+4 wd 11 is purpose also KEY3_PURPOSE;
    KEY_PURPOSE_4                     = 0:104+4 wd 12 is purpose also KEY4_PURPOSE;
    KEY_PURPOSE_5                     = 0:108+4 wd 13 is purpose also KEY5_PURPOSE;
    SEC_DPA_LEVEL                     = 0:112+2 wd 14 also DPA_SEC_LEVEL;
    CRYPT_DPA_ENABLE                  = 0:114+1 wd 1;
    SECURE_BOOT_EN                    = 0:116+1 wd 15;
    SECURE_BOOT_AGGRESSIVE_REVOKE     = 0:117+1 wd 16;
    FLASH_TPUW                        = 0:124+4 wd 18;
    DIS_DOWNLOAD_MODE                 = 0:128+1 wd 18;
    DIS_DIRECT_BOOT                   = 0:129+1 wd 18;
    DIS_USB_SERIAL_JTAG_ROM_PRINT     = 0:130+1 wd 18 also DIS_USB_PRINT;
    DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE = 0:132+1 wd 18;
    ENABLE_SECURITY_DOWNLOAD          = 0:133+1 wd 18;
    UART_PRINT_CONTROL                = 0:134+2 wd 18;
    FORCE_SEND_RESUME                 = 0:141+1 wd 18;
    SECURE_VERSION                    = 0:142+16 wd 18;
    SECURE_BOOT_DISABLE_FAST_WAKE     = 0:158+1 wd 19;
    DISABLE_WAFER_VERSION_MAJOR       = 0:160+1 wd 19;
    DISABLE_BLK_VERSION_MAJOR         = 0:161+1 wd 19;
    MAC                               = 1:0+48 wd 20 is mac also MAC_FACTORY;
    MAC_EXT                           = 1:48+16 wd 20 is bytes;
    ACTIVE_HP_DBIAS                   = 1:64+5 wd 20;
    ACTIVE_LP_DBIAS                   = 1:69+5 wd 20;
    LSLP_HP_DBG                       = 1:74+2 wd 20;
    LSLP_HP_DBIAS                     = 1:76+4 wd 20;
    DSLP_LP_DBG                       = 1:80+3 wd 20;
    DSLP_LP_DBIAS                     = 1:83+4 wd 20;
    DBIAS_VOL_GAP                     = 1:87+5 wd 20;
    WAFER_VERSION_MINOR               = 1:114+4 wd 20;
    WAFER_VERSION_MAJOR               = 1:118+2 wd 20;
    PKG_VERSION                       = 1:120+3 wd 20;
    BLK_VERSION_MINOR                 = 1:123+3 wd 20;
    BLK_VERSION_MAJOR                 = 1:126+2 wd 20;
    FLASH_CAP                         = 1:128+3 wd 20;
    FLASH_TEMP                        = 1:131+2 wd 20;
    FLASH_VENDOR                      = 1:133+3 wd 20;
    OPTIONAL_UNIQUE_ID                = 2:0+128 wd 21 is bytes;
    TEMP_CALIB                        = 2:128+9 wd 21;
    OCODE                             = 2:137+8 wd 21;
    ADC1_INIT_CODE_ATTEN0             = 2:145+10 wd 21;
    ADC1_INIT_CODE_ATTEN1             = 2:155+10 wd 21;
    ADC1_INIT_CODE_ATTEN2             = 2:165+10 wd 21;
    ADC1_INIT_CODE_ATTEN3             = 2:175+10 wd 21;
    ADC1_CAL_VOL_ATTEN0               = 2:185+10 wd 21;
    ADC1_CAL_VOL_ATTEN1               = 2:195+10 wd 21;
    ADC1_CAL_VOL_ATTEN2               = 2:205+10 wd 21;
    ADC1_CAL_VOL_ATTEN3               = 2:215+10 wd 21;
    ADC1_INIT_CODE_ATTEN0_CH0         = 2:225+4 wd 21;
    ADC1_INIT_CODE_ATTEN0_CH1         = 2:229+4 wd 21;
    ADC1_INIT_CODE_ATTEN0_CH2         = 2:233+4 wd 21;
    ADC1_INIT_CODE_ATTEN0_CH3         = 2:237+4 wd 21;
    ADC1_INIT_CODE_ATTEN0_CH4         = 2:241+4 wd 21;
    ADC1_INIT_CODE_ATTEN0_CH5         = 2:245+4 wd 21;
    ADC1_INIT_CODE_ATTEN0_CH6         = 2:249+4 wd 21;
    BLOCK_USR_DATA                    = 3:0+256 wd 22 is bytes also USER_DATA;
    CUSTOM_MAC                        = 3:200+48 wd 22 is custom_mac also MAC_CUSTOM;
    BLOCK_KEY0                        = 4:0+256 wd 23 rd 0 is bytes also KEY0;
    BLOCK_KEY1                        = 5:0+256 wd 24 rd 1 is bytes also KEY1;
    BLOCK_KEY2                        = 6:0+256 wd 25 rd 2 is bytes also KEY2;
    BLOCK_KEY3                        = 7:0+256 wd 26 rd 3 is bytes also KEY3;
    BLOCK_KEY4                        = 8:0+256 wd 27 rd 4 is bytes also KEY4;
    BLOCK_KEY5                        = 9:0+256 wd 28 rd 5 is bytes also KEY5;
    BLOCK_SYS_DATA2                   = 10:0+256 wd 29 rd 6 is bytes also SYS_DATA_PART2;
];
