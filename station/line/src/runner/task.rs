//! The task of one bay: it feeds the pure state machine and runs attempts, one at a time.
//!
//! Invariants: every attempt that begins is reported as ended, also when its code panics; a panic
//! closes this bay and touches no other; while an attempt runs the bay still hears boards come and
//! go.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use station_device::Presence;
use tokio::sync::{mpsc, oneshot, watch};

use super::attempt::Attempt;
use super::bay::{BayRules, BayState, Command, Input, Phase};
use super::context::{BayContext, RunContext};
use super::message::{AttemptEnd, Message, Order};
use crate::event::AttemptId;
use crate::outcome::{Failure, Outcome};

/// Codes by which a port says that it is not there any more.
const PORT_GONE: [&str; 3] = ["no-board", "port-broken", "unreachable"];

/// One bay, alive.
pub(super) struct BayTask {
    run: Arc<RunContext>,
    bay: Arc<BayContext>,
    orders: mpsc::Receiver<Order>,
    presence: watch::Receiver<Presence>,
    /// What the presence was when it was last looked at; `None` before the first look.
    seen: Option<Presence>,
    /// Whether the connector still tells.
    watching: bool,
    state: BayState,
    finishing: bool,
}

/// What a bay waits for.
enum Heard {
    Order(Order),
    /// The coordinator is gone.
    Nobody,
    Presence(Option<Input>),
}

/// What an attempt came to, for its bay.
struct Ran {
    outcome: Outcome,
    port_gone: bool,
    panicked: bool,
}

impl BayTask {
    pub(super) fn new(
        run: Arc<RunContext>,
        bay: BayContext,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        let presence = bay.connector.presence();
        Self {
            run,
            bay: Arc::new(bay),
            orders,
            presence,
            seen: None,
            watching: true,
            state: BayState::new(),
            finishing: false,
        }
    }

    /// Lives until it is told to finish, or after one attempt if the run wants only one.
    pub(super) async fn live(mut self) {
        if let Some(input) = self.look() {
            self.apply(input).await;
        }
        while !self.finishing {
            match self.hear().await {
                Heard::Nobody => break,
                Heard::Presence(None) => {}
                Heard::Presence(Some(input)) => {
                    self.apply(input).await;
                }
                Heard::Order(order) => {
                    if self.obey(order).await == Command::RunAttempt {
                        self.attempt().await;
                        self.finishing |= self.run.once;
                    }
                }
            }
        }
    }

    fn rules(&self) -> BayRules {
        self.run.bay_rules
    }

    /// Waits for the next thing that concerns the bay. Safe to drop.
    async fn hear(&mut self) -> Heard {
        tokio::select! {
            biased;
            order = self.orders.recv() => order.map_or(Heard::Nobody, Heard::Order),
            changed = self.presence.changed(), if self.watching => {
                // A connector that tells no more may still open ports.
                self.watching = changed.is_ok();
                Heard::Presence(self.look())
            }
        }
    }

    /// Compares the presence with what it was.
    fn look(&mut self) -> Option<Input> {
        let now = *self.presence.borrow_and_update();
        let before = self.seen.replace(now);
        match (before, now) {
            (None | Some(Presence::Absent | Presence::Unknown), Presence::Present(_)) => {
                Some(Input::BoardCame)
            }
            (Some(Presence::Present(old)), Presence::Present(new)) => {
                (old != new).then_some(Input::BoardCame)
            }
            // Where nobody can tell, a board is believed to be there once.
            (None, Presence::Unknown) => Some(Input::BoardCame),
            (Some(Presence::Present(_) | Presence::Unknown), Presence::Absent) => {
                Some(Input::BoardLeft)
            }
            (None | Some(Presence::Absent), Presence::Absent) | (Some(_), Presence::Unknown) => {
                None
            }
        }
    }

    /// Steps the state machine and tells what changed.
    async fn apply(&mut self, input: Input) -> Command {
        self.apply_for(input, None).await
    }

    async fn apply_for(&mut self, input: Input, reason: Option<String>) -> Command {
        let before = self.state.condition();
        let (state, command) = self.state.next(self.rules(), input);
        self.state = state;
        let bay = self.bay.index;
        if state.condition() != before {
            let to = state.condition();
            self.bay.tell(Message::Condition { bay, to, reason }).await;
        }
        match command {
            Command::AskToStart => self.bay.tell(Message::Ask { bay }).await,
            Command::Withdraw => self.bay.tell(Message::Withdraw { bay }).await,
            Command::Nothing | Command::RunAttempt => {}
        }
        command
    }

    async fn obey(&mut self, order: Order) -> Command {
        match order {
            Order::Granted => {
                let command = self.apply(Input::Granted).await;
                if command != Command::RunAttempt {
                    // The board left while the answer was on its way.
                    self.bay
                        .tell(Message::Withdraw {
                            bay: self.bay.index,
                        })
                        .await;
                }
                command
            }
            Order::Start => {
                self.believe_the_person().await;
                self.apply(Input::StartAsked).await
            }
            Order::Clear => self.apply(Input::Cleared).await,
            Order::Finish => {
                self.finishing = true;
                Command::Nothing
            }
        }
    }

    /// Where nobody can tell whether a board came, the person who asks for a start vouches for it.
    async fn believe_the_person(&mut self) {
        let blind = self.seen == Some(Presence::Unknown);
        if blind
            && matches!(
                self.state.phase,
                Phase::Vacant | Phase::Finished | Phase::Lost
            )
        {
            self.apply(Input::BoardLeft).await;
            self.apply(Input::BoardCame).await;
        }
    }

    /// Runs one attempt from its beginning to the outcome that may be shown.
    async fn attempt(&mut self) {
        let work = work(Arc::clone(&self.run), Arc::clone(&self.bay));
        let mut work = pin!(work);
        let ran = loop {
            tokio::select! {
                biased;
                ran = &mut work => break ran,
                heard = self.hear() => match heard {
                    Heard::Presence(Some(input)) => {
                        self.apply(input).await;
                    }
                    Heard::Order(Order::Finish) => self.finishing = true,
                    // A bay at work neither starts nor needs clearing.
                    Heard::Order(Order::Granted | Order::Start | Order::Clear)
                    | Heard::Presence(None) => {}
                    // Nobody hears of the attempt any more: it must not go on.
                    Heard::Nobody => return,
                }
            }
        };
        if ran.port_gone && self.presence_says_nothing() {
            self.apply(Input::PortLost).await;
        }
        if ran.panicked {
            let reason = "an attempt broke off inside the station".to_owned();
            self.apply_for(Input::BrokeOff, Some(reason)).await;
        } else {
            self.apply(Input::Ended(ran.outcome)).await;
        }
    }

    /// Whether the presence leaves open that the port itself is gone.
    fn presence_says_nothing(&self) -> bool {
        match self.seen {
            Some(Presence::Absent) => false,
            None | Some(Presence::Unknown | Presence::Present(_)) => true,
        }
    }
}

/// One attempt, with its beginning and its end on record.
async fn work(run: Arc<RunContext>, bay: Arc<BayContext>) -> Ran {
    let nothing = Ran {
        outcome: Outcome::Error,
        port_gone: false,
        panicked: false,
    };
    let (reply, answer) = oneshot::channel();
    bay.tell(Message::Begin {
        bay: bay.index,
        reply,
    })
    .await;
    // Without a recorded beginning nothing is done.
    let Ok(id) = answer.await else {
        return nothing;
    };
    let attempt = AssertUnwindSafe(Attempt::new(&run, &bay, id).run());
    let caught = attempt.catch_unwind().await;
    let panicked = caught.is_err();
    let end = caught.unwrap_or_else(|_| panicked_end(id));
    let port_gone = end
        .failure
        .as_ref()
        .is_some_and(|failure| PORT_GONE.contains(&failure.code.as_str()));
    bay.progress.send_replace(None);
    let (reply, answer) = oneshot::channel();
    bay.tell(Message::Ended {
        bay: bay.index,
        end,
        reply,
    })
    .await;
    Ran {
        outcome: answer.await.unwrap_or(Outcome::Error),
        port_gone,
        panicked,
    }
}

fn panicked_end(attempt: AttemptId) -> AttemptEnd {
    AttemptEnd {
        attempt,
        outcome: Outcome::Error,
        failure: Some(Failure::internal("the attempt")),
        failed_step: None,
    }
}
