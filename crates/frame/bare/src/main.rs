//! Frames in and out without std, on the C library's allocator. Exits with 0 if all is well.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::{c_int, c_void},
    panic::PanicInfo,
};
use unglue_frame::{Deframer, Enframer, Framing};

struct C;

#[link(name = "c")]
// SAFETY: these are the declarations of the C library itself.
unsafe extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn abort() -> !;
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

/// The C library's entry.
#[unsafe(no_mangle)]
pub extern "C" fn main(_: c_int, _: *const *const u8) -> c_int {
    c_int::from(!works())
}

fn works() -> bool {
    let notations = [
        "u32be",
        "lines",
        "crlf",
        "cobs",
        "slip",
        "netstring",
        #[cfg(feature = "checksums")]
        "kind:u8 len:u16le data[len] crc32(all,le)",
    ];
    notations.iter().all(|notation| round_trip(notation) == Some(true)) && bodies() && adapters() && owned()
}

fn round_trip(notation: &str) -> Option<bool> {
    let framing: Framing = notation.parse().ok()?;
    let fields: Vec<u64> = framing.field_names().map(|_| 7).collect();
    let mut wire = Vec::new();
    for message in [&b"hello"[..], b"world"] {
        Enframer::new(framing.clone()).encode(&fields, message, &mut wire).ok()?;
    }
    let mut deframer = Deframer::new(framing);
    let mut seen = Vec::new();
    for chunk in wire.chunks(3) {
        deframer.feed(chunk);
        while let Some(frame) = deframer.next().ok()? {
            seen.extend_from_slice(frame.data());
        }
    }
    Some(seen == b"helloworld" && deframer.finish().is_ok())
}

#[cfg(feature = "json")]
fn bodies() -> bool {
    let framing = "u32le+json(body=n)".parse::<Framing>();
    let mut wire = Vec::new();
    let encoded = framing.map(|framing| Enframer::new(framing).encode(&[], br#"{"n":3}"#, &mut wire));
    encoded.is_ok_and(|encoded| encoded.is_ok()) && wire.len() == 11
}

#[cfg(not(feature = "json"))]
fn bodies() -> bool {
    true
}

#[cfg(feature = "embedded-io")]
fn adapters() -> bool {
    let mut reader = unglue_frame::with_embedded::FrameReader::new(&b"\x02ab"[..], Framing::u8(), 2);
    reader.next().is_ok_and(|frame| frame.is_some_and(|frame| frame.data() == b"ab"))
}

#[cfg(not(feature = "embedded-io"))]
fn adapters() -> bool {
    true
}

#[cfg(feature = "bytes")]
fn owned() -> bool {
    let mut input = Default::default();
    unglue_frame::BytesDeframer::new(Framing::u8()).decode_data(&mut input).is_ok_and(|frame| frame.is_none())
}

#[cfg(not(feature = "bytes"))]
fn owned() -> bool {
    true
}
