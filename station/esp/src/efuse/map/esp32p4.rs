//! The ESP32-P4's fuses by name, before and from revision 3.0.

use crate::chip::{Chip, Revision};

use super::layout;
use super::table::{also, fuses, join, open, reversed, secret};
use super::{
    BlockErrors, Controller, ErrorRegisters, FuseBlock, FuseField, FuseMap, Generation, KeyPurpose,
    Timing,
};

/// The map.
pub(super) static MAP: FuseMap = FuseMap {
    chip: Chip::Esp32P4,
    from: Revision::new(0, 0),
    blocks: &BLOCKS,
    fields: &EARLY_FIELDS,
    purposes: &EARLY_PURPOSES,
    controller: &CONTROLLER,
};

/// The maps of later revisions.
pub(super) static LATER: [FuseMap; 1] = [FuseMap {
    chip: Chip::Esp32P4,
    from: Revision::new(3, 0),
    blocks: &BLOCKS,
    fields: &LATER_FIELDS,
    purposes: &LATER_PURPOSES,
    controller: &CONTROLLER,
}];

const BASE: u32 = 0x5012_D000;

static BLOCKS: [FuseBlock; 11] = layout::eleven_blocks(BASE);

static ERRORS: [BlockErrors; 10] = layout::block_errors(BASE + 0x1C0);

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
        crystal_mhz: None,
        set: &[], // what the chip starts with is right
    }],
    errors: ErrorRegisters::PerBlock {
        repeat: &[
            BASE + 0x17C,
            BASE + 0x180,
            BASE + 0x184,
            BASE + 0x188,
            BASE + 0x18C,
        ],
        blocks: &ERRORS,
    },
};

static EARLY_PURPOSES: [KeyPurpose; 13] = [
    open("USER", 0),
    also(reversed("ECDSA_KEY", 1), &["ECDSA_KEY_P256"]),
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
    secret("KM_INIT_KEY", 12),
];

static LATER_PURPOSES: [KeyPurpose; 19] = [
    open("USER", 0),
    also(reversed("ECDSA_KEY_P256", 1), &["ECDSA_KEY"]),
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
    secret("KM_INIT_KEY", 12),
    reversed("XTS_AES_256_PSRAM_KEY_1", 13),
    reversed("XTS_AES_256_PSRAM_KEY_2", 14),
    reversed("XTS_AES_128_PSRAM_KEY", 15),
    reversed("ECDSA_KEY_P192", 16),
    reversed("ECDSA_KEY_P384_L", 17),
    reversed("ECDSA_KEY_P384_H", 18),
];

static EARLY_FIELDS: [FuseField; 132] = join(COMMON, EARLY);

static LATER_FIELDS: [FuseField; 147] = join(COMMON, LATEST);

const EARLY: [FuseField; 29] = fuses![
    USB_DEVICE_EXCHG_PINS     = 0:39+1 wd 30;
    USB_OTG11_EXCHG_PINS      = 0:40+1 wd 30;
    POWERGLITCH_EN            = 0:42+1;
    USB_PHY_SEL               = 0:57+1 wd 30;
    KM_HUK_GEN_STATE          = 0:58+9 wd 19;
    KM_RND_SWITCH_CYCLE       = 0:67+2 wd 1;
    KM_DEPLOY_ONLY_ONCE       = 0:69+4 wd 1;
    FORCE_USE_KEY_MANAGER_KEY = 0:73+4 wd 1;
    XTS_KEY_LENGTH_256        = 0:78+1 wd 1;
    WDT_DELAY_SEL             = 0:80+2 wd 2;
    KEY_PURPOSE_0             = 0:88+4 wd 8 is purpose also KEY0_PURPOSE;
    KEY_PURPOSE_1             = 0:92+4 wd 9 is purpose also KEY1_PURPOSE;
    KEY_PURPOSE_2             = 0:96+4 wd 10 is purpose also KEY2_PURPOSE;
    KEY_PURPOSE_3             = 0:100+4 wd 11 is purpose also KEY3_PURPOSE;
    KEY_PURPOSE_4             = 0:104+4 wd 12 is purpose also KEY4_PURPOSE;
    KEY_PURPOSE_5             = 0:108+4 wd 13 is purpose also KEY5_PURPOSE;
    ECDSA_ENABLE_SOFT_K       = 0:114+1 wd 17;
    CRYPT_DPA_ENABLE          = 0:115+1 wd 14;
    FLASH_TYPE                = 0:119+1 wd 18;
    FLASH_PAGE_SIZE           = 0:120+2 wd 18;
    DCDC_VSET                 = 0:155+5;
    PXA0_TIEH_SEL_1           = 0:162+2 wd 2;
    PXA0_TIEH_SEL_2           = 0:164+2 wd 2;
    PXA0_TIEH_SEL_3           = 0:166+2 wd 2;
    KM_DISABLE_DEPLOY_MODE    = 0:168+4 wd 1;
    HP_PWR_SRC_SEL            = 0:178+1 wd 3;
    DCDC_VSET_EN              = 0:179+1;
    LSLP_HP_DBIAS             = 1:152+4 wd 20;
    TEMPERATURE_SENSOR        = 10:96+9 wd 29 rd 6;
];

/// Purposes have a fifth bit, and other fields for the key manager, far from their first ones.
const LATEST: [FuseField; 44] = fuses![
    RECOVERY_BOOTLOADER_FLASH_SECTOR       = 0:39+2 0:42+1 0:53+4 0:63+1 0:64+3 0:67+1;
    RECOVERY_BOOTLOADER_FLASH_SECTOR_0_1   = 0:39+2;
    RECOVERY_BOOTLOADER_FLASH_SECTOR_2_2   = 0:42+1;
    RECOVERY_BOOTLOADER_FLASH_SECTOR_3_6   = 0:53+4;
    USB_PHY_SEL                            = 0:57+1;
    HUK_GEN_STATE                          = 0:58+5 wd 19;
    RECOVERY_BOOTLOADER_FLASH_SECTOR_7_7   = 0:63+1;
    RECOVERY_BOOTLOADER_FLASH_SECTOR_8_10  = 0:64+3;
    RECOVERY_BOOTLOADER_FLASH_SECTOR_11_11 = 0:67+1;
    KM_RND_SWITCH_CYCLE                    = 0:68+1 wd 1;
    KM_DEPLOY_ONLY_ONCE                    = 0:69+4 0:118+1 wd 1;
    FORCE_USE_KEY_MANAGER_KEY              = 0:73+4 0:119+1 wd 1;
    KM_XTS_KEY_LENGTH_256                  = 0:78+1 wd 1;
    ECC_FORCE_CONST_TIME                   = 0:79+1 wd 14;
    // As espefuse 5.6 shows it; not in the table of ESP-IDF.
    DOWNLOAD_MODE_XPD_ON                   = 0:80+1;
    WDT_DELAY_SEL                          = 0:81+1 wd 2;
    KEY_PURPOSE_0                          = 0:88+4 0:155+1 wd 8 is purpose also KEY0_PURPOSE;
    KEY_PURPOSE_1                          = 0:92+4 0:156+1 wd 9 is purpose also KEY1_PURPOSE;
    KEY_PURPOSE_2                          = 0:96+4 0:157+1 wd 10 is purpose also KEY2_PURPOSE;
    KEY_PURPOSE_3                          = 0:100+4 0:158+1 wd 11 is purpose also KEY3_PURPOSE;
    KEY_PURPOSE_4                          = 0:104+4 0:159+1 wd 12 is purpose also KEY4_PURPOSE;
    KEY_PURPOSE_5                          = 0:108+4 0:164+1 wd 13 is purpose also KEY5_PURPOSE;
    XTS_DPA_CLK_ENABLE                     = 0:115+1 wd 14;
    KM_DEPLOY_ONLY_ONCE_H                  = 0:118+1 wd 1;
    FORCE_USE_KEY_MANAGER_KEY_H            = 0:119+1 wd 1;
    KEY_PURPOSE_0_H                        = 0:155+1 wd 8;
    KEY_PURPOSE_1_H                        = 0:156+1 wd 9;
    KEY_PURPOSE_2_H                        = 0:157+1 wd 10;
    KEY_PURPOSE_3_H                        = 0:158+1 wd 11;
    KEY_PURPOSE_4_H                        = 0:159+1 wd 12;
    PVT_GLITCH_EN                          = 0:162+1 wd 3;
    KEY_PURPOSE_5_H                        = 0:164+1 wd 13;
    KM_DISABLE_DEPLOY_MODE_H               = 0:167+1 wd 1;
    KM_DISABLE_DEPLOY_MODE                 = 0:168+4 0:167+1 wd 1;
    XTS_DPA_PSEUDO_LEVEL                   = 0:176+2 wd 14;
    HP_PWR_SRC_SEL                         = 0:178+1 wd 17;
    SECURE_BOOT_SHA384_EN                  = 0:179+1;
    PVT_GLITCH_MODE                        = 0:182+2 wd 3;
    PVT_400M_BIAS                          = 1:171+5 wd 20;
    PVT_40M_BIAS                           = 1:176+5 wd 20;
    PVT_100M_BIAS                          = 1:181+5 wd 20;
    TEMPERATURE_SENSOR                     = 10:96+10 wd 29 rd 6;
    USB_DEVICE_EXCHG_PINS                  = 10:228+1 wd 29 rd 6;
    USB_OTG11_EXCHG_PINS                   = 10:229+1 wd 29 rd 6;
];

const COMMON: [FuseField; 103] = fuses![
    WR_DIS                            = 0:0+32;
    RD_DIS                            = 0:32+7 wd 0;
    DIS_USB_JTAG                      = 0:41+1 wd 2;
    // In `efuse_reg.h`, but not in the tables; closed like its neighbours.
    DIS_USB_SERIAL_JTAG               = 0:43+1 wd 2;
    DIS_FORCE_DOWNLOAD                = 0:44+1 wd 2;
    SPI_DOWNLOAD_MSPI_DIS             = 0:45+1 wd 2;
    DIS_TWAI                          = 0:46+1 wd 2;
    JTAG_SEL_ENABLE                   = 0:47+1 wd 2;
    SOFT_DIS_JTAG                     = 0:48+3 wd 31;
    DIS_PAD_JTAG                      = 0:51+1 wd 2;
    DIS_DOWNLOAD_MANUAL_ENCRYPT       = 0:52+1 wd 2;
    FORCE_DISABLE_SW_INIT_KEY         = 0:77+1 wd 1;
    SPI_BOOT_CRYPT_CNT                = 0:82+3 wd 4 is count;
    SECURE_BOOT_KEY_REVOKE0           = 0:85+1 wd 5;
    SECURE_BOOT_KEY_REVOKE1           = 0:86+1 wd 6;
    SECURE_BOOT_KEY_REVOKE2           = 0:87+1 wd 7;
    SEC_DPA_LEVEL                     = 0:112+2 wd 14;
    SECURE_BOOT_EN                    = 0:116+1 wd 15;
    SECURE_BOOT_AGGRESSIVE_REVOKE     = 0:117+1 wd 16;
    FLASH_ECC_EN                      = 0:122+1 wd 18;
    DIS_USB_OTG_DOWNLOAD_MODE         = 0:123+1 wd 18;
    FLASH_TPUW                        = 0:124+4 wd 18;
    DIS_DOWNLOAD_MODE                 = 0:128+1 wd 18;
    DIS_DIRECT_BOOT                   = 0:129+1 wd 18;
    DIS_USB_SERIAL_JTAG_ROM_PRINT     = 0:130+1 wd 18;
    LOCK_KM_KEY                       = 0:131+1 wd 1;
    DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE = 0:132+1 wd 18;
    ENABLE_SECURITY_DOWNLOAD          = 0:133+1 wd 18;
    UART_PRINT_CONTROL                = 0:134+2 wd 18;
    FORCE_SEND_RESUME                 = 0:136+1 wd 18;
    SECURE_VERSION                    = 0:137+16 wd 18;
    SECURE_BOOT_DISABLE_FAST_WAKE     = 0:153+1 wd 18;
    HYS_EN_PAD                        = 0:154+1 wd 2;
    PXA0_TIEH_SEL_0                   = 0:160+2 wd 2;
    DIS_WDT                           = 0:180+1 wd 2;
    DIS_SWD                           = 0:181+1 wd 2;
    MAC                               = 1:0+48 wd 20 is mac also MAC_FACTORY;
    WAFER_VERSION_MINOR               = 1:64+4 wd 20;
    WAFER_VERSION_MAJOR_LO            = 1:68+2 wd 20;
    WAFER_VERSION_MAJOR               = 1:68+2 1:87+1 wd 20;
    DISABLE_WAFER_VERSION_MAJOR       = 1:70+1 wd 20;
    DISABLE_BLK_VERSION_MAJOR         = 1:71+1 wd 20;
    BLK_VERSION_MINOR                 = 1:72+3 wd 20;
    BLK_VERSION_MAJOR                 = 1:75+2 wd 20;
    PSRAM_CAP                         = 1:77+3 wd 20;
    TEMP                              = 1:80+2 wd 20;
    PSRAM_VENDOR                      = 1:82+2 wd 20;
    PKG_VERSION                       = 1:84+3 wd 20;
    WAFER_VERSION_MAJOR_HI            = 1:87+1 wd 20;
    LDO_VO1_DREF                      = 1:88+4 wd 20;
    LDO_VO2_DREF                      = 1:92+4 wd 20;
    LDO_VO1_MUL                       = 1:96+3 wd 20;
    LDO_VO2_MUL                       = 1:99+3 wd 20;
    LDO_VO3_K                         = 1:102+8 wd 20;
    LDO_VO3_VOS                       = 1:110+6 wd 20;
    LDO_VO3_C                         = 1:116+6 wd 20;
    LDO_VO4_K                         = 1:122+8 wd 20;
    LDO_VO4_VOS                       = 1:130+6 wd 20;
    LDO_VO4_C                         = 1:136+6 wd 20;
    ACTIVE_HP_DBIAS                   = 1:144+4 wd 20;
    ACTIVE_LP_DBIAS                   = 1:148+4 wd 20;
    DSLP_DBG                          = 1:156+4 wd 20;
    DSLP_LP_DBIAS                     = 1:160+5 wd 20;
    LP_DCDC_DBIAS_VOL_GAP             = 1:165+5 wd 20;
    OPTIONAL_UNIQUE_ID                = 2:0+128 wd 21 is bytes;
    ADC1_AVE_INITCODE_ATTEN0          = 2:128+10 wd 21;
    ADC1_AVE_INITCODE_ATTEN1          = 2:138+10 wd 21;
    ADC1_AVE_INITCODE_ATTEN2          = 2:148+10 wd 21;
    ADC1_AVE_INITCODE_ATTEN3          = 2:158+10 wd 21;
    ADC2_AVE_INITCODE_ATTEN0          = 2:168+10 wd 21;
    ADC2_AVE_INITCODE_ATTEN1          = 2:178+10 wd 21;
    ADC2_AVE_INITCODE_ATTEN2          = 2:188+10 wd 21;
    ADC2_AVE_INITCODE_ATTEN3          = 2:198+10 wd 21;
    ADC1_HI_DOUT_ATTEN0               = 2:208+10 wd 21;
    ADC1_HI_DOUT_ATTEN1               = 2:218+10 wd 21;
    ADC1_HI_DOUT_ATTEN2               = 2:228+10 wd 21;
    ADC1_HI_DOUT_ATTEN3               = 2:238+10 wd 21;
    BLOCK_USR_DATA                    = 3:0+256 wd 22 is bytes also USER_DATA;
    CUSTOM_MAC                        = 3:200+48 wd 22 is custom_mac also MAC_CUSTOM;
    BLOCK_KEY0                        = 4:0+256 wd 23 rd 0 is bytes also KEY0;
    BLOCK_KEY1                        = 5:0+256 wd 24 rd 1 is bytes also KEY1;
    BLOCK_KEY2                        = 6:0+256 wd 25 rd 2 is bytes also KEY2;
    BLOCK_KEY3                        = 7:0+256 wd 26 rd 3 is bytes also KEY3;
    BLOCK_KEY4                        = 8:0+256 wd 27 rd 4 is bytes also KEY4;
    BLOCK_KEY5                        = 9:0+256 wd 28 rd 5 is bytes also KEY5;
    ADC2_HI_DOUT_ATTEN0               = 10:0+10 wd 29 rd 6;
    ADC2_HI_DOUT_ATTEN1               = 10:10+10 wd 29 rd 6;
    ADC2_HI_DOUT_ATTEN2               = 10:20+10 wd 29 rd 6;
    ADC2_HI_DOUT_ATTEN3               = 10:30+10 wd 29 rd 6;
    ADC1_CH0_ATTEN0_INITCODE_DIFF     = 10:40+4 wd 29 rd 6;
    ADC1_CH1_ATTEN0_INITCODE_DIFF     = 10:44+4 wd 29 rd 6;
    ADC1_CH2_ATTEN0_INITCODE_DIFF     = 10:48+4 wd 29 rd 6;
    ADC1_CH3_ATTEN0_INITCODE_DIFF     = 10:52+4 wd 29 rd 6;
    ADC1_CH4_ATTEN0_INITCODE_DIFF     = 10:56+4 wd 29 rd 6;
    ADC1_CH5_ATTEN0_INITCODE_DIFF     = 10:60+4 wd 29 rd 6;
    ADC1_CH6_ATTEN0_INITCODE_DIFF     = 10:64+4 wd 29 rd 6;
    ADC1_CH7_ATTEN0_INITCODE_DIFF     = 10:68+4 wd 29 rd 6;
    ADC2_CH0_ATTEN0_INITCODE_DIFF     = 10:72+4 wd 29 rd 6;
    ADC2_CH1_ATTEN0_INITCODE_DIFF     = 10:76+4 wd 29 rd 6;
    ADC2_CH2_ATTEN0_INITCODE_DIFF     = 10:80+4 wd 29 rd 6;
    ADC2_CH3_ATTEN0_INITCODE_DIFF     = 10:84+4 wd 29 rd 6;
    ADC2_CH4_ATTEN0_INITCODE_DIFF     = 10:88+4 wd 29 rd 6;
    ADC2_CH5_ATTEN0_INITCODE_DIFF     = 10:92+4 wd 29 rd 6;
];
