//! Buffers that are used again. Fresh memory would cost a fault for each page.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The least length of a buffer.
const LEAST: usize = 512 * 1024;

/// Bytes of buffers that wait for being used again.
const MOST: usize = 4 * 1024 * 1024;

/// Buffers whose bytes are not used any more.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Box<[u8]>>>);

impl Pool {
    /// Has a buffer filled; it comes back when the bytes are dropped.
    pub(super) fn filled<E>(
        self: &Arc<Self>,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = free.filter(|buffer| buffer.len() >= length);
        let buffer = buffer.unwrap_or_else(|| vec![0; length.max(LEAST)].into_boxed_slice());
        let mut loan = Loan { buffer, length, pool: self.clone() };
        fill(&mut loan.buffer[..length])?;
        Ok(Bytes::from_owner(loan))
    }
}

struct Loan {
    buffer: Box<[u8]>,
    length: usize,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut free = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = free.iter().map(|buffer| buffer.len()).sum();
        if kept + self.buffer.len() <= MOST {
            free.push(mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_bytes_are_dropped() {
        let pool = Arc::new(Pool::default());
        let filled = |length, byte| {
            let fill = |buffer: &mut [u8]| {
                buffer.fill(byte);
                Ok::<_, ()>(())
            };
            pool.filled(length, fill).expect("filled")
        };
        let (first, other) = (filled(10, 1), filled(10, 2));
        let place = first.as_ptr();
        assert_eq!((&first[..], &other[..]), (&[1; 10][..], &[2; 10][..]));
        let slice = first.slice(3..);
        drop(first);
        assert_ne!(filled(5, 3).as_ptr(), place, "its bytes are still there");
        drop((slice, other));
        assert_eq!(pool.0.lock().expect("a lock").len(), 3);
        let long = filled(LEAST + 1, 4);
        assert_eq!((long.len(), long[LEAST]), (LEAST + 1, 4));
        assert_eq!(pool.filled(3, |_| Err("broken")), Err("broken"));
    }
}
