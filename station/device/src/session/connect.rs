//! From an open port to a chip that is known and ready to be written.
//!
//! The order matters for speed: contact and the question which chip it is at the ROM's rate, then
//! the highest rate that works, then everything else.
//!
//! Invariants: the whole ends by its deadline; dropping the future closes the port; a chip that is
//! not welcome is left before anything is loaded into it.

use station_esp::Chip;
use station_esp::chip::ChipSpec;
use station_esp::command::Request;
use station_esp::efuse::{self, EfuseImage, RevisionRule};
use tokio::time::{Instant, timeout_at};

use super::identity::never_starts_stub;
use super::{ConnectOptions, FlashIdentity, Identity, Session};
use crate::error::DeviceError;
use crate::loader::wire::Wire;
use crate::loader::{Detected, Loader, PROMPT, contact};
use crate::port::Port;

/// Flash that is assumed where the chip cannot be asked and nobody said: what the smallest boards
/// on sale have.
const ASSUMED_FLASH: u32 = 2 << 20;

impl Session {
    /// Makes contact with the chip behind a port and finds out everything about it. To cancel, drop
    /// the future: the port is closed then.
    ///
    /// # Errors
    /// Of class Contact when no loader answered, `WrongChip` for one that is not welcome, `Timeout`
    /// when the deadline passed in between, or an error of the link.
    pub async fn connect(port: Port, options: &ConnectOptions) -> Result<Self, DeviceError> {
        let deadline = Instant::now() + options.deadline;
        let link = port.describe();
        // A reset by an external program may outlast the deadline.
        let loader = timeout_at(deadline, contact(Wire::new(port), options, deadline))
            .await
            .unwrap_or(Err(DeviceError::NoAnswer {
                link,
                attempts: options.resets,
            }))?;
        timeout_at(deadline, identify(loader, options, deadline))
            .await
            .unwrap_or_else(|_| {
                Err(DeviceError::Timeout {
                    what: "identifying the chip".into(),
                    after: options.deadline,
                })
            })
    }
}

async fn identify(
    mut loader: Loader,
    options: &ConnectOptions,
    deadline: Instant,
) -> Result<Session, DeviceError> {
    let Detected { chip, security } = loader.detect().await?;
    welcome(chip, options)?;
    let spec = chip.spec();
    let crystal_mhz = loader.crystal_mhz(spec).await?;

    // Which stub fits depends on the revision of this one chip only.
    let early = if chip == Chip::Esp32P4 {
        read_fuses(&mut loader, spec).await?
    } else {
        None
    };
    let starts = !never_starts_stub(chip, security.as_ref());
    let stub = options.stub && !loader.is_secure() && starts;
    if options.stub && !starts {
        tracing::info!(%chip, "secure boot is on: only the ROM is used, it cannot start the stub");
    }
    let mut loader = loader
        .speed_up(options, crystal_mhz, stub, deadline)
        .await?;

    let fuses = match early {
        Some(fuses) => Some(fuses),
        None => read_fuses(&mut loader, spec).await?,
    };
    let revision = fuses.as_ref().map(|_| loader.revision());
    let (flash, flash_size) = ready_flash(&mut loader, spec, options).await?;
    let identity = Identity {
        chip,
        revision,
        mac: fuses.as_ref().map(EfuseImage::mac),
        crystal_mhz,
        features: fuses.as_ref().map(efuse::features).unwrap_or_default(),
        security,
        secure_download: loader.is_secure(),
        flash,
        fuses,
    };
    let baud_memory = options.baud_memory.clone();
    Ok(Session {
        loader,
        spec,
        identity,
        flash_size,
        baud_memory,
    })
}

fn welcome(chip: Chip, options: &ConnectOptions) -> Result<(), DeviceError> {
    if options.chips.is_empty() || options.chips.contains(&chip) {
        return Ok(());
    }
    let expected: Vec<_> = options.chips.iter().map(|chip| chip.title()).collect();
    Err(DeviceError::WrongChip {
        expected: expected.join(" or "),
        found: chip.title().into(),
    })
}

/// Everything the fuses tell, and the revision kept in mind by the loader.
async fn read_fuses(
    loader: &mut Loader,
    spec: &ChipSpec,
) -> Result<Option<EfuseImage>, DeviceError> {
    if loader.is_secure() {
        return Ok(None);
    }
    let mut fuses = EfuseImage::new(spec.chip);
    for address in efuse::identity_addresses(spec.chip) {
        // What a unit is known by must not depend on one flipped bit of one answer.
        let value = if spec.efuse.mac.contains(&address) {
            loader.read_register_surely(address).await?
        } else {
            loader.read_register(address).await?
        };
        fuses.set_word(address, value);
    }
    if !fuses.mac_crc_matches() {
        return Err(DeviceError::Protocol {
            what: "the factory MAC".into(),
            detail: format!("{} does not match its checksum", fuses.mac()),
        });
    }
    let date = match spec.efuse.revision {
        RevisionRule::ApbCtlDate(address) => loader.read_register_surely(address).await?,
        RevisionRule::Fields | RevisionRule::FieldsUnlessBlockVersion11 => 0,
    };
    loader.set_revision(fuses.revision(date));
    Ok(Some(fuses))
}

/// Attaches the flash chip, asks who it is, and tells the loader its size.
async fn ready_flash(
    loader: &mut Loader,
    spec: &ChipSpec,
    options: &ConnectOptions,
) -> Result<(Option<FlashIdentity>, u32), DeviceError> {
    loader.power_flash(spec).await?;
    loader.stop_watchdogs(spec).await?;
    loader
        .ask_again(
            &Request::SpiAttach {
                pins: 0,
                legacy: None,
            },
            PROMPT,
        )
        .await?;
    let (flash, size) = if loader.is_secure() {
        (None, options.flash_size.unwrap_or(ASSUMED_FLASH))
    } else {
        let flash = crate::flash::identify(loader, spec).await?;
        let size = flash.size;
        (Some(flash), size)
    };
    crate::flash::set_parameters(loader, size).await?;
    Ok((flash, size))
}
