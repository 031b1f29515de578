//! What a client reports where nobody asked for a log: each warning of the libraries is one line on standard error, and with
//! `-v` each step of a login.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};
use unglue::link::LOGIN_STEPS;

use crate::complaint::say;

/// Shows warnings from now on, and the steps of logins if they are wanted, unless a log is shown already.
pub(crate) fn show(steps: bool) {
    // Another subscriber shows them too.
    let _ = tracing::subscriber::set_global_default(Warnings { steps });
}

struct Warnings {
    steps: bool,
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if is_step(metadata) {
            return self.steps;
        }
        // Of other crates, such as rustls, a user wants to know only on request.
        *metadata.level() <= Level::WARN && metadata.target().starts_with("unglue")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if self.steps { LevelFilter::DEBUG } else { LevelFilter::WARN })
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        // The demo's own server has events for its log, which have no text.
        if is_step(event.metadata()) {
            say(&message.0);
        } else if !message.0.is_empty() {
            say(&format!("warning: {}", message.0));
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn is_step(metadata: &Metadata<'_>) -> bool {
    metadata.target() == LOGIN_STEPS
}

/// An event's text.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
