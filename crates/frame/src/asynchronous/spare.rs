//! A large buffer for each thread, which readers and writers use while there is something to do: those that wait hold
//! none, and those that go on needn't ask for one.

use alloc::vec::Vec;
use core::{cell::RefCell, mem};

/// A buffer that is kept beyond its use is at most this large.
const MOST: usize = 256 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The thread's buffer, or an empty one if it is in use.
pub(super) fn take() -> Vec<u8> {
    SPARE
        .try_with(|spare| spare.try_borrow_mut().map(|mut spare| mem::take(&mut *spare)).unwrap_or_default())
        .unwrap_or_default()
}

/// Gives a buffer to the thread, unless it has a better one.
pub(super) fn give(buffer: Vec<u8>) {
    if buffer.capacity() > MOST {
        return;
    }
    let _ = SPARE.try_with(|spare| {
        if let Ok(mut spare) = spare.try_borrow_mut()
            && spare.capacity() < buffer.capacity()
        {
            *spare = buffer;
        }
    });
}
