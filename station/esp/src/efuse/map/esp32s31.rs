//! The ESP32-S31's fuses by name: nine words in block 0, five keys.

use crate::chip::{Chip, Revision};

use super::layout;
use super::table::{also, fuses, open, reversed, secret};
use super::{
    BlockErrors, Controller, ErrorRegisters, FuseBlock, FuseField, FuseMap, Generation, KeyPurpose,
    Timing,
};

/// The map.
pub(super) static MAP: FuseMap = FuseMap {
    chip: Chip::Esp32S31,
    from: Revision::new(0, 0),
    blocks: &BLOCKS,
    fields: &FIELDS,
    purposes: &PURPOSES,
    controller: &CONTROLLER,
};

const BASE: u32 = 0x2071_5000;

static BLOCKS: [FuseBlock; 10] = [
    layout::block_0(BASE, BASE + 0x02C, 9),
    layout::factory(BASE, BASE + 0x050),
    layout::system(BASE, BASE + 0x068),
    layout::user(BASE, BASE + 0x088),
    layout::key(BASE, BASE + 0x0A8, 0),
    layout::key(BASE, BASE + 0x0C8, 1),
    layout::key(BASE, BASE + 0x0E8, 2),
    layout::key(BASE, BASE + 0x108, 3),
    layout::key(BASE, BASE + 0x128, 4),
    // Its RD_DIS bit is what espefuse 5.6 shows; ESP-IDF names none.
    layout::last(BASE, BASE + 0x148, 9, &["BLOCK9", "SYS_DATA_PART2"], 28, 5),
];

static ERRORS: [BlockErrors; 9] = layout::block_errors(BASE + 0x188);

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
        crystal_mhz: None,
        set: &[], // what the chip starts with is right
    }],
    errors: ErrorRegisters::PerBlock {
        repeat: &[
            BASE + 0x168,
            BASE + 0x16C,
            BASE + 0x170,
            BASE + 0x174,
            BASE + 0x178,
            BASE + 0x17C,
            BASE + 0x180,
            BASE + 0x184,
        ],
        blocks: &ERRORS,
    },
};

static PURPOSES: [KeyPurpose; 20] = [
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
    secret("SDC_KEY_DIGEST", 19),
];

static FIELDS: [FuseField; 133] = fuses![
    WR_DIS                                  = 0:0+32;
    RD_DIS                                  = 0:32+7 wd 0;
    DIS_USB_JTAG                            = 0:42+1 wd 2;
    // In `efuse_reg.h`, but not in the tables; closed like its neighbours.
    DIS_USB_SERIAL_JTAG                     = 0:43+1 wd 2;
    DIS_FORCE_DOWNLOAD                      = 0:44+1 wd 2;
    SPI_DOWNLOAD_MSPI_DIS                   = 0:45+1 wd 2;
    DIS_TWAI                                = 0:46+1 wd 2;
    JTAG_SEL_ENABLE                         = 0:47+1 wd 2;
    SOFT_DIS_JTAG                           = 0:48+3 wd 31;
    DIS_PAD_JTAG                            = 0:51+1 wd 2;
    DIS_DOWNLOAD_MANUAL_ENCRYPT             = 0:52+1 wd 2;
    HUK_GEN_STATE                           = 0:55+5 wd 19;
    KM_RND_SWITCH_CYCLE                     = 0:64+1 wd 1;
    KM_DISABLE_DEPLOY_MODE                  = 0:66+5 wd 1;
    KM_DEPLOY_ONLY_ONCE                     = 0:71+5 wd 1;
    FORCE_USE_KEY_MANAGER_KEY               = 0:76+5 wd 1;
    FORCE_DISABLE_SW_INIT_KEY               = 0:81+1 wd 1;
    KM_XTS_KEY_LENGTH_256                   = 0:82+1 wd 1;
    WDT_DELAY_SEL                           = 0:83+1 wd 2;
    DIS_SM_CRYPT                            = 0:84+1 wd 14;
    SPI_BOOT_CRYPT_CNT                      = 0:85+3 wd 4 is count;
    SECURE_BOOT_KEY_REVOKE0                 = 0:88+1 wd 5;
    SECURE_BOOT_KEY_REVOKE1                 = 0:89+1 wd 6;
    SECURE_BOOT_KEY_REVOKE2                 = 0:90+1 wd 7;
    KEY_PURPOSE_0                           = 0:96+5 wd 8 is purpose also KEY0_PURPOSE;
    KEY_PURPOSE_1                           = 0:101+5 wd 9 is purpose also KEY1_PURPOSE;
    KEY_PURPOSE_2                           = 0:106+5 wd 10 is purpose also KEY2_PURPOSE;
    KEY_PURPOSE_3                           = 0:111+5 wd 11 is purpose also KEY3_PURPOSE;
    KEY_PURPOSE_4                           = 0:116+5 wd 12 is purpose also KEY4_PURPOSE;
    ECC_FORCE_CONST_TIME                    = 0:121+1 wd 14;
    ECDSA_DISABLE_SOFT_K                    = 0:122+1 wd 14;
    SEC_DPA_LEVEL                           = 0:123+2 wd 14;
    XTS_DPA_CLK_ENABLE                      = 0:125+1 wd 14;
    XTS_DPA_PSEUDO_LEVEL                    = 0:128+2 wd 14;
    SECURE_BOOT_EN                          = 0:130+1 wd 15;
    SECURE_BOOT_AGGRESSIVE_REVOKE           = 0:131+1 wd 16;
    FLASH_TYPE                              = 0:133+1 wd 18;
    DIS_USB_OTG_DOWNLOAD_MODE               = 0:137+1 wd 18;
    FLASH_TPUW                              = 0:140+4 wd 18;
    DIS_DOWNLOAD_MODE                       = 0:144+1 wd 18;
    DIS_DIRECT_BOOT                         = 0:145+1 wd 18;
    DIS_USB_SERIAL_JTAG_ROM_PRINT           = 0:146+1 wd 18;
    LOCK_KM_KEY                             = 0:147+1 wd 1;
    DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE       = 0:148+1 wd 18;
    ENABLE_SECURITY_DOWNLOAD                = 0:149+1 wd 18;
    UART_PRINT_CONTROL                      = 0:150+2 wd 18;
    FORCE_SEND_RESUME                       = 0:152+1 wd 18;
    SECURE_VERSION                          = 0:160+16 wd 18;
    SECURE_BOOT_DISABLE_FAST_WAKE           = 0:176+1 wd 2;
    HYS_EN_PAD                              = 0:177+1;
    DCDC_VSET_EN                            = 0:194+1;
    DIS_WDT                                 = 0:195+1 wd 2;
    DIS_SWD                                 = 0:196+1 wd 2;
    SECURE_BOOT_SHA384_EN                   = 0:203+1;
    BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION = 0:204+4;
    BOOTLOADER_ANTI_ROLLBACK_EN             = 0:208+1;
    BOOTLOADER_ANTI_ROLLBACK_UPDATE_IN_ROM  = 0:209+1;
    RECOVERY_BOOTLOADER_FLASH_SECTOR        = 0:210+12;
    SDC_ENA                                 = 0:222+2 also RMA_ENA;
    SDC_SESSION_COUNTER                     = 0:224+3 also RMA_SESSION_COUNTER;
    SDC_NONCE_ENA                           = 0:227+2 wd 14 also RMA_NONCE_ENA;
    SDC_CHIP_INFO_SOURCE                    = 0:229+1 wd 14 also RMA_CHIP_INFO_SOURCE;
    SDC_DISABLE_FAST_VEF                    = 0:230+1 wd 14 also RMA_DISABLE_FAST_VEF;
    PVT_0_GLITCH_EN                         = 0:231+1 wd 3;
    PVT_0_GLITCH_MODE                       = 0:232+2 wd 3;
    PVT_1_GLITCH_EN                         = 0:234+1 wd 3;
    PVT_1_GLITCH_MODE                       = 0:235+2 wd 3;
    PMU_FLASH_POWER_SEL                     = 0:237+1 wd 2;
    PMU_FLASH_POWER_SEL_EN                  = 0:238+1 wd 2;
    POWER_GLITCH_EN                         = 0:239+4 wd 2;
    ENA_XTS_SHADOW                          = 0:243+1 wd 14;
    ENA_SPI_BOOT_CRYPT_SCRAMBLER            = 0:244+1 wd 14;
    RE_ENABLE_JTAG_SOURCE                   = 0:245+1 wd 14;
    MAC                                     = 1:0+48 wd 20 is mac also MAC_FACTORY;
    MAC_EXT                                 = 1:48+16 wd 20 is bytes;
    WAFER_VERSION_MINOR                     = 1:114+4 wd 20;
    WAFER_VERSION_MAJOR                     = 1:118+2 wd 20;
    DISABLE_WAFER_VERSION_MAJOR             = 1:120+1 wd 20;
    DISABLE_BLK_VERSION_MAJOR               = 1:121+1 wd 20;
    BLK_VERSION_MINOR                       = 1:122+3 wd 20;
    BLK_VERSION_MAJOR                       = 1:125+2 wd 20;
    PSRAM_CAP                               = 1:127+3 wd 20;
    TEMP                                    = 1:130+2 wd 20;
    PSRAM_VENDOR                            = 1:132+2 wd 20;
    PKG_VERSION                             = 1:134+2 wd 20;
    OPTIONAL_UNIQUE_ID                      = 2:0+128 wd 21 is bytes;
    // What the factory measures, as espefuse 5.6 shows it; ESP-IDF has no table of it yet.
    OCODE                                   = 1:136+8 wd 20;
    ACTIVE_HP_DBIAS                         = 1:144+4 wd 20;
    ACTIVE_LP_DBIAS                         = 1:148+4 wd 20;
    LSLP_HP_DBG                             = 1:152+2 wd 20;
    LSLP_HP_DBIAS                           = 1:154+4 wd 20;
    DSLP_LP_DBG                             = 1:158+4 wd 20;
    DSLP_LP_DBIAS                           = 1:162+5 wd 20;
    LP_HP_DBIAS_VOL_GAP                     = 1:167+5 wd 20;
    PVT_DBIAS                               = 1:172+4 wd 20;
    TEMP_CALIBRATION                        = 2:128+10 wd 21;
    SPI_LDO_1V8_DREF                        = 2:138+4 wd 21;
    SPI_LDO_1V8_MUL                         = 2:142+3 wd 21;
    ADC1_WEIGHT_BIT16                       = 2:145+10 wd 21;
    ADC1_WEIGHT_BIT15                       = 2:155+9 wd 21;
    ADC1_WEIGHT_BIT14                       = 2:164+8 wd 21;
    ADC1_WEIGHT_BIT13                       = 2:172+8 wd 21;
    ADC1_WEIGHT_BIT12                       = 2:180+8 wd 21;
    ADC1_WEIGHT_BIT11                       = 2:188+6 wd 21;
    ADC1_WEIGHT_BIT10                       = 2:194+5 wd 21;
    ADC2_WEIGHT_BIT16                       = 2:199+10 wd 21;
    ADC2_WEIGHT_BIT15                       = 2:209+9 wd 21;
    ADC2_WEIGHT_BIT14                       = 2:218+8 wd 21;
    ADC2_WEIGHT_BIT13                       = 2:226+8 wd 21;
    ADC2_WEIGHT_BIT12                       = 2:234+8 wd 21;
    ADC2_WEIGHT_BIT11                       = 2:242+6 wd 21;
    ADC2_WEIGHT_BIT10                       = 2:248+5 wd 21;
    BLOCK_USR_DATA                          = 3:0+256 wd 22 is bytes also USER_DATA;
    CUSTOM_MAC                              = 3:200+48 wd 22 is custom_mac also MAC_CUSTOM;
    BLOCK_KEY0                              = 4:0+256 wd 23 rd 0 is bytes also KEY0;
    BLOCK_KEY1                              = 5:0+256 wd 24 rd 1 is bytes also KEY1;
    BLOCK_KEY2                              = 6:0+256 wd 25 rd 2 is bytes also KEY2;
    BLOCK_KEY3                              = 7:0+256 wd 26 rd 3 is bytes also KEY3;
    BLOCK_KEY4                              = 8:0+256 wd 27 rd 4 is bytes also KEY4;
    BLOCK_SYS_DATA2                         = 9:0+256 wd 28 rd 5 is bytes also SYS_DATA_PART2;
    USB_DEVICE_EXCHG_PINS                   = 9:192+1 wd 28 rd 5;
    // The rest is as espefuse 5.6 shows it, too.
    ADC1_DIFF_K                             = 9:0+11 wd 28 rd 5;
    ADC1_DIFF_B                             = 9:11+10 wd 28 rd 5;
    ADC1_P_K                                = 9:21+11 wd 28 rd 5;
    ADC1_P_B                                = 9:32+10 wd 28 rd 5;
    ADC1_N_K                                = 9:42+11 wd 28 rd 5;
    ADC1_N_B                                = 9:53+10 wd 28 rd 5;
    ADC2_DIFF_K                             = 9:63+11 wd 28 rd 5;
    ADC2_DIFF_B                             = 9:74+10 wd 28 rd 5;
    ADC2_P_K                                = 9:84+11 wd 28 rd 5;
    ADC2_P_B                                = 9:95+10 wd 28 rd 5;
    ADC2_N_K                                = 9:105+11 wd 28 rd 5;
    ADC2_N_B                                = 9:116+10 wd 28 rd 5;
];
