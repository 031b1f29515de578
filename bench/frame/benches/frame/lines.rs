//! Lines, where looking for the delimiter is the work.

use crate::{
    CHUNK, SIZES,
    decode::look,
    rounds::{Contender, compare},
};
use bytes::BytesMut;
use tokio_util::codec::{Decoder as _, LinesCodec};
use unglue_frame::{Deframer, Framing};

pub(crate) fn run() {
    for size in SIZES {
        let mut line = vec![b'x'; size];
        line.push(b'\n');
        let frames = (1 << 20) / line.len();
        let wire = line.repeat(frames);
        compare(&format!("lines, {size} bytes"), frames, contenders(&wire));
    }
}

fn contenders(wire: &[u8]) -> Vec<Contender<'_>> {
    let mut deframer = Deframer::new(Framing::nul());
    let mut lines = Deframer::new(Framing::lines());
    vec![
        Contender::new("memchr alone, in one piece", move || {
            let (mut sum, mut from) = (0, 0);
            for at in memchr::memchr_iter(b'\n', wire) {
                sum += look(&wire[from..at]);
                from = at + 1;
            }
            sum
        }),
        Contender::new("unglue frames()", move || {
            let mut sum = 0;
            for mut chunk in wire.chunks(CHUNK) {
                for frame in lines.frames(&mut chunk) {
                    sum += look(frame.expect("good lines").data());
                }
            }
            sum
        }),
        Contender::new("unglue, no delimiter in 1 MiB", move || {
            for mut chunk in wire.chunks(CHUNK) {
                assert!(deframer.decode(&mut chunk).expect("good bytes").is_none());
            }
            deframer = Deframer::new(Framing::nul());
            0
        }),
        Contender::new("tokio-util LinesCodec", move || {
            let (mut sum, mut codec, mut input) = (0, LinesCodec::new(), BytesMut::with_capacity(2 * CHUNK));
            for chunk in wire.chunks(CHUNK) {
                input.extend_from_slice(chunk);
                while let Some(line) = codec.decode(&mut input).expect("good lines") {
                    sum += look(line.as_bytes());
                }
            }
            sum
        }),
    ]
}
