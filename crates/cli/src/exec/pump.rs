//! An output of the command, on its way to where it is wanted.

use std::io;

use unglue::Output;

use super::events::{Event, Events};
use super::object::{Data, Kept};
use super::sink::Sink;

/// Bytes taken at once, at most.
const PIECE: usize = 256 * 1024;

/// Where an output goes.
pub(crate) enum Destination {
    /// To a descriptor, as it comes.
    Sink(Sink),
    /// Into memory, up to a cap.
    Keep(Kept),
    /// Into events of the stream with this name.
    Events(Events, &'static str),
}

/// What became of it on this side.
#[derive(Debug, Default)]
pub(crate) struct Pumped {
    /// The beginning, if it was to be kept.
    pub(crate) kept: Option<Kept>,
    /// Why this end stopped reading it, if it did.
    pub(crate) given_up: Option<io::Error>,
}

impl Pumped {
    /// Whether bytes were lost that somebody still wanted: a full disk, say, but not a reader who went away.
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.given_up.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }
}

/// Moves the whole output. If it can't be written, the output is stopped, and the command gets SIGPIPE as a local one
/// would; the report has the rest.
pub(crate) async fn pump(output: Option<Output>, mut destination: Destination) -> Pumped {
    let mut given_up = None;
    let mut offset = 0;
    if let Some(mut output) = output {
        while let Ok(Some(data)) = output.read(PIECE).await {
            let len = data.len() as u64;
            let written = match &mut destination {
                Destination::Keep(kept) => {
                    kept.take(&data);
                    Ok(())
                }
                Destination::Sink(sink) => sink.write_all(data).await,
                Destination::Events(events, stream) => {
                    events.tell(&Event::Output { stream, offset, data: Data::of(data.into()) }).await
                }
            };
            if let Err(error) = written {
                given_up = Some(error);
                break;
            }
            offset += len;
        }
    }
    match destination {
        Destination::Keep(kept) => Pumped { kept: Some(kept), given_up },
        Destination::Sink(_) | Destination::Events(..) => Pumped { kept: None, given_up },
    }
}
