//! Streams out of files, whatever kind of file it is.

use std::io::Read;

use super::{Stream, WINDOW};
use crate::capture::{CaptureError, Event, Flow, Source, Streams, follow, read_hex, sniff};

/// What tells a file's kind.
const HEAD: u64 = 4096;
/// The most text of a dump that is read: far more than a window of bytes takes.
const DUMP: u64 = 2 << 20;
/// Streams of a capture whose bytes are kept, the first ones.
const KEPT: usize = 256;

/// The streams of a file.
#[derive(Debug)]
pub struct Gathered {
    /// What kind of file it was.
    pub source: Source,
    /// Those with bytes; of captures the longest first.
    pub streams: Vec<Stream>,
    /// Why the capture was not read to its end.
    pub damage: Option<CaptureError>,
    /// Bytes that the capture lacks.
    pub lost: u64,
}

/// Reads a file: a capture, a hex dump, or the bytes themselves. `raw` says that it is the bytes, whatever they look like.
///
/// # Errors
/// It can't be read, or begins like a capture or a dump and is none.
pub fn gather(name: &str, mut input: impl Read, raw: bool) -> Result<Gathered, CaptureError> {
    let failed = |source| CaptureError::Io { at: 0, source };
    let mut head = Vec::new();
    input.by_ref().take(HEAD).read_to_end(&mut head).map_err(failed)?;
    let source = if raw { Source::Raw } else { sniff(&head) };
    let whole = (&head[..]).chain(input);
    match source {
        Source::Raw => {
            let mut bytes = Vec::new();
            whole.take(WINDOW as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
            Ok(Gathered { source, streams: vec![Stream::whole(name, bytes)], damage: None, lost: 0 })
        }
        Source::Hex => dump(name, whole),
        Source::Pcap | Source::PcapNg => captured(source, name, whole),
    }
}

fn dump(name: &str, input: impl Read) -> Result<Gathered, CaptureError> {
    let mut text = Vec::new();
    input.take(DUMP).read_to_end(&mut text).map_err(|source| CaptureError::Io { at: 0, source })?;
    let cut = text.len() as u64 == DUMP;
    let text = String::from_utf8_lossy(&text);
    let text = if cut { text.rfind('\n').map_or(&text[..], |at| &text[..at]) } else { &text[..] };
    let [first, second] = read_hex(text)?;
    let named = |side: &str| if second.is_empty() { name.to_owned() } else { format!("{name} ({side})") };
    let sides = [(named("first direction"), first), (named("second direction"), second.clone())];
    let streams =
        sides.into_iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(name, bytes)| Stream::whole(name, bytes));
    Ok(Gathered { source: Source::Hex, streams: streams.collect(), damage: None, lost: 0 })
}

/// The first bytes of a stream, up to its first gap.
#[derive(Default)]
struct Start {
    bytes: Vec<u8>,
    closed: bool,
}

impl Start {
    fn take(&mut self, bytes: &[u8]) {
        if !self.closed {
            let room = (WINDOW + 1).saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Bytes are missing: what follows belongs to no frame begun before. A short start is not worth more than what follows.
    fn gap(&mut self) {
        if self.bytes.len() < 256 {
            self.bytes.clear();
        } else {
            self.closed = true;
        }
    }
}

fn captured(source: Source, name: &str, input: impl Read) -> Result<Gathered, CaptureError> {
    let mut streams = Streams::new();
    let mut starts: Vec<Start> = Vec::new();
    let result = follow(input, &mut streams, |_, event| match event {
        Event::Data { stream, bytes, .. } if stream < KEPT => {
            starts.resize_with(starts.len().max(stream + 1), Start::default);
            starts[stream].take(bytes);
        }
        Event::Lost { stream, .. } if stream < starts.len() => starts[stream].gap(),
        _ => {}
    });
    let damage = match result {
        Ok(_) => None,
        Err(error @ CaptureError::NotACapture { .. }) => return Err(error),
        Err(error) => Some(error),
    };
    let title = |flow: &Flow| format!("{name}: {} > {}", flow.from, flow.to);
    let named = starts.into_iter().zip(streams.flows()).filter(|(start, _)| !start.bytes.is_empty());
    let mut found: Vec<Stream> = named.map(|(start, flow)| Stream::whole(title(flow), start.bytes)).collect();
    found.sort_by_key(|stream| std::cmp::Reverse(stream.bytes.len()));
    Ok(Gathered { source, streams: found, damage, lost: streams.tally().lost })
}
