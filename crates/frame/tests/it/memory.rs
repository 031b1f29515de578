//! Counts what the current thread allocates.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// What a thread allocated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Bytes held at most at one time, beyond those held at the start.
    pub(crate) peak: isize,
    pub(crate) allocations: usize,
    /// Bytes that growing an allocation may have moved.
    pub(crate) moved: usize,
    /// Bytes still held.
    pub(crate) live: isize,
}

thread_local! {
    static USAGE: Cell<Usage> = const { Cell::new(Usage { peak: 0, allocations: 0, moved: 0, live: 0 }) };
}

/// What `work` allocates.
pub(crate) fn usage<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    let before = USAGE.replace(Usage::default());
    let result = work();
    (result, USAGE.replace(before))
}

fn count(bytes: isize, moved: usize) {
    let _ = USAGE.try_with(|cell| {
        let mut usage = cell.get();
        usage.live += bytes;
        usage.peak = usage.peak.max(usage.live);
        usage.allocations += usize::from(bytes > 0);
        usage.moved += moved;
        cell.set(usage);
    });
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator as it is; counting touches thread-local cells alone, which
// allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize, 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize, 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize, layout.size().min(size));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;
