//! Linux on a 32-bit ARM, without any library, as qemu-arm runs it: memory that is never given back, and two system calls.

use core::{
    alloc::{GlobalAlloc, Layout},
    arch::asm,
    cell::UnsafeCell,
    panic::PanicInfo,
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

const ROOM: usize = 512 << 20;

/// Gives memory from its front to its end.
#[repr(align(16))]
struct Bump {
    room: UnsafeCell<[u8; ROOM]>,
    used: AtomicUsize,
}

// SAFETY: each piece of the room is given once.
unsafe impl Sync for Bump {}

// SAFETY: a piece begins where it is aligned, behind those given before, and ends within the room.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = self.used.load(Ordering::Relaxed);
        let Some(start) = used.checked_next_multiple_of(layout.align().max(16)) else { return ptr::null_mut() };
        match start.checked_add(layout.size()) {
            Some(end) if end <= ROOM && layout.align() <= 16 => {
                self.used.store(end, Ordering::Relaxed);
                // SAFETY: it is within the room.
                unsafe { self.room.get().cast::<u8>().add(start) }
            }
            _ => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { room: UnsafeCell::new([0; ROOM]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(101)
}

/// A system call. Its number belongs into r7, which the compiler keeps for itself.
///
/// # Safety
/// As the call has it.
unsafe fn call(number: u32, first: usize, second: usize, third: usize) {
    // SAFETY: r7 is as it was afterwards; the rest is the caller's promise.
    unsafe {
        asm!(
            "push {{r7}}",
            "mov r7, {number}",
            "svc 0",
            "pop {{r7}}",
            number = in(reg) number,
            inout("r0") first => _,
            in("r1") second,
            in("r2") third,
        );
    }
}

fn exit(code: usize) -> ! {
    loop {
        // SAFETY: exit (1) takes a code.
        unsafe { call(1, code, 0, 0) };
    }
}

pub(crate) fn print(bytes: &[u8]) {
    // SAFETY: write (4) takes a file, and bytes that are there.
    unsafe { call(4, 1, bytes.as_ptr() as usize, bytes.len()) };
}

/// The kernel's entry.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    exit(crate::run().into())
}
