//! The system's allocator, with a gap behind each large block.
//!
//! Blocks whose sizes are powers of two often lie next to each other, so that their addresses differ by a multiple of 4096
//! bytes and a few more. A copy from one to the other then takes several times as long: the processor compares the low 12 bits
//! of a load's address with those of earlier stores, and waits where they look alike ("4K aliasing" in Intel's optimization
//! manual). rustls copies each record from its buffer of 32 KiB into a block of 16 KiB, and whether they are neighbours was a
//! matter of luck: a download took 0.55 s of the client's time in user mode in place of 0.3 s for 512 MiB. With the gap, the next
//! 28 blocks don't look alike.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

#[global_allocator]
static ALLOCATOR: Spaced = Spaced;

/// Blocks of this size and larger ones get a gap.
const LARGE: usize = 8 * 1024;
/// Bytes behind a block. malloc(3) adds 16 of its own.
const GAP: usize = 832;

struct Spaced;

/// The layout with its gap. It depends on the layout alone, so that a block is freed with the layout that it has.
fn spaced(layout: Layout) -> Layout {
    match layout.size() >= LARGE {
        true => Layout::from_size_align(layout.size().saturating_add(GAP), layout.align()).unwrap_or(layout),
        false => layout,
    }
}

// SAFETY: each call goes to the system's allocator, with a layout that is at least as large and a function of the caller's.
unsafe impl GlobalAlloc for Spaced {
    // SAFETY: as the trait demands of the caller.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's size is not zero, so this isn't.
        unsafe { System.alloc(spaced(layout)) }
    }

    // SAFETY: as the trait demands of the caller.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(spaced(layout)) }
    }

    // SAFETY: as the trait demands of the caller.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block was made here with the caller's layout, so the system knows it by this one.
        unsafe { System.dealloc(block, spaced(layout)) }
    }

    // SAFETY: as the trait demands of the caller.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A size that has no layout is one that the caller must not pass.
        let wanted = Layout::from_size_align(size, layout.align()).map_or(size, |wanted| spaced(wanted).size());
        // SAFETY: as for `dealloc`; the new size is not zero, and a layout of it exists.
        unsafe { System.realloc(block, spaced(layout), wanted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_blocks_alone_get_a_gap_and_no_size_overflows() {
        let layout = |size| Layout::from_size_align(size, 16).expect("a layout");
        assert_eq!(spaced(layout(LARGE - 1)), layout(LARGE - 1));
        assert_eq!(spaced(layout(LARGE)), layout(LARGE + GAP));
        let largest = layout(isize::MAX as usize - 15);
        assert_eq!(spaced(largest), largest);
    }

    #[test]
    fn a_block_keeps_its_bytes_as_it_grows_and_shrinks_across_the_limit() {
        let mut bytes: Vec<u8> = Vec::new();
        for size in [100, LARGE - 1, LARGE, 5 * LARGE, LARGE, 10] {
            bytes.resize(size, size as u8);
            bytes.shrink_to_fit();
            let first = size.min(100);
            assert!(bytes[..first].iter().all(|&byte| byte == 100), "{size}");
        }
    }
}
