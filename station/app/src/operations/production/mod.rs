//! Runs: start one, see how it stands, follow its events, end it, tend its bays.

mod batch;
mod cancel;
mod events;
mod seats;
mod status;

pub(crate) use batch::batch_order;
pub use batch::{BatchParameters, BatchProgram, StartedView};
pub use cancel::{CancelChoice, CancelParameters, CancelView, RunCancel};
pub use events::{EventsParameters, EventsView, RunEvents};
pub use seats::{BayClear, BayParameters, BayStart, BaysView};
pub use status::{BayProgress, ListView, RunList, RunParameters, RunStatus, StatusView};
