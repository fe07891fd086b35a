//! The ESP32-C2's fuses by name: one key block in two halves.

use crate::chip::{Chip, Revision};

use super::layout;
use super::table::fuses;
use super::{
    BlockErrors, Controller, ErrorRegisters, FuseBlock, FuseField, FuseMap, Generation,
    ReadDisable, RegisterBits, Timing,
};

/// The map.
pub(super) static MAP: FuseMap = FuseMap {
    chip: Chip::Esp32C2,
    from: Revision::new(0, 0),
    blocks: &BLOCKS,
    fields: &FIELDS,
    purposes: &[],
    controller: &CONTROLLER,
};

const BASE: u32 = 0x6000_8800;

static BLOCKS: [FuseBlock; 4] = [
    layout::block_0(BASE, BASE + 0x02C, 2),
    layout::coded(1, "BLOCK1", &[], BASE, BASE + 0x034, 3, 5),
    layout::coded(2, "BLOCK2", &[], BASE, BASE + 0x040, 8, 6),
    FuseBlock {
        read_disable: ReadDisable::Halves(0, 1),
        key_slot: true,
        ..layout::coded(
            3,
            "BLOCK_KEY0",
            &["BLOCK3", "KEY0"],
            BASE,
            BASE + 0x060,
            8,
            7,
        )
    },
];

static ERRORS: [BlockErrors; 3] = layout::block_errors(BASE + 0x084);

static CONTROLLER: Controller = Controller {
    generation: Generation::ReedSolomon,
    base: BASE,
    window: 0x200,
    conf: BASE + 0x08C,
    command: BASE + 0x094,
    program: BASE,
    program_words: 8,
    check: BASE + 0x020,
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
    errors: ErrorRegisters::PerBlock {
        repeat: &[BASE + 0x080],
        blocks: &ERRORS,
    },
};

static SET_26: [RegisterBits; 5] = timing(130);
static SET_40: [RegisterBits; 5] = timing(200);

/// The usual timing, and `TPGM_INACTIVE`.
const fn timing(inactive: u32) -> [RegisterBits; 5] {
    let [number, divider, on, off] = layout::timing(BASE + 0x108, BASE + 0x114, BASE + 0x118);
    let inactive = layout::bits(BASE + 0x110, 0xFF00, inactive << 8);
    [number, divider, on, off, inactive]
}

static FIELDS: [FuseField; 50] = fuses![
    WR_DIS                      = 0:0+8;
    RD_DIS                      = 0:32+2 wd 0;
    WDT_DELAY_SEL               = 0:34+2 wd 1;
    DIS_PAD_JTAG                = 0:36+1 wd 1;
    DIS_DOWNLOAD_ICACHE         = 0:37+1 wd 1;
    DIS_DOWNLOAD_MANUAL_ENCRYPT = 0:38+1 wd 2;
    SPI_BOOT_CRYPT_CNT          = 0:39+3 wd 2 is count;
    XTS_KEY_LENGTH_256          = 0:42+1 wd 2;
    UART_PRINT_CONTROL          = 0:43+2 wd 3;
    FORCE_SEND_RESUME           = 0:45+1 wd 3;
    DIS_DOWNLOAD_MODE           = 0:46+1 wd 3;
    DIS_DIRECT_BOOT             = 0:47+1 wd 3;
    ENABLE_SECURITY_DOWNLOAD    = 0:48+1 wd 3;
    FLASH_TPUW                  = 0:49+4 wd 3;
    SECURE_BOOT_EN              = 0:53+1 wd 2;
    SECURE_VERSION              = 0:54+4 wd 4;
    CUSTOM_MAC_USED             = 0:58+1 wd 4 also ENABLE_CUSTOM_MAC;
    DISABLE_WAFER_VERSION_MAJOR = 0:59+1 wd 4;
    DISABLE_BLK_VERSION_MAJOR   = 0:60+1 wd 4;
    USER_DATA                   = 1:0+88 wd 5 is bytes;
    CUSTOM_MAC                  = 1:0+48 wd 5 is custom_mac also MAC_CUSTOM;
    MAC                         = 2:0+48 wd 6 is mac also MAC_FACTORY;
    WAFER_VERSION_MINOR         = 2:48+4 wd 6;
    WAFER_VERSION_MAJOR         = 2:52+2 wd 6;
    PKG_VERSION                 = 2:54+3 wd 6;
    BLK_VERSION_MINOR           = 2:57+3 wd 6;
    BLK_VERSION_MAJOR           = 2:60+2 wd 6;
    OCODE                       = 2:62+7 wd 6;
    TEMP_CALIB                  = 2:69+9 wd 6;
    ADC1_INIT_CODE_ATTEN0       = 2:78+8 wd 6;
    ADC1_INIT_CODE_ATTEN3       = 2:86+5 wd 6;
    ADC1_CAL_VOL_ATTEN0         = 2:91+8 wd 6;
    ADC1_CAL_VOL_ATTEN3         = 2:99+6 wd 6;
    DIG_DBIAS_HVT               = 2:105+5 wd 6;
    DIG_LDO_SLP_DBIAS2          = 2:110+7 wd 6;
    DIG_LDO_SLP_DBIAS26         = 2:117+8 wd 6;
    DIG_LDO_ACT_DBIAS26         = 2:125+6 wd 6;
    DIG_LDO_ACT_STEPD10         = 2:131+4 wd 6;
    RTC_LDO_SLP_DBIAS13         = 2:135+7 wd 6;
    RTC_LDO_SLP_DBIAS29         = 2:142+9 wd 6;
    RTC_LDO_SLP_DBIAS31         = 2:151+6 wd 6;
    RTC_LDO_ACT_DBIAS31         = 2:157+6 wd 6;
    RTC_LDO_ACT_DBIAS13         = 2:163+8 wd 6;
    ADC_CALIBRATION_3           = 2:192+11 wd 6;
    FLASH_VENDOR                = 2:248+3 wd 6;
    FLASH_TEMP                  = 2:251+2 wd 6;
    FLASH_CAP                   = 2:253+3 wd 6;
    BLOCK_KEY0                  = 3:0+256 wd 7 rd 0 1 is bytes also KEY0;
    BLOCK_KEY0_LOW_128          = 3:0+128 wd 7 rd 0 is bytes;
    BLOCK_KEY0_HI_128           = 3:128+128 wd 7 rd 1 is bytes;
];
