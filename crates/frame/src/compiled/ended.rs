//! Frames that end with a delimiter.

use super::{
    Limits, Lost, Measure, Miss, Opened, Span, Until,
    stuffing::{self, END, ESC},
    until::Hit,
};
use crate::{
    Fault, TooLong,
    find::{find, find_any},
};

/// A framing by delimiter.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) until: Until,
    pub(crate) style: Style,
    limits: Limits,
}

/// What stands before the delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// The data.
    Plain,
    /// The data and perhaps a carriage return.
    Lines,
    /// The data with its zeros taken out.
    Cobs,
    /// The data with its delimiters escaped.
    Slip,
}

impl Ended {
    pub(crate) fn new(delim: &[u8], style: Style, limits: Limits) -> Ended {
        Ended::any(&[delim], style, limits)
    }

    /// Ended by any of these delimiters.
    pub(crate) fn any(delims: &[&[u8]], style: Style, limits: Limits) -> Ended {
        let data = match style {
            Style::Plain => limits.max,
            Style::Lines => limits.max.saturating_add(1),
            Style::Cobs => stuffing::cobs_bound(limits.max),
            Style::Slip => limits.max.saturating_mul(2),
        };
        let longest = delims.iter().map(|delim| delim.len()).max().unwrap_or(0);
        Ended { until: Until::any(delims, data.saturating_add(longest as u64)), style, limits }
    }

    /// Sets other limits.
    pub(super) fn limit(&mut self, limits: Limits) {
        *self = Ended::any(&self.until.delims(), self.style, limits);
    }

    /// What the bytes are that no delimiter follows, since the input has ended.
    pub(super) fn last(&self, bytes: &[u8]) -> Result<Measure, Fault> {
        let data = bytes.len() - self.returned(bytes, bytes.len());
        let (whole, max) = (bytes.len() as u64, self.limits.max);
        if data == 0 && !self.limits.empty {
            return Err(Fault::Empty);
        }
        if data as u64 <= max {
            return Ok(Measure::Known(Span { head: 0, data, total: bytes.len(), lost: Lost::Nothing }));
        }
        match self.limits.too_long {
            TooLong::Fail => Err(Fault::NoDelimiter { limit: max }),
            TooLong::Skip => Ok(Measure::Skip(Lost::Bytes(whole))),
            // Fewer than there are bytes: it is a size of memory.
            TooLong::Cut => {
                let total = max as usize;
                Ok(Measure::Known(Span { head: 0, data: total, total, lost: Lost::Bytes(whole - max) }))
            }
        }
    }

    /// The data isn't what the wire has.
    pub(crate) fn stuffed(&self) -> bool {
        matches!(self.style, Style::Cobs | Style::Slip)
    }

    /// The frame that begins with `bytes`, if its delimiter is among them and it is valid.
    #[inline]
    pub(crate) fn quick(&self, bytes: &[u8]) -> Result<Span, Miss> {
        if self.stuffed() {
            return self.unchanged(bytes);
        }
        let Hit { at, end } = self.until.find(bytes).ok_or(Miss::NoDelimiter)?;
        let data = at - self.returned(bytes, at);
        if data as u64 > self.limits.max || data == 0 && !self.limits.empty {
            return Err(Miss::Unknown);
        }
        Ok(Span { head: 0, data, total: end, lost: Lost::Nothing })
    }

    /// The same for a stuffed frame that has its data in one piece: nothing need be taken out.
    fn unchanged(&self, bytes: &[u8]) -> Result<Span, Miss> {
        let window = &bytes[..bytes.len().min(self.until.window)];
        let (head, end, whole) = match self.style {
            Style::Slip => {
                // An escape may come first.
                let first = find_any(&[END, ESC], window).ok_or(Miss::NoDelimiter)?;
                let more = match window[first] {
                    END => 0,
                    _ => find(&[END], &window[first..]).ok_or(Miss::NoDelimiter)?,
                };
                (0, first + more, more == 0)
            }
            _ => {
                let end = find(&[0], window).ok_or(Miss::NoDelimiter)?;
                (1, end, usize::from(window[0]) == end)
            }
        };
        match end.saturating_sub(head) {
            0 => Err(Miss::Unknown),
            // It may be too long, or not once it is decoded.
            _ if end as u64 > self.limits.max => Err(Miss::Unknown),
            data if whole => Ok(Span { head, data, total: end + 1, lost: Lost::Nothing }),
            _ => Err(Miss::Stuffed(end + 1)),
        }
    }

    /// The carriage return before the line feed at `at`.
    #[inline]
    fn returned(&self, bytes: &[u8], at: usize) -> usize {
        usize::from(self.style == Style::Lines && bytes[..at].last() == Some(&b'\r'))
    }

    pub(crate) fn measure(&self, bytes: &[u8]) -> Result<Measure, Fault> {
        if self.stuffed() && bytes.first() == self.until.delim().first() {
            // Delimiters in a row: both protocols send them to shake off noise.
            let filler = bytes.iter().take_while(|byte| **byte == bytes[0]).count();
            return Ok(Measure::Filler(filler));
        }
        match self.until.find(bytes) {
            Some(hit) => self.found(bytes, hit),
            None if bytes.len() >= self.until.window => self.too_long(bytes),
            None => Ok(Measure::Until),
        }
    }

    /// The frame whose delimiter was found.
    pub(crate) fn found(&self, bytes: &[u8], Hit { at, end }: Hit) -> Result<Measure, Fault> {
        if self.stuffed() {
            return self.found_stuffed(&bytes[..at]);
        }
        let data = at - self.returned(bytes, at);
        if data as u64 > self.limits.max {
            return self.too_long(bytes);
        }
        if data == 0 && !self.limits.empty {
            return Err(Fault::Empty);
        }
        Ok(Measure::Known(Span { head: 0, data, total: end, lost: Lost::Nothing }))
    }

    /// A frame of these bytes, its delimiter behind them. It can only be too long if they are: decoding adds nothing.
    fn found_stuffed(&self, bytes: &[u8]) -> Result<Measure, Fault> {
        let total = bytes.len() + self.until.delim().len();
        let span = Span { head: 0, data: bytes.len(), total, lost: Lost::Nothing };
        let over = bytes.len() as u64 > self.limits.max && self.decoded(bytes) > self.limits.max;
        match self.limits.too_long {
            _ if !over => Ok(Measure::Known(span)),
            TooLong::Fail => Err(Fault::TooMuch { limit: self.limits.max }),
            TooLong::Skip => Ok(Measure::Skip(Lost::Bytes(total as u64))),
            TooLong::Cut => Ok(Measure::Known(Span { lost: Lost::Bytes(0), ..span })),
        }
    }

    /// How many bytes these decode to. Of bytes that are wrong it counts as many as are needed to find that out.
    fn decoded(&self, bytes: &[u8]) -> u64 {
        match self.style {
            Style::Cobs => stuffing::cobs_size(bytes) as u64,
            _ => stuffing::slip_size(bytes) as u64,
        }
    }

    /// What becomes of a frame with more data than allowed.
    pub(crate) fn too_long(&self, bytes: &[u8]) -> Result<Measure, Fault> {
        match (self.limits.too_long, usize::try_from(self.limits.max)) {
            (TooLong::Cut, _) if self.stuffed() => {
                let kept = bytes.len().min(self.until.window);
                Ok(Measure::Known(Span { head: 0, data: kept, total: kept, lost: Lost::Until }))
            }
            (TooLong::Cut, Ok(max)) => Ok(Measure::Known(Span { head: 0, data: max, total: max, lost: Lost::Until })),
            (TooLong::Skip, _) => Ok(Measure::Skip(Lost::Until)),
            _ => Err(Fault::NoDelimiter { limit: self.limits.max }),
        }
    }

    /// Takes the stuffing out of a frame's bytes, up to the most that is allowed if the frame is `cut`. Tells whether the
    /// data is in `scratch`, or in `bytes` since nothing was escaped.
    pub(crate) fn unstuff<'a>(
        &self,
        bytes: &'a [u8],
        cut: bool,
        limits: Limits,
        scratch: &mut &'a mut [u8],
    ) -> Result<Opened<'a>, Fault> {
        let most = if cut { usize::try_from(limits.max).unwrap_or(usize::MAX) } else { usize::MAX };
        let plain = self.style == Style::Slip && find(&[ESC], bytes).is_none();
        let len = match self.style {
            _ if plain => bytes.len().min(most),
            Style::Cobs => stuffing::cobs_decode(bytes, most, scratch)?,
            _ => stuffing::slip_decode(bytes, most, scratch)?,
        };
        limits.hold(len as u64)?;
        if len == 0 && !limits.empty {
            return Err(Fault::Empty);
        }
        if plain {
            return Ok((&bytes[..len], false));
        }
        let (data, rest) = core::mem::take(scratch).split_at_mut(len);
        *scratch = rest;
        Ok((data, true))
    }
}
