//! Who a chip is: `esp_detect_chip`, `esp_chip_info`, `esp_mac_address_read`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::session::{Identity, Session};
use station_esp::MacAddress;
use station_esp::command::Dialect;
use station_esp::efuse::FieldName;

use super::attached::Attached;
use crate::operation::{Call, Declaration, Effect, Operation, OperationError, outline};
use crate::station::Station;

/// Parameters of an operation on one chip.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChipParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
}

/// A flash chip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FlashView {
    /// JEDEC id: maker, type, capacity
    pub jedec: String,
    /// Maker, where the id is known
    pub maker: Option<String>,
    /// Size in bytes
    pub size: u32,
}

/// A chip as it described itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChipView {
    /// Chip, as programs name it
    pub chip: String,
    /// Chip, as people name it
    pub title: String,
    /// Silicon revision; unknown in secure download mode
    pub revision: Option<String>,
    /// Factory MAC; unknown in secure download mode
    pub mac: Option<String>,
    /// Crystal frequency in MHz
    pub crystal_mhz: u8,
    /// What its package and fuses promise
    pub features: Vec<String>,
    /// Its flash chip; unknown in secure download mode
    pub flash: Option<FlashView>,
    /// Which loader answered: rom or stub
    pub loader: String,
    /// Rate of the conversation in baud
    pub baud: u32,
}

impl ChipView {
    /// Describes the chip at the other end of a session.
    pub(super) fn of(session: &Session) -> Self {
        let identity = session.identity();
        Self {
            chip: identity.chip.name().to_owned(),
            title: identity.chip.title().to_owned(),
            revision: identity.revision.map(|revision| revision.to_string()),
            mac: identity.mac.map(|mac| mac.to_string()),
            crystal_mhz: identity.crystal_mhz,
            features: identity.features.clone(),
            flash: flash_view(identity),
            loader: match session.loader() {
                Dialect::Rom => "rom",
                Dialect::Stub => "stub",
            }
            .to_owned(),
            baud: session.baud(),
        }
    }
}

/// Describes the flash chip.
pub(super) fn flash_view(identity: &Identity) -> Option<FlashView> {
    identity.flash.as_ref().map(|flash| FlashView {
        jedec: format!("0x{:06x}", flash.jedec),
        maker: flash.maker.map(str::to_owned),
        size: flash.size,
    })
}

/// `esp_detect_chip`.
#[derive(Debug)]
pub struct DetectChip;

#[async_trait]
impl Operation for DetectChip {
    const DECLARATION: Declaration = Declaration {
        name: "esp_detect_chip",
        aliases: &[],
        command: &["chip", "detect"],
        title: "Say which chip is there",
        summary: "Connects to a chip and returns what it is: chip, revision, crystal, features, MAC, flash id.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ChipParameters;
    type Output = ChipView;

    async fn invoke(
        station: &Station,
        parameters: ChipParameters,
        call: &Call,
    ) -> Result<ChipView, OperationError> {
        let session = parameters.attached.connect(station, call).await?;
        let view = Ok(ChipView::of(&session));
        parameters.attached.finish(session, view).await
    }
}

/// What a chip's download mode allows. A chip whose download mode is off answers nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DownloadMode {
    /// Everything
    Open,
    /// Only writing flash: registers, eFuses and flash cannot be read
    Secure,
}

/// What a chip's security state is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SecurityView {
    /// Whether secure boot is on
    pub secure_boot: Option<bool>,
    /// Whether flash content is encrypted
    pub flash_encryption: Option<bool>,
    /// What the download mode allows
    pub download_mode: DownloadMode,
    /// Raw flags of the chip's security report, where it has one
    pub flags: Option<String>,
    /// Purposes of the key slots, where it reports them
    pub key_purposes: Vec<u8>,
}

impl SecurityView {
    fn of(identity: &Identity) -> Self {
        Self {
            secure_boot: identity.secure_boot(),
            flash_encryption: identity.flash_encryption(),
            download_mode: if identity.secure_download {
                DownloadMode::Secure
            } else {
                DownloadMode::Open
            },
            flags: identity
                .security
                .as_ref()
                .map(|security| format!("0x{:08x}", security.flags)),
            key_purposes: identity
                .security
                .map(|security| security.key_purposes.to_vec())
                .unwrap_or_default(),
        }
    }
}

/// One eFuse field.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FuseView {
    /// Name
    pub name: String,
    /// Value, hex
    pub value: String,
}

/// Everything a chip says of itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChipInfoView {
    /// Who it is
    pub identity: ChipView,
    /// Its security state
    pub security: SecurityView,
    /// eFuse fields the station knows; empty in secure download mode
    pub efuses: Vec<FuseView>,
    /// Whether the MAC's checksum in the fuses is right; unknown where it has none
    pub mac_crc_ok: Option<bool>,
}

/// `esp_chip_info`.
#[derive(Debug)]
pub struct ChipInfo;

#[async_trait]
impl Operation for ChipInfo {
    const DECLARATION: Declaration = Declaration {
        name: "esp_chip_info",
        aliases: &[],
        command: &["chip", "info"],
        title: "Say everything a chip tells of itself",
        summary: "Connects to a chip and returns identity, security state, download mode and the eFuse fields the station knows.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ChipParameters;
    type Output = ChipInfoView;

    async fn invoke(
        station: &Station,
        parameters: ChipParameters,
        call: &Call,
    ) -> Result<ChipInfoView, OperationError> {
        let session = parameters.attached.connect(station, call).await?;
        let identity = session.identity();
        let efuses = identity.fuses.as_ref().map_or_else(Vec::new, |fuses| {
            FieldName::ALL
                .iter()
                .filter_map(|name| {
                    Some(FuseView {
                        name: name.word().to_owned(),
                        value: format!("0x{:x}", fuses.read(*name)?),
                    })
                })
                .collect()
        });
        let mac_crc_ok = identity
            .fuses
            .as_ref()
            .filter(|fuses| fuses.read(FieldName::MacCrc).is_some())
            .map(station_esp::efuse::EfuseImage::mac_crc_matches);
        let security = SecurityView::of(identity);
        let view = ChipInfoView {
            identity: ChipView::of(&session),
            security,
            efuses,
            mac_crc_ok,
        };
        parameters.attached.finish(session, Ok(view)).await
    }

    fn words(view: &ChipInfoView) -> String {
        let mut words = format!("{}\n{}", outline(&view.identity), outline(&view.security));
        if let Some(ok) = view.mac_crc_ok {
            words += if ok {
                "\nMAC checksum: right"
            } else {
                "\nMAC checksum: WRONG"
            };
        }
        words += "\nefuses:";
        for fuse in &view.efuses {
            words += &format!("\n  {} = {}", fuse.name, fuse.value);
        }
        words
    }
}

/// The addresses of one chip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MacView {
    /// Factory MAC, which is also the Wi-Fi station's
    pub base: String,
    /// Wi-Fi station
    pub wifi_station: String,
    /// Wi-Fi access point
    pub wifi_access_point: String,
    /// Bluetooth
    pub bluetooth: String,
    /// Ethernet
    pub ethernet: String,
}

impl MacView {
    /// ESP-IDF derives four addresses from the factory's by counting up its last octet
    /// (ESP-IDF, "Miscellaneous System APIs", MAC Address).
    fn of(base: MacAddress) -> Self {
        let derived = |step: u8| {
            let mut octets = base.0;
            octets[5] = octets[5].wrapping_add(step);
            MacAddress(octets).to_string()
        };
        Self {
            base: base.to_string(),
            wifi_station: derived(0),
            wifi_access_point: derived(1),
            bluetooth: derived(2),
            ethernet: derived(3),
        }
    }
}

/// `esp_mac_address_read`.
#[derive(Debug)]
pub struct MacAddressRead;

#[async_trait]
impl Operation for MacAddressRead {
    const DECLARATION: Declaration = Declaration {
        name: "esp_mac_address_read",
        aliases: &[],
        command: &["chip", "mac"],
        title: "Read a chip's MAC addresses",
        summary: "Reads the factory MAC and returns the Wi-Fi, Bluetooth and Ethernet addresses ESP-IDF derives from it.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = ChipParameters;
    type Output = MacView;

    async fn invoke(
        station: &Station,
        parameters: ChipParameters,
        call: &Call,
    ) -> Result<MacView, OperationError> {
        let session = parameters.attached.connect(station, call).await?;
        let mac = Ok(session.identity().mac);
        let mac = parameters.attached.finish(session, mac).await?;
        mac.map(MacView::of).ok_or_else(|| {
            OperationError::new(
                "secure-download",
                "the chip is in secure download mode and tells no MAC",
            )
        })
    }
}
