//! Large captures: read once from front to back, in little memory.

use crate::run::{UNGLUE, clean, finish_with};

/// What a program may allocate, in KiB. `ulimit -d` counts all private memory that can be written (getrlimit(2)).
const MEMORY: usize = 128 << 10;
/// The capture's size, and the length of one message in it.
const CAPTURE: usize = 160 << 20;
const MESSAGE: usize = 16_000;
/// What a segment carries.
const SEGMENT: usize = 1400;

/// A capture in libpcap's format of raw IP packets, in which one end sends messages behind a length of four bytes.
fn capture() -> Vec<u8> {
    let mut file = Vec::with_capacity(CAPTURE + (CAPTURE >> 3));
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x0004_0000, 101_u32] {
        file.extend(word.to_le_bytes());
    }
    let message: Vec<u8> = [&(MESSAGE as u32).to_be_bytes()[..], &[7; MESSAGE]].concat();
    let (mut sequence, mut packets) = (0_u32, 0_u32);
    let mut segment = |flags: u8, data: &[u8]| {
        let length = 40 + data.len() as u32;
        for word in [packets / 1000, packets % 1000, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0x45, 0]);
        file.extend((length as u16).to_be_bytes());
        file.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40, 0, 80]);
        file.extend(sequence.to_be_bytes());
        file.extend([0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
        file.extend_from_slice(data);
        packets += 1;
        sequence = sequence.wrapping_add(data.len() as u32 + u32::from(flags & 2 != 0));
    };
    segment(2, b"");
    let stream = message.repeat(700);
    for _ in 0..CAPTURE / stream.len() {
        stream.chunks(SEGMENT).for_each(|data| segment(16, data));
    }
    file
}

#[test]
fn a_capture_far_larger_than_the_memory_is_read() {
    let file = capture();
    assert!(file.len() > MEMORY << 10, "{}", file.len());
    let limited = |words: &str| {
        let script = format!("ulimit -d {MEMORY}; exec {UNGLUE} lab {words}");
        finish_with(clean("sh").args(["-c", &script]), &file).expect(0)
    };
    let done = limited("dissect - --frame u32be");
    let messages = CAPTURE / (700 * (MESSAGE + 4)) * 700;
    assert!(done.stderr.contains(&format!("{messages} messages in ")), "{}", done.stderr);
    // The stream repeats itself: thousands of framings fit it.
    limited("infer -");
}
