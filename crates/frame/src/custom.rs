//! A rule of one's own for where frames end.

mod erased;

use crate::{EncodeError, Fault, Output, TooLong};
use alloc::{string::String, vec::Vec};
use core::fmt;
pub(crate) use erased::{Custom, Memory};

/// A rule of one's own for where frames end, for [`Framing::custom`](crate::Framing::custom). With it work all readers,
/// writers and codecs, and every option of a framing that the rule supports.
///
/// A rule is a value without state: one serves any number of streams. What it must remember of a stream (how far it has
/// looked into the frame that has begun, which phase the protocol is in) stands in its [`State`](Self::State), of which
/// each deframer has one. It performs no IO.
///
/// ```
/// use unglue_frame::{Deframer, EncodeError, Enframer, Fault, Framing, Limits, Output, Rule, Step};
///
/// /// The data, twice as many bytes as the first byte says, and a `!`.
/// #[derive(Clone, Debug)]
/// struct Pairs;
///
/// impl Rule for Pairs {
///     type State = ();
///
///     fn name(&self) -> &str {
///         "pairs"
///     }
///
///     fn find(&self, _: &mut (), frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
///         match frame {
///             [] => Ok(Step::More(1)),
///             [count, ..] => limits.frame(1, u64::from(*count) * 2, 1),
///         }
///     }
///
///     fn open(&self, frame: &[u8], _: &Limits, _: &mut [u8]) -> Result<Option<usize>, Fault> {
///         match frame.last() {
///             Some(b'!') => Ok(None),
///             _ => Err(Fault::Rule { at: frame.len() as u64 - 1, reason: "a frame must end with !" }),
///         }
///     }
///
///     fn encode(&self, _: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
///         if data.len() % 2 == 1 || data.len() > 510 {
///             return Err(EncodeError::Rule { reason: "pairs have an even number of bytes, 510 at most" });
///         }
///         out.put(&[(data.len() / 2) as u8]);
///         out.put(data);
///         out.put(b"!");
///         Ok(())
///     }
/// }
///
/// let framing = Framing::custom(Pairs).max(4);
/// let mut wire = Vec::new();
/// Enframer::new(framing.clone()).encode(&[], b"abcd", &mut wire)?;
/// assert_eq!(wire, b"\x02abcd!");
/// let mut deframer = Deframer::new(framing);
/// assert_eq!(deframer.decode(&mut &wire[..])?.unwrap().data(), b"abcd");
/// assert_eq!(deframer.decode(&mut &b"\x03"[..]).unwrap_err().to_string(), "frame at byte 6: it announces 6 bytes, the limit is 4");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Rule: Clone + fmt::Debug + Send + Sync + 'static {
    /// What it remembers of one stream; `()` if nothing. Its default is the state at the stream's beginning.
    type State: Default + fmt::Debug + Send + Sync + 'static;

    /// Its name, as the framing's text form begins.
    fn name(&self) -> &str;

    /// What stands behind its name in parentheses. Two rules with the same name and arguments count as equal.
    fn args(&self) -> Vec<String> {
        Vec::new()
    }

    /// Looks for the end of the frame that begins with the first byte of `frame`, which has at least one byte.
    ///
    /// While the answer is [`Step::More`], the same bytes come again, with those that followed, if any: `state` can hold how far
    /// they were looked at. The result must not depend on how many come at once. Two things follow. A fault must show in
    /// some first bytes of a frame whatever follows them. And a frame must not end within bytes that `More` was answered
    /// to: they are part of it.
    ///
    /// # Errors
    /// The bytes are no frame: that ends the stream.
    fn find(&self, state: &mut Self::State, frame: &[u8], limits: &Limits) -> Result<Step, Fault>;

    /// Checks a frame that is all there, and decodes its data where that isn't simply a part of it. The decoded data goes
    /// to the front of `out`, which is as long as `frame` if [`decodes`](Self::decodes) says so, and empty otherwise; its
    /// length is returned. `None`: the data lies in the frame, where [`find`](Self::find) said. It isn't called for a
    /// frame that was cut and doesn't decode.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    fn open(&self, frame: &[u8], limits: &Limits, out: &mut [u8]) -> Result<Option<usize>, Fault> {
        let _ = (frame, limits, out);
        Ok(None)
    }

    /// Whether [`open`](Self::open) may decode.
    fn decodes(&self) -> bool {
        false
    }

    /// The input has ended behind `rest`, in which no frame ends; it may be empty. Most rules leave this as it is:
    /// `None` accepts an end between two frames, and makes anything else a [`Fault::Truncated`]. A rule whose last frame
    /// may lack its end gives it as [`Step::Frame`].
    ///
    /// # Errors
    /// The stream must not end here.
    fn end(&self, state: &mut Self::State, rest: &[u8], limits: &Limits) -> Result<Option<Step>, Fault> {
        let _ = (state, rest, limits);
        Ok(None)
    }

    /// The names of its fields, which the application sets and reads, in the order of their indices.
    fn fields(&self) -> &[&str] {
        &[]
    }

    /// The value of the field with this index in a frame that is all there; `None` if this frame doesn't have it.
    fn field(&self, index: usize, frame: &[u8]) -> Option<u64> {
        let _ = (index, frame);
        None
    }

    /// The value of the field with this index in a frame to be written, where the application gives none.
    fn default_field(&self, index: usize) -> u64 {
        let _ = index;
        0
    }

    /// What may become of a frame with more data than allowed; an option that isn't among these is refused.
    /// [`Limits::frame`] does all three.
    fn too_long(&self) -> &[TooLong] {
        &[TooLong::Fail, TooLong::Skip, TooLong::Cut]
    }

    /// Whether there are frames without data. Where there are none, or where they have a meaning of their own, the option
    /// `empty=` is refused.
    fn may_be_empty(&self) -> bool {
        true
    }

    /// Appends a frame with these fields, one for each of [`fields`](Self::fields), and this data. The data's size is
    /// within the limits.
    ///
    /// # Errors
    /// The data or a field doesn't fit. What was written is taken back.
    fn encode(&self, fields: &[u64], data: &[u8], limits: &Limits, out: &mut dyn Output) -> Result<(), EncodeError>;
}

/// What a [`Rule`] found out about the frame that begins with the bytes it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Nothing yet: show me this many bytes of the frame, counted from its first. Fewer must not suffice to find anything
    /// out, a fault included.
    More(usize),
    /// It has so many bytes before the data, of data, and behind it. They need not be there yet. Where
    /// [`Rule::open`] decodes, the data is what it decodes from.
    Frame {
        /// Bytes before the data.
        head: usize,
        /// The data's bytes.
        data: usize,
        /// Bytes behind the data.
        tail: usize,
    },
    /// It has more data than allowed, and these are its first bytes; see [`TooLong::Cut`].
    Cut {
        /// Bytes before the data.
        head: usize,
        /// The bytes of data that are kept.
        data: usize,
        /// The bytes that follow them up to the frame's end, and are dropped.
        rest: u64,
    },
    /// It has more data than allowed, ends after this many bytes, and is left out; see [`TooLong::Skip`].
    Skip(u64),
    /// It will be left out, and its first bytes, so many, aren't needed any more: show me those behind them. Its end is
    /// told with [`Step::Skip`], which counts from there.
    Drop(usize),
    /// The first bytes, so many, belong to no frame.
    Filler(usize),
}

/// How many bytes of data a frame may have, and what becomes of those that have more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes of data.
    pub max: u64,
    /// Whether frames without data are good.
    pub empty: bool,
    /// What becomes of a frame with more data than allowed.
    pub too_long: TooLong,
    /// Whether the last frame may lack the delimiter behind it.
    pub last: bool,
}

impl Limits {
    /// The step for a frame whose size is known, within the limits: `head` bytes, `data` bytes of data, and `tail` bytes
    /// behind them.
    ///
    /// # Errors
    /// The frame has too much data, or none, and that isn't allowed.
    pub fn frame(&self, head: usize, data: u64, tail: u64) -> Result<Step, Fault> {
        if data == 0 && !self.empty {
            return Err(Fault::Empty);
        }
        let total = (head as u64).saturating_add(data).saturating_add(tail);
        if data <= self.max {
            let sizes = usize::try_from(data).ok().zip(usize::try_from(tail).ok());
            let sizes = sizes.filter(|_| total <= isize::MAX as u64);
            let limit = isize::MAX as u64;
            let (data, tail) = sizes.ok_or(Fault::TooLong { got: data, limit, looks: None })?;
            return Ok(Step::Frame { head, data, tail });
        }
        match (self.too_long, usize::try_from(self.max)) {
            (TooLong::Skip, _) => Ok(Step::Skip(total)),
            (TooLong::Cut, Ok(max)) => {
                let rest = total.saturating_sub((head as u64).saturating_add(self.max));
                Ok(Step::Cut { head, data: max, rest })
            }
            _ => Err(Fault::TooLong { got: data, limit: self.max, looks: None }),
        }
    }

    /// Holds the size of decoded data, or of data whose end isn't known yet, against the limits.
    ///
    /// # Errors
    /// It is more than allowed.
    pub fn hold(&self, data: u64) -> Result<(), Fault> {
        if data > self.max { Err(Fault::TooMuch { limit: self.max }) } else { Ok(()) }
    }
}
