//! HTTP's chunked transfer coding (RFC 9112 section 7.1). A chunk is a frame; the one without data is the last of its body,
//! and the trailers belong to it.

use super::value::fault;
use crate::{EncodeError, Fault, Limits, Output, Rule, Step, find::find};
use alloc::format;

#[derive(Clone, Debug)]
pub(crate) struct Chunked;

/// What was seen of the chunk that has begun.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Where the line begins that is looked at, and how far it was.
    line: usize,
    at: usize,
    /// The size's line is behind; it was 0, and these are trailers.
    last: Option<usize>,
}

/// The most bytes of a chunk's first line, and of all trailers.
const MOST_LINE: usize = 4096;
const MOST_TRAILERS: usize = 16 * 1024;

impl Rule for Chunked {
    type State = Seen;

    fn name(&self) -> &str {
        "http-chunked"
    }

    fn find(&self, seen: &mut Seen, frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        loop {
            let most = seen.last.map_or(MOST_LINE, |head| head + MOST_TRAILERS);
            let window = frame.len().min(most);
            if seen.last.is_none() {
                check_size(&frame[..window.min(18)])?;
            }
            let Some(end) = line_end(&frame[..window], seen.at.saturating_sub(1).max(seen.line))? else {
                if window == most {
                    let reason = match seen.last {
                        Some(_) => "its trailers have more than 16384 bytes",
                        None => "its first line has more than 4096 bytes",
                    };
                    return Err(fault(most as u64, reason));
                }
                seen.at = window;
                return Ok(Step::More(frame.len() + 1));
            };
            let line = &frame[seen.line..end - 2];
            match seen.last {
                Some(head) if line.is_empty() => {
                    *seen = Seen::default();
                    return Ok(Step::Frame { head, data: 0, tail: end - head });
                }
                Some(_) => (seen.line, seen.at) = (end, end),
                None => match whole_size(line)? {
                    Some(0) => (seen.line, seen.at, seen.last) = (end, end, Some(end)),
                    Some(size) => {
                        *seen = Seen::default();
                        return limits.frame(end, size, 2);
                    }
                    None => return Err(fault(0, "its size is missing")),
                },
            }
        }
    }

    fn open(&self, frame: &[u8], _: &Limits, _: &mut [u8]) -> Result<Option<usize>, Fault> {
        let at = frame.len().saturating_sub(2);
        for (index, (&got, want)) in frame[at..].iter().zip(*b"\r\n").enumerate() {
            if got != want {
                return Err(Fault::Literal { at: (at + index) as u64, want, got });
            }
        }
        Ok(None)
    }

    /// The last chunk has no data: it can't be refused.
    fn may_be_empty(&self) -> bool {
        false
    }

    /// Without data, it is the last chunk of the body.
    fn encode(&self, _: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        out.put(format!("{:x}\r\n", data.len()).as_bytes());
        out.put(data);
        out.put(b"\r\n");
        Ok(())
    }
}

/// Where the line ends whose bytes from `from` on are to be looked at, its CR LF included. Either alone is how requests are smuggled.
fn line_end(bytes: &[u8], from: usize) -> Result<Option<usize>, Fault> {
    let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at) else {
        return lone_return(&bytes[from..bytes.len().saturating_sub(1).max(from)], from);
    };
    if at == 0 || bytes[at - 1] != b'\r' {
        lone_return(&bytes[from..at], from)?;
        return Err(fault(at as u64, "a line feed stands without its carriage return"));
    }
    lone_return(&bytes[from..at - 1], from)?;
    Ok(Some(at + 1))
}

/// Refuses a carriage return in these bytes: the next of them isn't its line feed.
fn lone_return(bytes: &[u8], from: usize) -> Result<Option<usize>, Fault> {
    match find(b"\r", bytes) {
        Some(at) => Err(fault((from + at + 1) as u64, "a carriage return stands without its line feed")),
        None => Ok(None),
    }
}

/// The size of a line that is all there: nothing but blanks stands between it and an extension.
fn whole_size(line: &[u8]) -> Result<Option<u64>, Fault> {
    let size = check_size(line)?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let blanks = line[digits..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match line.get(digits + blanks) {
        None | Some(b';') => Ok(size),
        Some(_) => {
            Err(fault((digits + blanks) as u64, "behind a chunk's size stands an extension, with a semicolon in front"))
        }
    }
}

/// The size at a line's front: hex digits up to the line's end, a semicolon or a blank. `None` if there is no digit yet.
fn check_size(line: &[u8]) -> Result<Option<u64>, Fault> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let reason = "a chunk begins with its size in hex digits, 16 at most: is the peer speaking another protocol?";
    if digits > 16 {
        return Err(fault(16, reason));
    }
    if let Some(byte) = line.get(digits)
        && (digits == 0 || !matches!(byte, b';' | b' ' | b'\t' | b'\r'))
    {
        return Err(fault(digits as u64, reason));
    }
    if digits == 0 {
        return Ok(None);
    }
    let value = |value: u64, byte: &u8| value << 4 | u64::from((*byte as char).to_digit(16).unwrap_or(0));
    Ok(Some(line[..digits].iter().fold(0, value)))
}
