//! The ESP32-C5's fuses by name, with five bits for a key's purpose.

use crate::chip::{Chip, Revision};

use super::layout;
use super::table::{also, fuses, open, reversed, secret};
use super::{
    BlockErrors, Controller, ErrorRegisters, FuseBlock, FuseField, FuseMap, Generation, KeyPurpose,
    RegisterBits, Timing,
};

/// The map.
pub(super) static MAP: FuseMap = FuseMap {
    chip: Chip::Esp32C5,
    from: Revision::new(0, 0),
    blocks: &BLOCKS,
    fields: &FIELDS,
    purposes: &PURPOSES,
    controller: &CONTROLLER,
};

const BASE: u32 = 0x600B_4800;

static BLOCKS: [FuseBlock; 11] = layout::eleven_blocks(BASE);

static ERRORS: [BlockErrors; 10] = layout::block_errors(BASE + 0x190);

/// As espefuse 5.6 sets it; ESP-IDF keeps what the chip starts with.
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
    timing: &[
        Timing {
            crystal_mhz: Some(40),
            set: &SET,
        },
        Timing {
            crystal_mhz: Some(48),
            set: &SET,
        },
    ],
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

static PURPOSES: [KeyPurpose; 15] = [
    open("USER", 0),
    also(reversed("ECDSA_KEY_P256", 1), &["ECDSA_KEY"]),
    reversed("XTS_AES_128_KEY", 4),
    secret("HMAC_DOWN_ALL", 5),
    secret("HMAC_DOWN_JTAG", 6),
    secret("HMAC_DOWN_DIGITAL_SIGNATURE", 7),
    secret("HMAC_UP", 8),
    open("SECURE_BOOT_DIGEST0", 9),
    open("SECURE_BOOT_DIGEST1", 10),
    open("SECURE_BOOT_DIGEST2", 11),
    secret("KM_INIT_KEY", 12),
    reversed("XTS_AES_128_PSRAM_KEY", 15),
    reversed("ECDSA_KEY_P192", 16),
    reversed("ECDSA_KEY_P384_L", 17),
    reversed("ECDSA_KEY_P384_H", 18),
];

static FIELDS: [FuseField; 114] = fuses![
    WR_DIS                                     = 0:0+32;
    RD_DIS                                     = 0:32+7 wd 0;
    BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION_HI = 0:39+1;
    DIS_ICACHE                                 = 0:40+1 wd 2;
    DIS_USB_JTAG                               = 0:41+1 wd 2;
    BOOTLOADER_ANTI_ROLLBACK_EN                = 0:42+1;
    // In `efuse_reg.h`, but not in the tables; closed like its neighbours.
    DIS_USB_SERIAL_JTAG                        = 0:43+1 wd 2;
    DIS_FORCE_DOWNLOAD                         = 0:44+1 wd 2;
    SPI_DOWNLOAD_MSPI_DIS                      = 0:45+1 wd 2;
    DIS_TWAI                                   = 0:46+1 wd 2;
    JTAG_SEL_ENABLE                            = 0:47+1 wd 2;
    SOFT_DIS_JTAG                              = 0:48+3 wd 31;
    DIS_PAD_JTAG                               = 0:51+1 wd 2;
    DIS_DOWNLOAD_MANUAL_ENCRYPT                = 0:52+1 wd 2;
    USB_EXCHG_PINS                             = 0:57+1 wd 30;
    VDD_SPI_AS_GPIO                            = 0:58+1 wd 30;
    WDT_DELAY_SEL                              = 0:59+2 wd 3;
    BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION_LO = 0:61+3;
    BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION    = 0:61+3 0:39+1;
    KM_DISABLE_DEPLOY_MODE                     = 0:64+4 wd 1;
    KM_RND_SWITCH_CYCLE                        = 0:68+2 wd 1;
    KM_DEPLOY_ONLY_ONCE                        = 0:70+4 wd 1;
    FORCE_USE_KEY_MANAGER_KEY                  = 0:74+4 wd 1;
    FORCE_DISABLE_SW_INIT_KEY                  = 0:78+1 wd 1;
    BOOTLOADER_ANTI_ROLLBACK_UPDATE_IN_ROM     = 0:79+1;
    SPI_BOOT_CRYPT_CNT                         = 0:80+3 wd 4 is count;
    SECURE_BOOT_KEY_REVOKE0                    = 0:83+1 wd 5;
    SECURE_BOOT_KEY_REVOKE1                    = 0:84+1 wd 6;
    SECURE_BOOT_KEY_REVOKE2                    = 0:85+1 wd 7;
    KEY_PURPOSE_0                              = 0:86+5 wd 8 is purpose also KEY0_PURPOSE;
    KEY_PURPOSE_1                              = 0:91+5 wd 9 is purpose also KEY1_PURPOSE;
    KEY_PURPOSE_2                              = 0:96+5 wd 10 is purpose also KEY2_PURPOSE;
    KEY_PURPOSE_3                              = 0:101+5 wd 11 is purpose also KEY3_PURPOSE;
    KEY_PURPOSE_4                              = 0:106+5 wd 12 is purpose also KEY4_PURPOSE;
    KEY_PURPOSE_5                              = 0:111+5 wd 13 is purpose also KEY5_PURPOSE;
    SEC_DPA_LEVEL                              = 0:116+2 wd 14;
    RECOVERY_BOOTLOADER_FLASH_SECTOR_HI        = 0:118+3;
    SECURE_BOOT_EN                             = 0:121+1 wd 15;
    SECURE_BOOT_AGGRESSIVE_REVOKE              = 0:122+1 wd 16;
    KM_XTS_KEY_LENGTH_256                      = 0:123+1 wd 1;
    FLASH_TPUW                                 = 0:124+4 wd 18;
    DIS_DOWNLOAD_MODE                          = 0:128+1 wd 18;
    DIS_DIRECT_BOOT                            = 0:129+1 wd 18;
    DIS_USB_SERIAL_JTAG_ROM_PRINT              = 0:130+1 wd 18;
    LOCK_KM_KEY                                = 0:131+1 wd 1;
    DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE          = 0:132+1 wd 18;
    ENABLE_SECURITY_DOWNLOAD                   = 0:133+1 wd 18;
    UART_PRINT_CONTROL                         = 0:134+2 wd 18;
    FORCE_SEND_RESUME                          = 0:136+1 wd 18;
    SECURE_VERSION                             = 0:137+9 wd 18;
    SECURE_BOOT_DISABLE_FAST_WAKE              = 0:153+1 wd 18;
    HYS_EN_PAD                                 = 0:154+1 wd 2;
    XTS_DPA_PSEUDO_LEVEL                       = 0:155+2 wd 14;
    XTS_DPA_CLK_ENABLE                         = 0:157+1 wd 14;
    SECURE_BOOT_SHA384_EN                      = 0:159+1 wd 14;
    HUK_GEN_STATE                              = 0:160+9 wd 19;
    XTAL_48M_SEL                               = 0:169+3 wd 17;
    XTAL_48M_SEL_MODE                          = 0:172+1 wd 17;
    ECC_FORCE_CONST_TIME                       = 0:173+1 wd 14;
    RECOVERY_BOOTLOADER_FLASH_SECTOR           = 0:174+9 0:118+3;
    RECOVERY_BOOTLOADER_FLASH_SECTOR_LO        = 0:174+9;
    MAC                                        = 1:0+48 wd 20 is mac also MAC_FACTORY;
    MAC_EXT                                    = 1:48+16 wd 20 is bytes;
    WAFER_VERSION_MINOR                        = 1:64+4 wd 20;
    WAFER_VERSION_MAJOR                        = 1:68+2 wd 20;
    DISABLE_WAFER_VERSION_MAJOR                = 1:70+1 wd 20;
    DISABLE_BLK_VERSION_MAJOR                  = 1:71+1 wd 20;
    BLK_VERSION_MINOR                          = 1:72+3 wd 20;
    BLK_VERSION_MAJOR                          = 1:75+2 wd 20;
    FLASH_CAP                                  = 1:77+3 wd 20;
    FLASH_VENDOR                               = 1:80+3 wd 20;
    PSRAM_CAP                                  = 1:83+3 wd 20;
    PSRAM_VENDOR                               = 1:86+2 wd 20;
    TEMP                                       = 1:88+2 wd 20;
    PKG_VERSION                                = 1:90+3 wd 20;
    PA_TRIM_VERSION                            = 1:93+3 wd 20;
    TRIM_N_BIAS                                = 1:96+5 wd 20;
    TRIM_P_BIAS                                = 1:101+5 wd 20;
    ACTIVE_HP_DBIAS                            = 1:106+4 wd 20;
    ACTIVE_LP_DBIAS                            = 1:110+4 wd 20;
    LSLP_HP_DBG                                = 1:114+2 wd 20;
    LSLP_HP_DBIAS                              = 1:116+4 wd 20;
    DSLP_LP_DBG                                = 1:120+4 wd 20;
    DSLP_LP_DBIAS                              = 1:124+5 wd 20;
    LP_HP_DBIAS_VOL_GAP                        = 1:129+5 wd 20;
    REF_CURR_CODE                              = 1:134+4 wd 20;
    RES_TUNE_CODE                              = 1:138+5 wd 20;
    OPTIONAL_UNIQUE_ID                         = 2:0+128 wd 21 is bytes;
    TEMPERATURE_SENSOR                         = 2:128+9 wd 21;
    OCODE                                      = 2:137+8 wd 21;
    ADC1_AVE_INITCODE_ATTEN0                   = 2:145+10 wd 21;
    ADC1_AVE_INITCODE_ATTEN1                   = 2:155+10 wd 21;
    ADC1_AVE_INITCODE_ATTEN2                   = 2:165+10 wd 21;
    ADC1_AVE_INITCODE_ATTEN3                   = 2:175+10 wd 21;
    ADC1_HI_DOUT_ATTEN0                        = 2:185+10 wd 21;
    ADC1_HI_DOUT_ATTEN1                        = 2:195+10 wd 21;
    ADC1_HI_DOUT_ATTEN2                        = 2:205+10 wd 21;
    ADC1_HI_DOUT_ATTEN3                        = 2:215+10 wd 21;
    ADC1_CH0_ATTEN0_INITCODE_DIFF              = 2:225+4 wd 21;
    ADC1_CH1_ATTEN0_INITCODE_DIFF              = 2:229+4 wd 21;
    ADC1_CH2_ATTEN0_INITCODE_DIFF              = 2:233+4 wd 21;
    ADC1_CH3_ATTEN0_INITCODE_DIFF              = 2:237+4 wd 21;
    ADC1_CH4_ATTEN0_INITCODE_DIFF              = 2:241+4 wd 21;
    ADC1_CH5_ATTEN0_INITCODE_DIFF              = 2:245+4 wd 21;
    PVT_DBIAS                                  = 2:249+5 wd 21;
    BLOCK_USR_DATA                             = 3:0+256 wd 22 is bytes also USER_DATA;
    CUSTOM_MAC                                 = 3:200+48 wd 22 is custom_mac also MAC_CUSTOM;
    BLOCK_KEY0                                 = 4:0+256 wd 23 rd 0 is bytes also KEY0;
    BLOCK_KEY1                                 = 5:0+256 wd 24 rd 1 is bytes also KEY1;
    BLOCK_KEY2                                 = 6:0+256 wd 25 rd 2 is bytes also KEY2;
    BLOCK_KEY3                                 = 7:0+256 wd 26 rd 3 is bytes also KEY3;
    BLOCK_KEY4                                 = 8:0+256 wd 27 rd 4 is bytes also KEY4;
    BLOCK_KEY5                                 = 9:0+256 wd 28 rd 5 is bytes also KEY5;
    BLOCK_SYS_DATA2                            = 10:0+256 wd 29 rd 6 is bytes also SYS_DATA_PART2;
];
