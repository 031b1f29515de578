//! Pictures of what is kept of an output.

use std::fs;

use tempfile::TempDir;

use super::*;

/// A job's directory as a keeper leaves it: the sizes, and what was printed.
fn job(sizes: &[(u64, u16, u16)], output: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut list = Vec::new();
    for (at, rows, columns) in sizes {
        list.extend(at.to_le_bytes());
        list.extend(rows.to_le_bytes());
        list.extend(columns.to_le_bytes());
    }
    fs::write(directory.path().join("sizes"), list).expect("written");
    fs::write(directory.path().join("stdout"), output).expect("written");
    directory
}

const SIZE: TerminalSize = TerminalSize { rows: 6, columns: 30 };

fn drawn(directory: &TempDir, upto: u64) -> (Vec<u8>, u64) {
    let (mut emulator, from) = draw(directory.path(), upto, true).expect("it is drawn");
    (emulator.picture(SIZE), from)
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| format!("line {number} \x1b[3{}mof many\x1b[m\r\n", number % 8).into_bytes()).collect()
}

#[test]
fn a_picture_of_the_rest_is_that_of_the_whole() {
    let mut output = b"\x1b]2;title\x07\x1b[?2004h\x1b[?1049h".to_vec();
    output.extend(lines(3000));
    let directory = job(&[(0, 6, 30)], &output);
    let whole = drawn(&directory, output.len() as u64);
    for before in [0, 1, 17, 4099, output.len() as u64 / 2, output.len() as u64 - 3] {
        let (mut emulator, before) = draw(directory.path(), before, false).expect("it is drawn");
        let trimmed = Trimmed { before, size: emulator.size(), state: emulator.state() };
        trimmed.write(directory.path()).expect("written");
        let mut rest = output.clone();
        rest[..before as usize].fill(0);
        fs::write(directory.path().join("stdout"), &rest).expect("written");
        assert_eq!(drawn(&directory, output.len() as u64), whole, "before {before}");
    }
}

#[test]
fn each_part_is_laid_out_for_its_own_size() {
    let output = b"123456789012345678901234567890\r\nx";
    let narrow = job(&[(0, 6, 10)], output);
    let widened = job(&[(0, 6, 30), (output.len() as u64, 6, 10)], output);
    let wide = job(&[(0, 6, 30)], output);
    let drawn = [&narrow, &widened, &wide].map(|directory| draw(directory.path(), output.len() as u64, true));
    let [mut narrow, mut widened, mut wide] = drawn.map(|drawn| drawn.expect("it is drawn").0);
    assert_eq!(narrow.size(), widened.size());
    let lines =
        |emulator: &mut Emulator| String::from_utf8_lossy(&emulator.picture(SIZE)).matches("1234567890\r\n").count();
    // One of its three lines may have scrolled out.
    assert!(
        lines(&mut narrow) >= 1 && lines(&mut widened) >= 1,
        "a line is laid out anew when the terminal becomes narrow"
    );
    assert_ne!(widened.picture(SIZE), wide.picture(SIZE));
}

#[test]
fn a_picture_ends_outside_of_sequences_and_the_output_follows() {
    let output = b"plain \x1b[31mred\xe2\x82\xac\x1b]52;c;aGVsbG8=\x07end";
    let directory = job(&[(0, 6, 30)], output);
    for upto in 0..=output.len() as u64 {
        let (_, from) = drawn(&directory, upto);
        assert!(from <= upto);
        let mut modes = modes::Modes::default();
        assert_eq!(modes.read(&output[..from as usize]).unwrap_or(0), from as usize, "up to {upto}");
    }
    let (picture, _) = drawn(&directory, output.len() as u64);
    assert!(!picture.windows(3).any(|bytes| bytes == b"]52"), "the clipboard is left alone");
}

#[tokio::test]
async fn what_is_dropped_leaves_the_disk_and_its_state_stays() {
    let output = lines(20_000);
    let directory = job(&[(0, 6, 30)], &output);
    let before = drawn(&directory, output.len() as u64);
    let trimmed = note_state(directory.path().to_owned(), 300_000).await.expect("noted");
    assert!((299_900..=300_000).contains(&trimmed.before), "{}", trimmed.before);
    trimmed.drop_older(directory.path()).expect("dropped");
    let picture = picture(directory.path().to_owned(), SIZE, false).await.expect("a picture");
    let end = |bytes: &[u8]| bytes[bytes.len() - 200..].to_vec();
    assert_eq!((end(&picture.bytes), picture.from), (end(&before.0), before.1));
}
