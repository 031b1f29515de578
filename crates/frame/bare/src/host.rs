//! The C library: its allocator, its entry, its output.

use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::{c_int, c_void},
    panic::PanicInfo,
};

struct C;

#[link(name = "c")]
// SAFETY: these are the declarations of the C library itself.
unsafe extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn abort() -> !;
    fn write(file: c_int, bytes: *const c_void, count: usize) -> isize;
}

// SAFETY: the C library's allocator gives memory of this size and alignment, or null.
unsafe impl GlobalAlloc for C {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: an alignment is a power of two, and the size is a multiple of it.
        unsafe { aligned_alloc(layout.align(), layout.size().next_multiple_of(layout.align())).cast() }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: it was given by `alloc`.
        unsafe { free(memory.cast()) }
    }
}

#[global_allocator]
static ALLOCATOR: C = C;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and doesn't come back.
    unsafe { abort() }
}

/// What the compiled core library names and never calls where a panic aborts.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: it takes nothing and doesn't come back.
    unsafe { abort() }
}

pub(crate) fn print(bytes: &[u8]) {
    // SAFETY: the bytes are there. What can't be written is missing, and the script notices.
    unsafe { write(1, bytes.as_ptr().cast(), bytes.len()) };
}

/// The C library's entry.
#[unsafe(no_mangle)]
pub extern "C" fn main(_: c_int, _: *const *const u8) -> c_int {
    crate::run().into()
}
