//! What every reader and writer of frames can do, whatever it reads from or writes to.

/// Methods of a reader, whose `deframer` takes what is read from its `inner`.
macro_rules! reader_methods {
    ($inner:ty) => {
        /// Allows another number of bytes of data in a frame, from the next frame on whose size isn't known yet.
        pub fn set_max(&mut self, bytes: u64) {
            self.deframer.set_max(bytes);
        }

        /// Goes on with another framing, which reads the bytes that belong to no frame taken yet.
        pub fn switch(&mut self, framing: $crate::Framing) {
            self.deframer.switch(framing);
        }

        /// Leaves out the next `bytes` bytes that belong to no frame taken yet.
        pub fn skip(&mut self, bytes: u64) {
            self.deframer.skip(bytes);
        }

        /// Leaves out everything up to the end of `pattern`.
        ///
        /// # Errors
        /// As [`Deframer::skip_past`](crate::Deframer::skip_past).
        pub fn skip_past(&mut self, pattern: &[u8]) -> Result<(), $crate::LayoutError> {
            self.deframer.skip_past(pattern)
        }

        /// The frames that were left out so far, since they were too long.
        pub fn skipped(&self) -> $crate::Skipped {
            self.deframer.skipped()
        }

        /// The stream offset of the first byte that belongs to no frame taken yet.
        pub fn offset(&self) -> u64 {
            self.deframer.offset()
        }

        /// The memory held for unfinished and buffered bytes.
        pub fn capacity(&self) -> usize {
            self.deframer.capacity()
        }

        /// The reader itself.
        pub fn get_ref(&self) -> &$inner {
            &self.inner
        }

        /// The reader itself. What is read from it is missing here.
        pub fn get_mut(&mut self) -> &mut $inner {
            &mut self.inner
        }

        /// The reader. Bytes that were read from it and belong to no frame taken yet are lost.
        pub fn into_inner(self) -> $inner {
            self.inner
        }

        /// The reader, and the bytes that were read from it and belong to no frame taken yet.
        pub fn into_parts(self) -> ($inner, alloc::vec::Vec<u8>) {
            (self.inner, self.deframer.into_parts())
        }
    };
}

/// Methods of a writer, which writes the frames of its `enframer` to its `inner`.
macro_rules! writer_methods {
    ($inner:ty) => {
        /// Allows another number of bytes of data in a frame.
        pub fn set_max(&mut self, bytes: u64) {
            self.enframer.set_max(bytes);
        }

        /// Goes on with another framing, from the next frame on.
        pub fn switch(&mut self, framing: $crate::Framing) {
            self.enframer = $crate::Enframer::new(framing);
        }

        /// The writer itself.
        pub fn get_ref(&self) -> &$inner {
            &self.inner
        }
    };
}

pub(crate) use {reader_methods, writer_methods};
