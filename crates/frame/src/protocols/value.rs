//! Streams of values that say by themselves where they end: a frame is one value, whole.

use crate::{EncodeError, Fault, Limits, Output, Rule, Step, TooLong};
use core::{fmt, marker::PhantomData};

/// The most levels that values may be nested in each other.
pub(super) const MAX_DEPTH: usize = 512;

/// Looks at the bytes of one value, each once and in order, and finds its end.
pub(super) trait Scan: Default + fmt::Debug + Send + Sync + 'static {
    /// The framing's name.
    const NAME: &'static str;
    /// Why a message can't be sent.
    const NOT_ONE: &'static str;
    /// What is written behind a value.
    const SEPARATOR: &'static [u8] = b"";

    /// Looks at the bytes that follow those of the last call. It refuses a value that announces more than `most` bytes in all
    /// as soon as it does: what is said of it must not depend on how much of it is there.
    fn scan(&mut self, bytes: &[u8], most: u64) -> Result<Scanned, Fault>;

    /// Whether the bytes so far are a value, if no more come.
    fn complete(&self) -> bool {
        false
    }

    /// Whether this byte may stand between two values.
    fn is_filler(_byte: u8) -> bool {
        false
    }
}

/// What a scanner knows of a value's end.
pub(super) enum Scanned {
    /// It ends after so many of the bytes just looked at.
    End(usize),
    /// It goes on; at least so many bytes follow, at least one.
    More(u64),
}

/// Values of one format.
pub(super) struct Values<S>(PhantomData<fn() -> S>);

impl<S> Values<S> {
    pub(super) const NEW: Values<S> = Values(PhantomData);
}

impl<S> Clone for Values<S> {
    fn clone(&self) -> Values<S> {
        Values::NEW
    }
}

impl<S: Scan> fmt::Debug for Values<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::NAME)
    }
}

/// How far the value that has begun was looked at.
#[derive(Debug, Default)]
pub(super) struct Progress<S> {
    scan: S,
    at: usize,
    /// It is left out, and these bytes of it are gone.
    dropping: bool,
}

impl<S: Scan> Rule for Values<S> {
    type State = Progress<S>;

    fn name(&self) -> &str {
        S::NAME
    }

    fn find(&self, state: &mut Progress<S>, frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        if state.at == 0 && !state.dropping {
            let filler = frame.iter().take_while(|byte| S::is_filler(**byte)).count();
            if filler > 0 {
                return Ok(Step::Filler(filler));
            }
        }
        let max = usize::try_from(limits.max).unwrap_or(usize::MAX);
        let failing = limits.too_long == TooLong::Fail;
        let window = if failing { max.saturating_add(1).min(frame.len()) } else { frame.len() };
        let most = if failing { limits.max } else { u64::MAX };
        match state.scan.scan(&frame[state.at..window], most)? {
            Scanned::End(bytes) => {
                let total = state.at + bytes;
                let dropping = core::mem::take(state).dropping;
                if !dropping && total <= max {
                    return Ok(Step::Frame { head: 0, data: total, tail: 0 });
                }
                if failing { Err(Fault::TooMuch { limit: limits.max }) } else { Ok(Step::Skip(total as u64)) }
            }
            Scanned::More(more) => {
                state.at = window;
                let need = (window as u64).saturating_add(more.max(1));
                if failing && window > max {
                    return Err(Fault::TooMuch { limit: limits.max });
                }
                if (state.dropping || window > max) && window > 1 {
                    // The last byte stays: a number may turn out to have ended with it.
                    (state.at, state.dropping) = (1, true);
                    return Ok(Step::Drop(window - 1));
                }
                let most = if state.dropping { usize::MAX } else { max.saturating_add(1) };
                Ok(Step::More(usize::try_from(need).unwrap_or(usize::MAX).min(most)))
            }
        }
    }

    fn end(&self, state: &mut Progress<S>, rest: &[u8], _: &Limits) -> Result<Option<Step>, Fault> {
        let whole = !rest.is_empty() && state.at == rest.len() && !state.dropping && state.scan.complete();
        Ok(whole.then_some(Step::Frame { head: 0, data: rest.len(), tail: 0 }))
    }

    fn may_be_empty(&self) -> bool {
        false
    }

    fn too_long(&self) -> &[TooLong] {
        &[TooLong::Fail, TooLong::Skip]
    }

    fn encode(&self, _: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        let mut scan = S::default();
        let one = match scan.scan(data, u64::MAX) {
            Ok(Scanned::End(bytes)) => bytes == data.len(),
            Ok(Scanned::More(_)) => scan.complete(),
            Err(_) => false,
        };
        if !one || data.first().is_some_and(|first| S::is_filler(*first)) {
            return Err(EncodeError::Rule { reason: S::NOT_ONE });
        }
        out.put(data);
        out.put(S::SEPARATOR);
        Ok(())
    }
}

/// Refuses a value that is announced to end after more than `most` bytes.
pub(super) fn announce(end: u64, most: u64) -> Result<(), Fault> {
    if end > most { Err(Fault::TooLong { got: end, limit: most, looks: None }) } else { Ok(()) }
}

/// A fault at this position of the frame.
pub(super) fn fault(at: u64, reason: &'static str) -> Fault {
    Fault::Rule { at, reason }
}

/// The fault of a value that is nested too deeply.
pub(super) fn too_deep(at: u64) -> Fault {
    fault(at, "it is nested in more than 512 levels")
}
