//! Captures put together: out of order, twice, with gaps, cut anywhere, with lengths that lie.

use std::fs;
use std::path::Path;

use unglue_lab::capture::{CaptureError, Event, Flow, Streams, follow};
use unglue_lab::dissect::{Dissector, Told};

/// A segment: from the client or not, its sequence number, flags and data.
struct Sent<'a>(bool, u32, u8, &'a [u8]);

const SYN: u8 = 2;
const ACK: u8 = 16;

/// A capture in libpcap's format, of link type `link`, whose packets have `link_header` in front.
fn pcap(link: u32, link_header: &[u8], sent: &[Sent<'_>]) -> Vec<u8> {
    let mut file = Vec::from(0xa1b2_c3d4u32.to_le_bytes());
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
    file.extend(link.to_le_bytes());
    for (index, Sent(client, seq, flags, data)) in sent.iter().enumerate() {
        let mut packet = link_header.to_vec();
        packet.extend([0x45, 0]);
        packet.extend(((40 + data.len()) as u16).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        packet.extend(if *client { [10, 0, 0, 1, 10, 0, 0, 2] } else { [10, 0, 0, 2, 10, 0, 0, 1] });
        packet.extend(if *client { [0x9c, 0x40, 0, 80] } else { [0, 80, 0x9c, 0x40] });
        packet.extend(seq.to_be_bytes());
        packet.extend([0, 0, 0, 0, 0x50, *flags, 1, 0, 0, 0, 0, 0]);
        packet.extend_from_slice(data);
        file.extend((index as u32).to_le_bytes());
        file.extend([0; 4]);
        file.extend((packet.len() as u32).to_le_bytes());
        file.extend((packet.len() as u32).to_le_bytes());
        file.extend(packet);
    }
    file
}

const ETHERNET: [u8; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 8, 0];

/// The streams of a capture, with `?` for each gap, and how reading ended.
fn bytes_of(file: &[u8]) -> (Vec<Vec<u8>>, Result<u64, CaptureError>) {
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut streams = Streams::new();
    let result = follow(file, &mut streams, |_, event| {
        let (Event::Data { stream, .. } | Event::Lost { stream, .. }) = event;
        found.resize_with(found.len().max(stream + 1), Vec::new);
        match event {
            Event::Data { bytes, .. } => found[stream].extend_from_slice(bytes),
            Event::Lost { .. } => found[stream].push(b'?'),
        }
    });
    (found, result)
}

#[test]
fn segments_are_put_in_order_and_counted_once() {
    let file = pcap(
        1,
        &ETHERNET,
        &[
            Sent(true, 999, SYN, b""),
            Sent(false, 4_294_967_294, SYN | ACK, b""),
            Sent(true, 1003, ACK, b"defg"),
            Sent(true, 1000, ACK, b"abc"),
            Sent(true, 1000, ACK, b"abcde"),
            Sent(false, 4_294_967_295, ACK, b"xy"),
            Sent(false, 1, ACK, b"z"),
            Sent(true, 1006, ACK, b"ghi"),
        ],
    );
    let (found, result) = bytes_of(&file);
    assert_eq!(found, [b"abcdefghi".to_vec(), b"xyz".to_vec()]);
    assert_eq!(result.expect("whole"), 8);
}

#[test]
fn what_is_missing_is_told() {
    let sent = [Sent(true, 9, SYN, b""), Sent(true, 10, ACK, b"ab"), Sent(true, 15, ACK, b"fg")];
    assert_eq!(bytes_of(&pcap(1, &ETHERNET, &sent)).0, [b"ab?fg".to_vec()]);
}

#[test]
fn every_link_type_is_read() {
    let sent = [Sent(true, 9, SYN, b""), Sent(true, 10, ACK, b"hello")];
    let tagged = [&ETHERNET[..12], &[0x81, 0, 0, 5, 8, 0]].concat();
    let cooked = [&[0; 14][..], &[8, 0]].concat();
    let cooked_2 = [&[8, 0][..], &[0; 18]].concat();
    for (link, header) in
        [(1, &ETHERNET[..]), (1, &tagged), (113, &cooked), (276, &cooked_2), (0, &[2, 0, 0, 0]), (101, &[]), (228, &[])]
    {
        assert_eq!(bytes_of(&pcap(link, header, &sent)).0, [b"hello".to_vec()], "link type {link}");
    }
}

#[test]
fn a_capture_cut_anywhere_or_damaged_anywhere_gives_what_is_whole() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/java-writeutf.pcapng");
    let files = [
        fs::read(&path).expect("a capture"),
        pcap(1, &ETHERNET, &[Sent(true, 9, SYN, b""), Sent(true, 10, ACK, b"hello")]),
    ];
    for file in files {
        let whole = bytes_of(&file).0.concat().len();
        for cut in 0..file.len() {
            let (found, result) = bytes_of(&file[..cut]);
            assert!(found.concat().len() <= whole);
            if let Err(error) = result {
                assert!(!error.to_string().is_empty());
            }
        }
        for at in (0..file.len()).step_by(3) {
            for value in [0, 0xff, 0x7f] {
                let mut damaged = file.clone();
                damaged[at] = value;
                let _ = bytes_of(&damaged);
            }
        }
    }
}

#[test]
fn a_lying_length_is_told_with_its_place() {
    let mut file = pcap(1, &ETHERNET, &[Sent(true, 9, SYN, b"")]);
    file[32..36].copy_from_slice(&0xffff_ff00u32.to_le_bytes());
    let error = bytes_of(&file).1.expect_err("no packet has 4 GiB");
    assert_eq!(
        error.to_string(),
        "packet 1, at byte 24: it claims 4294967040 bytes, more than any packet has; the file is damaged there"
    );
}

/// What a dissector says, in short.
fn told(file: &[u8], notation: &str) -> Vec<String> {
    let mut dissector = Dissector::new(notation.parse().expect("a notation"));
    let (mut streams, mut said) = (Streams::new(), Vec::new());
    let mut say = |told: Told<'_>| {
        said.push(match told {
            Told::Message(message) => {
                let marks =
                    (if message.shares { "shares " } else { "" }, if message.resumed { "resumed " } else { "" });
                format!("{:?} {}{}{}", message.packets, marks.0, marks.1, message.frame.data().escape_ascii())
            }
            Told::Lost { bytes, .. } => format!("lost {bytes}"),
            Told::Broken { error, .. } => format!("broken at {}", error.offset),
            Told::Dropped { bytes, .. } => format!("dropped {bytes}"),
            Told::Unfinished { error, .. } => format!("unfinished at {}", error.offset),
        });
    };
    let _ = follow(file, &mut streams, |flows: &[Flow], event| {
        let (Event::Data { stream, .. } | Event::Lost { stream, .. }) = event;
        dissector.take(event, flows[stream].whole, &mut say);
    });
    dissector.finish(&mut say);
    said
}

#[test]
fn messages_know_their_packets() {
    let sent = [
        Sent(true, 9, SYN, b""),
        Sent(true, 10, ACK, b"one\ntwo\nthr"),
        Sent(true, 21, ACK, b"ee\n"),
        Sent(true, 24, ACK, b"four\n"),
        Sent(true, 29, ACK, b"fi"),
    ];
    let said = told(&pcap(1, &ETHERNET, &sent), "lines");
    assert_eq!(said, ["[2] shares one", "[2] shares two", "[2, 3] shares three", "[4] four", "unfinished at 19"]);
}

#[test]
fn behind_a_gap_messages_are_found_where_packets_begin() {
    let sent = [
        Sent(true, 9, SYN, b""),
        Sent(true, 10, ACK, b"\0\x03abc"),
        Sent(true, 25, ACK, b"xxxxxxxxxxxx"),
        Sent(true, 37, ACK, b"\0\x02de"),
        Sent(true, 41, ACK, b"\0\x01f"),
    ];
    let said = told(&pcap(1, &ETHERNET, &sent), "00 len:u8 data[len]");
    assert_eq!(said, ["[2] abc", "lost 10", "[4] resumed de", "[5] f"]);
}

#[test]
fn bytes_of_another_framing_are_told() {
    let sent = [Sent(true, 9, SYN, b""), Sent(true, 10, ACK, b"GET / HTTP/1.1\r\n")];
    assert_eq!(told(&pcap(1, &ETHERNET, &sent), "u32be"), ["broken at 0"]);
}
