//! The choice of a slot changed: `esp_ota_rollback`, `esp_ota_set`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::session::Session;
use station_esp::image::Header;
use station_esp::otadata::{Boot, OtaData, State};
use station_esp::partition::{Entry, Subtype};

use super::super::attached::{Attached, reported};
use super::super::place::table_offset;
use super::super::text::bytes;
use super::choice::{Choice, impossible};
use super::status::{StatusView, start_of};
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::station::Station;

/// What is said of a chosen application.
#[derive(
    clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum StateChoice {
    /// Nothing is known; it may start
    #[default]
    Undefined,
    /// It never started: a bootloader that can go back watches its first start
    New,
    /// It works
    Valid,
}

impl StateChoice {
    pub(super) fn state(self) -> State {
        match self {
            Self::Undefined => State::Undefined,
            Self::New => State::New,
            Self::Valid => State::Valid,
        }
    }
}

/// Parameters of `esp_ota_set`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SetParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// What is to start: an update slot by number or by its partition's name, or `factory`, which erases the choice
    pub slot: String,
    /// What is said of its application
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub state: StateChoice,
    /// Choose it even if it holds no image for this chip
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
    /// Where the partition table lies in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
}

/// Parameters of `esp_ota_rollback`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RollbackParameters {
    /// Which chip
    #[command(flatten)]
    #[serde(flatten)]
    pub attached: Attached,
    /// Go back even if what starts then holds no image for this chip
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
    /// Where the partition table lies in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000")]
    #[serde(default = "table_offset")]
    pub table_offset: String,
}

/// A choice that was changed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SelectView {
    /// Name of the partition that started until now
    pub before: Option<String>,
    /// How many of the two records were written; none when it was chosen already
    pub written: u8,
    /// The choice as it was read back
    pub status: StatusView,
}

impl SelectView {
    fn words(&self) -> String {
        let before = self.before.as_deref().unwrap_or("nothing in particular");
        let written = match self.written {
            0 => "nothing to write".to_owned(),
            1 => "wrote one record".to_owned(),
            count => format!("wrote {count} records"),
        };
        format!(
            "{written}, read back; until now `{before}` started\n{}",
            self.status.words()
        )
    }
}

/// Changes the choice of a chip as `change` says, if what starts then is there.
async fn changed(
    session: &mut Session,
    table_offset: u32,
    force: bool,
    change: impl FnOnce(&Choice) -> Result<OtaData, OperationError>,
    call: &Call,
) -> Result<SelectView, OperationError> {
    let reading = Choice::on_chip(session, table_offset);
    let mut choice = reported(call, "reading", None, reading).await?;
    let new = change(&choice)?;
    let name = |data: &OtaData| choice.starts(data).map(|entry| entry.name.clone());
    let before = name(&choice.data);
    let next = choice.starts(&new).cloned().ok_or_else(|| {
        OperationError::usage("ota-nothing-starts", "no application would start then")
    })?;
    if !force {
        require_image(session, &next).await?;
    }
    let written = choice.write(session, new, call).await?;
    Ok(SelectView {
        before,
        written,
        status: StatusView::on_chip(session, &choice).await?,
    })
}

async fn require_image(session: &mut Session, entry: &Entry) -> Result<(), OperationError> {
    let first = start_of(session, entry).await?;
    let own = session.identity().chip.spec().image_id;
    match Header::parse(&first) {
        Ok(header) if header.chip_id == own => Ok(()),
        Ok(_) | Err(_) => {
            let message = format!(
                "`{}` would start, and holds no image for this chip",
                entry.name
            );
            Err(OperationError::usage("ota-slot-empty", message)
                .hint("write an application into it first, or say `force`")
                .exit(Exit::Refused))
        }
    }
}

/// The choice of what a caller names.
fn chosen(choice: &Choice, named: &str, state: State) -> Result<OtaData, OperationError> {
    let table = &choice.table;
    let applications = choice.applications();
    let factory = table
        .find(named)
        .is_some_and(|entry| entry.subtype == Subtype::FACTORY);
    if factory || named == "factory" {
        return match applications.factory {
            true => Ok(OtaData::ERASED),
            false => {
                let message = "the table has no factory application";
                Err(OperationError::usage("ota-no-factory", message))
            }
        };
    }
    let slot = match named.parse() {
        Ok(number) => number,
        Err(_) => table.find(named).and_then(Entry::slot).ok_or_else(|| {
            let message = format!("`{named}` is no update slot of the table");
            OperationError::usage("ota-slot-unknown", message)
                .hint("`station ota status` shows them")
        })?,
    };
    let mut data = choice.data;
    data.set(slot, applications.slots, state)
        .map_err(|error| impossible(&error))?;
    // Slots are counted as the bootloader counts them: without gaps.
    match data.boot(applications) {
        Boot::Slot(next) if next == slot => Ok(data),
        Boot::Slot(_) | Boot::Factory | Boot::First => {
            let message = format!("slot {slot} would not start");
            Err(OperationError::usage("ota-nothing-starts", message))
        }
    }
}

/// `esp_ota_set`.
#[derive(Debug)]
pub struct OtaSet;

#[async_trait]
impl Operation for OtaSet {
    const DECLARATION: Declaration = Declaration {
        name: "esp_ota_set",
        aliases: &[],
        command: &["ota", "set"],
        title: "Choose the update slot that starts",
        summary: "Rewrites the choice of an update slot on a chip so that a slot or the factory application starts next, and reads it \
                  back. A slot that holds no image for the chip is refused. A power cut leaves the old choice or the new one.",
        effect: Effect::Write,
        idempotent: true,
    };
    type Parameters = SetParameters;
    type Output = SelectView;

    async fn invoke(
        station: &Station,
        parameters: SetParameters,
        call: &Call,
    ) -> Result<SelectView, OperationError> {
        let offset = bytes(&parameters.table_offset)?;
        let mut session = parameters.attached.connect(station, call).await?;
        let (slot, state) = (&parameters.slot, parameters.state.state());
        let change = |choice: &Choice| chosen(choice, slot, state);
        let view = changed(&mut session, offset, parameters.force, change, call).await;
        parameters.attached.finish(session, view).await
    }

    fn words(view: &SelectView) -> String {
        view.words()
    }
}

/// `esp_ota_rollback`.
#[derive(Debug)]
pub struct OtaRollback;

#[async_trait]
impl Operation for OtaRollback {
    const DECLARATION: Declaration = Declaration {
        name: "esp_ota_rollback",
        aliases: &[],
        command: &["ota", "rollback"],
        title: "Go back to the application before",
        summary: "Marks the application of the active update slot as not working, so that the one chosen before or the factory's starts, \
                  and reads the choice back. Refused when there is none, or it holds no image for the chip.",
        effect: Effect::Write,
        idempotent: false,
    };
    type Parameters = RollbackParameters;
    type Output = SelectView;

    async fn invoke(
        station: &Station,
        parameters: RollbackParameters,
        call: &Call,
    ) -> Result<SelectView, OperationError> {
        let offset = bytes(&parameters.table_offset)?;
        let mut session = parameters.attached.connect(station, call).await?;
        let change = |choice: &Choice| {
            let mut data = choice.data;
            let rolled = data.roll_back(choice.applications());
            rolled.map(|()| data).map_err(|error| impossible(&error))
        };
        let view = changed(&mut session, offset, parameters.force, change, call).await;
        parameters.attached.finish(session, view).await
    }

    fn words(view: &SelectView) -> String {
        view.words()
    }
}
