//! What goes wrong below, as operation errors: one conversion per room, hints kept.

use station_device::efuse::BurnError;
use station_device::{DeviceError, FailureClass};
use station_line::journal::JournalError;
use station_line::keys::{KeyError, UnsaidError};
use station_line::recipe::RecipeErrors;
use station_line::runner::StartError;

use crate::operation::{Exit, OperationError};

impl From<DeviceError> for OperationError {
    fn from(error: DeviceError) -> Self {
        let mut made = Self::new(error.code(), error.to_string())
            .exit(exit_of(error.class()))
            .caused_by(&error);
        made.hint = error.hint().map(Into::into);
        made
    }
}

impl From<BurnError> for OperationError {
    fn from(error: BurnError) -> Self {
        let mut made = Self::new(error.code(), error.to_string())
            .exit(exit_of(error.class()))
            .caused_by(&error);
        made.hint = error.hint().map(Into::into);
        made
    }
}

fn exit_of(class: FailureClass) -> Exit {
    match class {
        FailureClass::Cancelled => Exit::Cancelled,
        FailureClass::Verify
        | FailureClass::Flash
        | FailureClass::Boot
        | FailureClass::Limit
        | FailureClass::Efuse => Exit::SomeFailed,
        FailureClass::Contact
        | FailureClass::Link
        | FailureClass::Timeout
        | FailureClass::Station => Exit::StationError,
    }
}

impl From<JournalError> for OperationError {
    fn from(error: JournalError) -> Self {
        let mut made = Self::new(error.code(), error.to_string()).caused_by(&error);
        made.hint = error.hint().map(Into::into);
        made
    }
}

impl From<KeyError> for OperationError {
    fn from(error: KeyError) -> Self {
        let mut made = Self::new(error.code(), error.to_string()).caused_by(&error);
        made.hint = error.hint().map(Into::into);
        if matches!(error, KeyError::Reserved { .. }) {
            made = made.exit(Exit::Usage);
        }
        made
    }
}

impl From<UnsaidError> for OperationError {
    fn from(error: UnsaidError) -> Self {
        match error {
            UnsaidError::Keys(error) => error.into(),
            UnsaidError::Journal(error) => error.into(),
            UnsaidError::Broken => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<StartError> for OperationError {
    fn from(error: StartError) -> Self {
        let made = Self::new(error.code(), error.to_string()).caused_by(&error);
        // The inner code is the one that says what to do.
        if let StartError::NotReleased { code, .. } | StartError::NotArmed { code, .. } = error {
            let code = code.to_owned();
            return Self { code, ..made }.exit(Exit::Refused);
        }
        made
    }
}

impl From<RecipeErrors> for OperationError {
    fn from(errors: RecipeErrors) -> Self {
        let mut made = Self::new("recipe-refused", errors.to_string()).exit(Exit::RecipeRefused);
        made.causes = errors
            .records()
            .iter()
            .map(|record| {
                let line = record
                    .line
                    .map_or_else(String::new, |line| format!("line {line}: "));
                format!("{line}{} [{}]", record.message, record.code)
            })
            .collect();
        made.picture = Some(errors.render().into());
        made
    }
}
