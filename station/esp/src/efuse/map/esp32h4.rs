//! The ESP32-H4's fuses by name, with five bits for a key's purpose.

use crate::chip::{Chip, Revision};

use super::layout;
use super::table::{also, fuses, not_in_block_9, open, reversed, secret};
use super::{
    BlockErrors, Controller, ErrorRegisters, FuseBlock, FuseField, FuseMap, Generation, KeyPurpose,
    RegisterBits, Timing,
};

/// The map.
pub(super) static MAP: FuseMap = FuseMap {
    chip: Chip::Esp32H4,
    from: Revision::new(0, 0),
    blocks: &BLOCKS,
    fields: &FIELDS,
    purposes: &PURPOSES,
    controller: &CONTROLLER,
};

const BASE: u32 = 0x600B_1800;

static BLOCKS: [FuseBlock; 11] = layout::eleven_blocks(BASE);

static ERRORS: [BlockErrors; 10] = layout::block_errors(BASE + 0x190);

static SET: [RegisterBits; 4] = layout::timing(BASE + 0x1EC, BASE + 0x1F4, BASE + 0x1F8);

static CONTROLLER: Controller = Controller {
    generation: Generation::ReedSolomon,
    base: BASE,
    window: 0x200,
    conf: BASE + 0x1CC,
    command: BASE + 0x1D8,
    program: BASE,
    program_words: 8,
    check: BASE + 0x020,
    timing: &[Timing {
        crystal_mhz: Some(32),
        set: &SET,
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

static PURPOSES: [KeyPurpose; 19] = [
    open("USER", 0),
    also(reversed("ECDSA_KEY_P256", 1), &["ECDSA_KEY"]),
    not_in_block_9(reversed("XTS_AES_256_KEY_1", 2)),
    not_in_block_9(reversed("XTS_AES_256_KEY_2", 3)),
    not_in_block_9(reversed("XTS_AES_128_KEY", 4)),
    secret("HMAC_DOWN_ALL", 5),
    secret("HMAC_DOWN_JTAG", 6),
    secret("HMAC_DOWN_DIGITAL_SIGNATURE", 7),
    secret("HMAC_UP", 8),
    open("SECURE_BOOT_DIGEST0", 9),
    open("SECURE_BOOT_DIGEST1", 10),
    open("SECURE_BOOT_DIGEST2", 11),
    secret("KM_INIT_KEY", 12),
    not_in_block_9(reversed("XTS_AES_256_PSRAM_KEY_1", 13)),
    not_in_block_9(reversed("XTS_AES_256_PSRAM_KEY_2", 14)),
    not_in_block_9(reversed("XTS_AES_128_PSRAM_KEY", 15)),
    reversed("ECDSA_KEY_P192", 16),
    reversed("ECDSA_KEY_P384_L", 17),
    reversed("ECDSA_KEY_P384_H", 18),
];

static FIELDS: [FuseField; 118] = fuses![
    WR_DIS                            = 0:0+32;
    RD_DIS                            = 0:32+7 wd 0;
    DIS_USB_JTAG                      = 0:39+1 wd 2;
    // In `efuse_reg.h`, but not in the tables; closed like its neighbours.
    DIS_USB_SERIAL_JTAG               = 0:40+1 wd 2;
    DIS_FORCE_DOWNLOAD                = 0:41+1 wd 2;
    SPI_DOWNLOAD_MSPI_DIS             = 0:42+1 wd 2;
    DIS_TWAI                          = 0:43+1 wd 2;
    JTAG_SEL_ENABLE                   = 0:44+1 wd 2;
    DIS_PAD_JTAG                      = 0:45+1 wd 2;
    DIS_DOWNLOAD_MANUAL_ENCRYPT       = 0:46+1 wd 2;
    PVT_GLITCH_EN                     = 0:50+1 wd 2;
    PVT_GLITCH_MODE                   = 0:52+2 wd 2;
    // Its WR_DIS bit is what espefuse 5.6 shows; ESP-IDF names none.
    DIS_CORE1                         = 0:54+1 wd 3;
    SPI_BOOT_CRYPT_CNT                = 0:55+3 wd 4 is count;
    SECURE_BOOT_KEY_REVOKE0           = 0:58+1 wd 5;
    SECURE_BOOT_KEY_REVOKE1           = 0:59+1 wd 6;
    SECURE_BOOT_KEY_REVOKE2           = 0:60+1 wd 7;
    KEY_PURPOSE_0                     = 0:64+5 wd 8 is purpose also KEY0_PURPOSE;
    KEY_PURPOSE_1                     = 0:69+5 wd 9 is purpose also KEY1_PURPOSE;
    KEY_PURPOSE_2                     = 0:74+5 wd 10 is purpose also KEY2_PURPOSE;
    KEY_PURPOSE_3                     = 0:79+5 wd 11 is purpose also KEY3_PURPOSE;
    KEY_PURPOSE_4                     = 0:84+5 wd 12 is purpose also KEY4_PURPOSE;
    KEY_PURPOSE_5                     = 0:89+5 wd 13 is purpose also KEY5_PURPOSE;
    SEC_DPA_LEVEL                     = 0:94+2 wd 14;
    XTS_DPA_PSEUDO_LEVEL              = 0:96+2 wd 14;
    XTS_DPA_CLK_ENABLE                = 0:98+1 wd 14;
    ECC_FORCE_CONST_TIME              = 0:99+1 wd 14;
    SECURE_BOOT_SHA384_EN             = 0:100+1 wd 14;
    SECURE_BOOT_EN                    = 0:101+1 wd 15;
    SECURE_BOOT_AGGRESSIVE_REVOKE     = 0:102+1 wd 16;
    // WR_DIS bit 1, as on the C5, P4 and S31: ESP-IDF's components/efuse/esp32h4/esp_efuse_table.csv,
    // generated from the register sources (efuses.yaml 6c3ca4b9…, commit 102122904ade of 2026-07-23),
    // and the table in its efuse documentation. espefuse 5.6 has 17.
    KM_DISABLE_DEPLOY_MODE            = 0:103+5 wd 1;
    KM_RND_SWITCH_CYCLE               = 0:108+2 wd 1;
    KM_DEPLOY_ONLY_ONCE               = 0:110+5 wd 1;
    FORCE_USE_KEY_MANAGER_KEY         = 0:115+5 wd 1;
    FORCE_DISABLE_SW_INIT_KEY         = 0:120+1 wd 1;
    KM_XTS_KEY_LENGTH_256             = 0:121+1 wd 1;
    LOCK_KM_KEY                       = 0:122+1 wd 1;
    FLASH_TPUW                        = 0:123+3 wd 18;
    DIS_DOWNLOAD_MODE                 = 0:127+1 wd 18;
    DIS_DIRECT_BOOT                   = 0:128+1 wd 18;
    DIS_USB_SERIAL_JTAG_ROM_PRINT     = 0:129+1 wd 18;
    DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE = 0:130+1 wd 18;
    ENABLE_SECURITY_DOWNLOAD          = 0:131+1 wd 18;
    UART_PRINT_CONTROL                = 0:132+2 wd 18;
    FORCE_SEND_RESUME                 = 0:134+1 wd 18;
    SECURE_VERSION                    = 0:135+16 wd 18;
    HUK_GEN_STATE                     = 0:151+5 wd 19;
    FLASH_LDO_EFUSE_SEL               = 0:156+1;
    USB_EXCHG_PINS                    = 0:168+1 wd 30;
    USB_OTG_FS_EXCHG_PINS             = 0:169+1 wd 30;
    USB_PHY_SEL                       = 0:170+1 wd 30;
    SOFT_DIS_JTAG                     = 0:171+3 wd 31;
    IO_LDO_ADJUST                     = 0:174+8;
    IO_LDO_1P8                        = 0:182+1;
    DCDC_CCM_EN                       = 0:183+1;
    MAC                               = 1:0+48 wd 20 is mac also MAC_FACTORY;
    MAC_EXT                           = 1:48+16 wd 20 is bytes;
    PVT_LIMIT                         = 1:64+16 wd 20;
    PVT_CELL_SELECT                   = 1:80+7 wd 20;
    PVT_PUMP_LIMIT                    = 1:87+8 wd 20;
    PUMP_DRV                          = 1:96+4 wd 20;
    WDT_DELAY_SEL                     = 1:100+2 wd 20;
    HYS_EN_PAD                        = 1:102+1 wd 20;
    PVT_GLITCH_CHARGE_RESET           = 1:103+1 wd 20;
    VDD_SPI_LDO_ADJUST                = 1:105+8 wd 20;
    FLASH_LDO_POWER_SEL               = 1:113+1 wd 20;
    WAFER_VERSION_MINOR               = 1:114+4 wd 20;
    WAFER_VERSION_MAJOR               = 1:118+2 wd 20;
    DISABLE_WAFER_VERSION_MAJOR       = 1:120+1 wd 20;
    DISABLE_BLK_VERSION_MAJOR         = 1:121+1 wd 20;
    BLK_VERSION_MINOR                 = 1:122+3 wd 20;
    BLK_VERSION_MAJOR                 = 1:125+2 wd 20;
    FLASH_CAP                         = 1:127+3 wd 20;
    FLASH_VENDOR                      = 1:130+3 wd 20;
    PSRAM_CAP                         = 1:133+3 wd 20;
    PSRAM_VENDOR                      = 1:136+2 wd 20;
    TEMP                              = 1:138+2 wd 20;
    PKG_VERSION                       = 1:140+3 wd 20;
    PVT_DRVB                          = 1:143+5 wd 20 also PVT_DBIAS;
    ADJUST_1V2                        = 1:148+4 wd 20;
    ADJUST_1V8                        = 1:152+4 wd 20;
    ACTIVE_DCDC_1V25                  = 1:156+4 wd 20;
    ACTIVE_DCDC_1V35                  = 1:160+4 wd 20;
    SLP_DCDC                          = 1:164+5 wd 20;
    LSLP_HP_DRVB                      = 1:169+5 wd 20;
    DSLP_LP_DBIAS                     = 1:174+2 wd 20;
    TEMP_CALIB                        = 1:176+10 wd 20;
    OPTIONAL_UNIQUE_ID                = 2:0+128 wd 21 is bytes;
    OCODE                             = 2:128+8 wd 21;
    DCDC_OCODE                        = 2:136+8 wd 21;
    VDD_3V4_DOUT                      = 2:144+10 wd 21;
    ADC1_AVE_INITCODE_ATTEN0          = 2:154+9 wd 21;
    ADC1_AVE_INITCODE_ATTEN1          = 2:163+9 wd 21;
    ADC1_AVE_INITCODE_ATTEN2          = 2:172+9 wd 21;
    ADC1_AVE_INITCODE_ATTEN3          = 2:181+9 wd 21;
    ADC1_HI_DOUT_ATTEN0               = 2:190+9 wd 21;
    ADC1_HI_DOUT_ATTEN1               = 2:199+9 wd 21;
    ADC1_HI_DOUT_ATTEN2               = 2:208+9 wd 21;
    ADC1_HI_DOUT_ATTEN3               = 2:217+9 wd 21;
    ADC1_CH0_ATTEN0_INITCODE_DIFF     = 2:226+3 wd 21;
    ADC1_CH1_ATTEN0_INITCODE_DIFF     = 2:229+3 wd 21;
    ADC1_CH2_ATTEN0_INITCODE_DIFF     = 2:232+3 wd 21;
    ADC1_CH3_ATTEN0_INITCODE_DIFF     = 2:235+3 wd 21;
    ADC1_CH4_ATTEN0_INITCODE_DIFF     = 2:238+3 wd 21;
    INITCODE_DIFF_1P8_3P3             = 2:241+5 wd 21;
    HI_DOUT_DIFF_1P8_3P3              = 2:246+5 wd 21;
    BLOCK_USR_DATA                    = 3:0+256 wd 22 is bytes also USER_DATA;
    CUSTOM_MAC                        = 3:200+48 wd 22 is custom_mac also MAC_CUSTOM;
    BLOCK_KEY0                        = 4:0+256 wd 23 rd 0 is bytes also KEY0;
    BLOCK_KEY1                        = 5:0+256 wd 24 rd 1 is bytes also KEY1;
    BLOCK_KEY2                        = 6:0+256 wd 25 rd 2 is bytes also KEY2;
    BLOCK_KEY3                        = 7:0+256 wd 26 rd 3 is bytes also KEY3;
    BLOCK_KEY4                        = 8:0+256 wd 27 rd 4 is bytes also KEY4;
    BLOCK_KEY5                        = 9:0+256 wd 28 rd 5 is bytes also KEY5;
    BLOCK_SYS_DATA2                   = 10:0+256 wd 29 rd 6 is bytes also SYS_DATA_PART2;
    // The next three are as espefuse 5.6 shows them.
    RXIQ_VERSION                      = 10:0+3 wd 29 rd 6;
    RXIQ_0                            = 10:3+7 wd 29 rd 6;
    RXIQ_1                            = 10:10+7 wd 29 rd 6;
];
