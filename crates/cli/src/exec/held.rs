//! What a client is to its command: whether the command goes on without it, and what the user is told of the link.

use std::time::Duration;

use tokio::sync::watch;
use unglue::{Code, Fault, Lease, LinkState, Outcome, Running};

use super::events::{Event, Events};
use crate::args::lease::span;
use crate::blocking::blocking;
use crate::complaint::{Complaint, INTERRUPTED, say};
use crate::signals::Wish;

/// How long a link may be lost before the user is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// A client's relation to its command.
#[derive(Clone)]
pub(crate) struct Held {
    /// The server, as it was typed.
    pub(crate) host: String,
    /// The command's id or name.
    pub(crate) job: String,
    /// What becomes of the command when the client leaves.
    pub(crate) after: After,
    /// Whether signals are the command's; otherwise they end the watching.
    pub(crate) passes_signals: bool,
    /// Where to report what happens.
    pub(crate) events: Option<Events>,
}

/// What becomes of a command when its client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It is killed.
    Dies,
    /// It runs on for so long, unless somebody comes back.
    Lives(Duration),
    /// It runs on, as long as its lease allows.
    LivesOn,
}

impl From<Lease> for After {
    fn from(lease: Lease) -> After {
        match lease {
            Lease::Keep(time) => After::Lives(time),
            Lease::Detach => After::LivesOn,
            _ => After::Dies,
        }
    }
}

impl Held {
    /// Whether Ctrl-\ leaves the command.
    pub(super) fn can_detach(&self) -> bool {
        self.after != After::Dies
    }

    /// What the user is told who makes the client leave.
    pub(super) fn leave(&self, wish: Wish) -> Complaint {
        let how = match wish {
            Wish::Interrupt => "interrupted".into(),
            Wish::Detach => "detached".into(),
            Wish::End(signal) => format!("ended by {}", unglue::signal::name(signal.into())),
        };
        let complaint = Complaint::new(format!("{how}; {}", self.fate()));
        match wish {
            Wish::Interrupt => complaint.exit(INTERRUPTED),
            Wish::Detach => complaint.exit(0),
            Wish::End(signal) => complaint.exit(128 + signal),
        }
    }

    fn fate(&self) -> String {
        let come_back = format!("come back to it with: unglue attach {} {}", self.host, self.job);
        match self.after {
            After::Dies => "the server kills what is left of the command".into(),
            After::Lives(time) => format!("the command runs on for {}; {come_back}", span(time)),
            After::LivesOn => format!("the command runs on; {come_back}"),
        }
    }

    /// How it ended for this client, which leaves before the command's end is known.
    pub(super) fn outcome_of_leaving(&self, complaint: &Complaint) -> Outcome {
        let fault = Fault::user(Code::Cancelled, complaint.to_string());
        match self.after {
            After::Dies => Outcome::Cancelled(fault),
            _ => Outcome::LinkLost(fault),
        }
    }

    /// Writes an event, where events are wanted. That they can't be written is noticed with the outputs, or with the last one.
    pub(super) async fn report(&self, event: Event<'_>) {
        if let Some(events) = &self.events {
            let _ = events.tell(&event).await;
        }
    }

    /// Reports when the link of the command is lost and when it is back, until it is dropped; nothing for a command that ends
    /// with its link.
    pub(super) async fn watch_link(self, state: Option<watch::Receiver<LinkState>>) {
        let Some(mut state) = state else { return };
        loop {
            let lost = match state.wait_for(|state| matches!(state, LinkState::Lost(..))).await {
                Ok(state) => state.clone(),
                Err(_) => return,
            };
            let LinkState::Lost(since, why) = lost else { return };
            self.report(Event::LinkLost { why: &why.what }).await;
            let patient = tokio::time::timeout_at((since + PATIENCE).into(), is_up(&mut state)).await;
            let is_up = match patient {
                Ok(is_up) => is_up,
                Err(_) => {
                    remark(format!("the connection to {} was lost: {}; connecting again", self.host, why.what)).await;
                    let is_up = is_up(&mut state).await;
                    if is_up {
                        remark(format!("the connection to {} is back", self.host)).await;
                    }
                    is_up
                }
            };
            match is_up {
                true => self.report(Event::Reattached {}).await,
                false => return,
            }
        }
    }

    /// Reports the start of the command.
    pub(super) async fn report_start(&self, running: &Running) {
        if let Some(pid) = running.pid() {
            self.report(Event::Started { id: running.id(), pid }).await;
        }
    }
}

/// Waits for the link; `false` if there will be none.
async fn is_up(state: &mut watch::Receiver<LinkState>) -> bool {
    state.wait_for(|state| *state == LinkState::Up).await.is_ok()
}

/// Writes a line on a thread of its own: a standard error that is full must not hold up the link.
async fn remark(what: String) {
    // Without a thread there is no line.
    let _ = blocking("unglue-remark", move || say(&what)).await;
}
