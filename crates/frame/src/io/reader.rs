//! Reading frames.

use super::{Error, Sizes};
use crate::{Deframer, Frame, Frames, Framing, delegate::reader_methods};
use core::ops::RangeInclusive;
use std::io::{self, ErrorKind, Read};

/// Reads frames from a [`Read`]. It has a buffer of its own: a [`BufReader`](std::io::BufReader) in between only copies.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    deframer: Deframer,
    sizes: Sizes,
    ended: bool,
}

impl<R> FrameReader<R> {
    /// A reader of frames, from where `inner` stands.
    pub fn new(inner: R, framing: Framing) -> FrameReader<R> {
        FrameReader { inner, deframer: Deframer::new(framing), sizes: Sizes::default(), ended: false }
    }

    /// A reader of frames that begin with `bytes`, which were read before, and go on where `inner` stands.
    pub fn from_parts(inner: R, framing: Framing, bytes: &[u8]) -> FrameReader<R> {
        let mut reader = FrameReader::new(inner, framing);
        reader.deframer.feed(bytes);
        reader
    }

    /// Asks for so many bytes at once: the fewest at first, and more while all come that were asked for. Unless said, 4
    /// KiB to 256 KiB.
    pub fn with_chunks(mut self, bytes: RangeInclusive<usize>) -> FrameReader<R> {
        self.sizes = Sizes::new(bytes);
        self
    }

    /// The bytes between two frames as they are, for a while: a reader of those that belong to no frame taken yet, and
    /// of what follows them.
    ///
    /// ```
    /// # use std::io::Read;
    /// # use unglue_frame::{Framing, io::FrameReader};
    /// let mut reader = FrameReader::new(&b"DATA 4\nrawsQUIT\n"[..], Framing::lines());
    /// assert_eq!(reader.next()?.unwrap().data(), b"DATA 4");
    /// let mut raw = [0; 4];
    /// reader.raw().read_exact(&mut raw)?;
    /// assert_eq!((&raw, reader.next()?.unwrap().data()), (b"raws", &b"QUIT"[..]));
    /// # Ok::<(), unglue_frame::io::Error>(())
    /// ```
    pub fn raw(&mut self) -> Raw<'_, R> {
        Raw { reader: self }
    }

    reader_methods!(R);
}

impl<R: Read> FrameReader<R> {
    /// The next frame, or `None` where the input ends between two frames.
    ///
    /// # Errors
    /// Reading failed: it may be called again. The bytes are no frame, or the input ended inside one: that is final.
    #[inline]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Error> {
        loop {
            if let Some(found) = self.deframer.locate()? {
                return Ok(Some(self.deframer.located(found)));
            }
            if !self.fill()? {
                return Ok(self.deframer.end()?);
            }
        }
    }

    /// The frames that are there after at most one read, perhaps none: the fastest way. `None` where the input ends
    /// between two frames.
    ///
    /// # Errors
    /// Reading failed, or the input ended inside a frame. Bad bytes are the iterator's last item.
    pub fn batch(&mut self) -> Result<Option<Frames<'_, '_, 'static>>, Error> {
        if !self.deframer.waiting() && !self.fill()? && !self.deframer.close() {
            self.deframer.finish()?;
            return Ok(None);
        }
        Ok(Some(self.deframer.batch()))
    }

    /// Reads once. False at the end of the input.
    fn fill(&mut self) -> Result<bool, Error> {
        while !self.ended {
            let chunk = self.sizes.chunk();
            if self.deframer.capacity() > 2 * chunk {
                // The stream has become quiet: what it needed before it needn't keep while it waits.
                self.deframer.shed(drop);
            }
            let space = &mut self.deframer.space(chunk)[..chunk];
            match self.inner.read(space) {
                Ok(0) => self.ended = true,
                Ok(bytes) => {
                    self.deframer.filled(bytes);
                    self.sizes.came(bytes);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}

/// The bytes between two frames, as they are; see [`FrameReader::raw`].
#[derive(Debug)]
pub struct Raw<'a, R> {
    reader: &'a mut FrameReader<R>,
}

impl<R: Read> Read for Raw<'_, R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.deframer.copy_raw(space) {
                Some(0) => break,
                Some(there) => return Ok(there),
                None if !self.reader.fill()? => return Ok(0),
                None => {}
            }
        }
        let bytes = self.reader.inner.read(space)?;
        self.reader.deframer.passed(bytes);
        Ok(bytes)
    }
}
