//! Captures of real programs (made on loopback with dumpcap), in `tests/captures/`.

use std::fs::File;
use std::path::Path;

use unglue_lab::infer::{Inference, Stream, Verdict, gather, infer};

use super::lengths;

/// The streams of a capture; those whose name matches first.
fn streams(name: &str) -> Vec<Stream> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let gathered = gather(name, file, false).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(gathered.damage.is_none() && gathered.lost == 0, "{name}: {gathered:?}");
    gathered.streams
}

/// Whether the first candidate finds the frames of `notation` in the stream.
fn finds(found: &Inference, notation: &str, stream: &Stream) -> bool {
    let first = found.candidates.first().filter(|first| first.offset == 0);
    first.is_some_and(|first| lengths(&first.notation, &stream.bytes) == lengths(notation, &stream.bytes))
}

#[test]
fn the_longest_stream_of_each_program_is_named() {
    for (name, notation) in [
        ("java-writeutf.pcapng", "u16be"),
        ("mosquitto.pcapng", "hdr:u8 len:varint(4) data[len]"),
        ("node-json-lines.pcapng", "lines"),
        ("openssl-tls.pcapng", "type:u8 ver:u16be len:u16be data[len]"),
        ("postgres.pcapng", "tag:u8 len:u32be data[len-4]"),
        ("python-multiprocessing.pcapng", "u32be"),
    ] {
        let stream = &streams(name)[0];
        let found = infer(std::slice::from_ref(stream));
        assert!(found.verdict > Verdict::Ambiguous && finds(&found, notation, stream), "{name}: {found:?}");
    }
}

#[test]
fn both_directions_together() {
    for (name, notation) in [("java-writeutf.pcapng", "u16be"), ("python-multiprocessing.pcapng", "u32be")] {
        let streams = streams(name);
        let found = infer(&streams);
        assert_eq!(found.verdict, Verdict::Certain, "{name}");
        assert!(streams.iter().all(|stream| finds(&found, notation, stream)), "{name}: {found:?}");
    }
}

#[test]
fn an_http_2_server_is_named() {
    let streams = streams("nginx-http2.pcapng");
    let server = streams.iter().find(|stream| !stream.bytes.starts_with(b"PRI")).expect("the server's direction");
    let found = infer(std::slice::from_ref(server));
    assert!(finds(&found, "len:u24be type:u8 flags:u8 id:u32be data[len]", server), "{found:?}");
}

#[test]
fn tls_records_are_certain_and_what_is_inside_is_ambiguous() {
    let records = &streams("openssl-tls.pcapng")[0];
    let found = infer(std::slice::from_ref(records));
    assert_eq!(found.verdict, Verdict::Certain, "{found:?}");
    let mut inside = Vec::new();
    let mut rest = &records.bytes[..];
    while let [kind, _, _, high, low, data @ ..] = rest {
        let (data, behind) = data.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        if *kind == 0x17 {
            inside.extend_from_slice(data);
        }
        rest = behind;
    }
    assert!(inside.len() > 300);
    assert_eq!(infer(&[Stream::whole("inside", inside)]).verdict, Verdict::Ambiguous);
}

#[test]
fn what_is_encrypted_from_its_second_message_on_is_ambiguous() {
    for stream in streams("openssh.pcapng") {
        let found = infer(&[stream]);
        assert_ne!(found.verdict, Verdict::Certain, "{found:?}");
    }
}

#[test]
fn every_notation_that_is_told_parses() {
    for name in ["memcached.pcapng", "mosquitto.pcapng", "postgres.pcapng", "redis.pcapng"] {
        for stream in streams(name).iter().take(4) {
            for candidate in infer(std::slice::from_ref(stream)).candidates {
                let bytes = &stream.bytes[candidate.offset as usize..];
                assert!(lengths(&candidate.notation, bytes).is_some(), "{name}: {candidate:?}");
            }
        }
    }
}
