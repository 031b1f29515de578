//! Hostile uploads, and uploads that are none.

use std::fs;
use std::io::Write as _;
use std::net::Shutdown;
use std::path::Path;
use std::time::Duration;

use unglue_lab::LabError;
use unglue_lab::coding::Coding;
use unglue_lab::dialects::Dialect;
use unglue_lab::dialects::header::Uploader;

use crate::served::{PATIENCE, Served, is_closed};
use crate::site::within;

/// A header and what follows it, as they go on the wire.
fn wire(header: &str, body: &[u8]) -> Vec<u8> {
    [&(header.len() as i32).to_ne_bytes(), header.as_bytes(), body].concat()
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    let mut names: Vec<String> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A server with an empty directory for uploads, beside one that nothing may be written to.
fn served(patience: Duration) -> (tempfile::TempDir, Served) {
    let directory = tempfile::tempdir().expect("a directory");
    let served = Served::start(Dialect::Header, &directory.path().join("in"), patience);
    (directory, served)
}

/// What the server says of these bytes; it has closed the connection, and nothing is stored.
#[track_caller]
fn refused(bytes: &[u8], words: &str) {
    let (directory, served) = served(PATIENCE);
    let mut client = served.hears(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let line = served.tells("closed: ");
    assert!(line.contains(words), "{words:?} is missing: {line}");
    assert!(is_closed(&mut client));
    assert_eq!(names_in(&directory.path().join("in")), Vec::<String>::new());
    // Others are served.
    let put = served.hears(&wire(r#"{"cmd":"put","filename":"a.txt","filesize":5}"#, b"hello"));
    served.tells("Stored { name: \"a.txt\", bytes: 5 }");
    drop(put);
    assert_eq!(fs::read(directory.path().join("in/a.txt")).expect("it is stored"), b"hello");
    assert_eq!(names_in(directory.path()), ["in"]);
}

#[test]
fn lengths_that_are_none() {
    within(60, || {
        refused(&(-1_i32).to_ne_bytes(), "the peer sent -1 as a header's length");
        refused(&0_i32.to_ne_bytes(), "the peer sent 0 as a header's length, where 1 to 65536 are allowed");
        refused(&65_537_i32.to_ne_bytes(), "the peer sent 65537 as a header's length");
        refused(b"GET / HTTP/1.1\r\n\r\n", "is the peer speaking HTTP?");
        refused(
            &45_u32.to_ne_bytes().map(|byte| byte).iter().rev().copied().collect::<Vec<_>>(),
            "in the other byte order it is 45",
        );
        refused(&[1, 0], "after 2 of 4 bytes of a header's length");
    });
}

#[test]
fn headers_that_are_none() {
    within(60, || {
        refused(&wire("hello", b""), "a header that is no JSON");
        refused(&wire("[1,2]", b""), "the peer sent `[1,2]` as a header");
        refused(&wire("\"put\"", b""), "as a header");
        refused(&wire(&"[".repeat(60_000), b""), "a header that is no JSON");
        refused(&[&100_i32.to_ne_bytes()[..], b"{\"cmd\""].concat(), "after 6 of 100 bytes of a header");
        refused(&wire("{\"cmd\":\"\u{fffd}", b""), "a header that is no JSON");
    });
}

#[test]
fn commands_that_are_none() {
    within(60, || {
        refused(&wire("{}", b""), "a header without cmd");
        refused(&wire(r#"{"cmd":7}"#, b""), "`7` as cmd in a header");
        for name in ["run", "__init__", "server_close", "PUT", "", "put "] {
            let header = format!(r#"{{"cmd":"{name}","filename":"a","filesize":1}}"#);
            refused(&wire(&header, b"x"), &format!("the command `{name}`; this server has: put"));
        }
    });
}

#[test]
fn fields_that_are_missing_or_wrong() {
    within(60, || {
        refused(&wire(r#"{"cmd":"put","filesize":1}"#, b"x"), "a header without filename");
        refused(&wire(r#"{"cmd":"put","filename":"a"}"#, b"x"), "a header without filesize");
        refused(&wire(r#"{"cmd":"put","filename":5,"filesize":1}"#, b"x"), "`5` as filename");
        for size in ["-1", "1.5", "\"5\"", "true", "null", "1e3", "18446744073709551616", "[]"] {
            let header = format!(r#"{{"cmd":"put","filename":"a","filesize":{size}}}"#);
            refused(&wire(&header, b"x"), "as filesize in a header");
        }
        refused(&wire(r#"{"file_name":"a","file_size":1,"md5":"xyz"}"#, b"x"), "`xyz` as md5 in a header");
        refused(&wire(r#"{"file_name":"a","file_size":1,"md5":5}"#, b"x"), "`5` as md5 in a header");
    });
}

#[test]
fn names_that_no_file_can_have() {
    within(60, || {
        for name in ["", "..", ".", "/", "a/", "../..", "a\\u0000b"] {
            let header = format!(r#"{{"cmd":"put","filename":"{name}","filesize":1}}"#);
            refused(&wire(&header, b"x"), "its last part must be the name of a file");
        }
        let header = format!(r#"{{"cmd":"put","filename":"{}","filesize":1}}"#, "x".repeat(256));
        refused(&wire(&header, b"x"), "of at most 255 bytes");
    });
}

#[test]
fn a_path_leads_nowhere_but_into_the_directory() {
    within(60, || {
        let (directory, served) = served(PATIENCE);
        for (name, stored) in
            [("../../etc/passwd", "passwd"), ("/etc/shadow", "shadow"), ("..\\\\..\\\\boot.ini", "boot.ini")]
        {
            let header = format!(r#"{{"cmd":"put","filename":"{name}","filesize":1}}"#);
            let _client = served.hears(&wire(&header, b"x"));
            served.tells(&format!("Stored {{ name: \"{stored}\""));
        }
        assert_eq!(names_in(&directory.path().join("in")), ["boot.ini", "passwd", "shadow"]);
        assert_eq!(names_in(directory.path()), ["in"]);
    });
}

#[test]
fn a_link_under_the_name_is_replaced_and_not_followed() {
    within(60, || {
        let (directory, served) = served(PATIENCE);
        let (inside, outside) = (directory.path().join("in"), directory.path().join("outside"));
        fs::create_dir(&inside).expect("a directory");
        fs::write(&outside, "untouched").expect("a file");
        std::os::unix::fs::symlink(&outside, inside.join("a")).expect("a link");
        let _client = served.hears(&wire(r#"{"cmd":"put","filename":"a","filesize":1}"#, b"x"));
        served.tells("Stored");
        assert_eq!(fs::read(&outside).expect("it is there"), b"untouched");
        assert_eq!(fs::read(inside.join("a")).expect("it is stored"), b"x");
    });
}

#[test]
fn a_cut_upload_leaves_nothing_and_the_old_file_stands() {
    within(60, || {
        let (directory, served) = served(PATIENCE);
        let inside = directory.path().join("in");
        fs::create_dir(&inside).expect("a directory");
        fs::write(inside.join("a"), "old").expect("a file");
        let cut = served.hears(&wire(r#"{"cmd":"put","filename":"a","filesize":1073741824000}"#, &[7; 100_000]));
        drop(cut);
        served.tells("closed: the peer closed the connection after 100000 of 1073741824000 bytes of the file `a`");
        assert_eq!(fs::read(inside.join("a")).expect("it is there"), b"old");
        assert_eq!(names_in(&inside), ["a"]);
    });
}

#[test]
fn a_stalled_upload_is_given_up() {
    within(60, || {
        let (directory, served) = served(Duration::from_millis(300));
        let mut stalled = served.hears(&wire(r#"{"cmd":"put","filename":"a","filesize":10}"#, b"hel"));
        served.tells("closed: timed out after 0.3 s waiting for the file `a`");
        assert!(is_closed(&mut stalled));
        assert_eq!(names_in(&directory.path().join("in")), Vec::<String>::new());
    });
}

#[test]
fn the_md5_is_compared() {
    within(60, || {
        refused(
            &wire(
                r#"{"file_size":5,"file_name":"/a/b/c/d/e/a.txt","md5":"00000000000000000000000000000000"}"#,
                b"hello",
            ),
            "with the md5 5d41402abc4b2a76b9719d911017c592, and announced 0000",
        );
        let (directory, served) = served(PATIENCE);
        let header = r#"{"file_size":5,"file_name":"/a/b/c/d/e/a.txt","md5":"5D41402ABC4B2A76B9719D911017C592"}"#;
        let _client = served.hears(&wire(header, b"hello"));
        served.tells("Stored { name: \"a.txt\"");
        assert_eq!(names_in(&directory.path().join("in")), ["a.txt"]);
    });
}

#[test]
fn every_cut_of_two_uploads_stores_none_one_or_both() {
    within(100, || {
        let (directory, served) = served(PATIENCE);
        let inside = directory.path().join("in");
        let first = wire(r#"{"cmd":"put","filename":"a","filesize":3}"#, b"one");
        let both = [first.clone(), wire(r#"{"cmd":"put","filename":"b","filesize":3}"#, b"two")].concat();
        for cut in 0..=both.len() {
            drop(served.hears(&both[..cut]));
            let ended = loop {
                let line = served.tells("");
                if line == "left" || line.starts_with("closed: ") {
                    break line;
                }
            };
            let whole = cut == 0 || cut == first.len() || cut == both.len();
            assert_eq!(ended == "left", whole, "cut at {cut}: {ended}");
            let stored = [("a", first.len()), ("b", both.len())].into_iter().filter(|(_, end)| cut >= *end);
            assert_eq!(names_in(&inside), stored.map(|(name, _)| name).collect::<Vec<_>>(), "cut at {cut}");
            let _ = fs::remove_dir_all(&inside);
        }
    });
}

#[test]
fn uploads_byte_by_byte_are_the_same() {
    within(60, || {
        let (directory, served) = served(PATIENCE);
        let mut client = served.hears(b"");
        client.set_nodelay(true).expect("it is set");
        for byte in wire(r#"{"cmd":"put","filename":"文件 1.txt","filesize":5}"#, b"hello") {
            client.write_all(&[byte]).expect("it is sent");
        }
        served.tells("Stored { name: \"文件 1.txt\", bytes: 5 }");
        assert_eq!(fs::read(directory.path().join("in/文件 1.txt")).expect("it is stored"), b"hello");
    });
}

#[test]
fn a_directory_under_the_name_is_told() {
    within(60, || {
        let (directory, served) = served(PATIENCE);
        fs::create_dir_all(directory.path().join("in/a")).expect("a directory");
        let mut client = served.hears(&wire(r#"{"cmd":"put","filename":"a","filesize":1}"#, b"x"));
        served.tells("closed: ");
        assert!(is_closed(&mut client));
        assert_eq!(names_in(&directory.path().join("in")), ["a"]);
    });
}

#[test]
fn the_uploader_hears_of_a_server_that_closes() {
    within(60, || {
        let (directory, served) = served(PATIENCE);
        fs::create_dir_all(directory.path().join("in/a")).expect("a directory");
        let file = directory.path().join("a");
        fs::write(&file, "x").expect("a file");
        let mut uploader = Uploader::connect(served.address, PATIENCE, Coding::Utf8).expect("it listens");
        uploader.put(&file, &mut |_, _| {}).expect("the kernel takes it");
        served.tells("closed: ");
        let error = uploader.leave().expect_err("it was closed").to_string();
        assert!(error.starts_with("the server closed the connection"), "{error}");
    });
}

#[test]
fn what_is_no_file_is_not_sent_and_the_next_one_is() {
    within(60, || {
        let (directory, served) = served(PATIENCE);
        let mut uploader = Uploader::connect(served.address, PATIENCE, Coding::Utf8).expect("it listens");
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .expect("a FIFO");
        for wrong in [directory.path().join("none"), directory.path().to_owned(), "/dev/null".into(), fifo] {
            let error = uploader.put(&wrong, &mut |_, _| {}).expect_err("no file");
            assert!(matches!(error, LabError::File { .. }), "{error}");
        }
        let file = directory.path().join("a");
        fs::write(&file, vec![3; 1_000_000]).expect("a file");
        let mut last = (0, 0);
        uploader.put(&file, &mut |sent, of| last = (sent, of)).expect("it is sent");
        assert_eq!(last, (1_000_000, 1_000_000));
        uploader.leave().expect("the server has read it");
        served.tells("Stored { name: \"a\", bytes: 1000000 }");
        assert_eq!(fs::read(directory.path().join("in/a")).expect("it is stored"), vec![3; 1_000_000]);
    });
}

#[test]
fn after_a_broken_upload_nothing_else_is_sent() {
    within(60, || {
        let (directory, served) = served(PATIENCE);
        let mut uploader = Uploader::connect(served.address, PATIENCE, Coding::Utf8).expect("it listens");
        let file = directory.path().join("shrinks");
        fs::write(&file, vec![7; 3_000_000]).expect("a file");
        let shrinks = file.clone();
        let mut shrink = move |sent: u64, _: u64| {
            if sent > 0 {
                fs::File::options().write(true).open(&shrinks).and_then(|file| file.set_len(100)).expect("it shrinks");
            }
        };
        let error = uploader.put(&file, &mut shrink).expect_err("it shrank").to_string();
        assert!(error.contains("it had 3000000 bytes and now has"), "{error}");
        fs::write(&file, vec![8; 3_000_000]).expect("a file");
        let error = uploader.put(&file, &mut |_, _| {}).expect_err("the connection is gone").to_string();
        assert!(error.contains("the connection was broken off; connect again"), "{error}");
        served.tells("closed: ");
        assert_eq!(names_in(&directory.path().join("in")), Vec::<String>::new());
    });
}

#[test]
fn an_answer_where_there_is_none_is_told() {
    within(60, || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            std::io::copy(&mut stream, &mut std::io::sink())?;
            stream.write_all(b"ERROR 500 disk full")
        });
        let mut uploader = Uploader::connect(address, PATIENCE, Coding::Utf8).expect("it listens");
        uploader.put(Path::new("/etc/hostname"), &mut |_, _| {}).expect("it is sent");
        let error = uploader.leave().expect_err("an answer").to_string();
        assert!(error.contains("the peer sent an answer; this dialect has none"), "{error}");
    });
}

#[test]
fn a_header_that_comes_a_byte_at_a_time_has_its_time_as_a_whole() {
    within(60, || {
        let (_directory, served) = served(Duration::from_millis(500));
        let mut slow = served.hears(&100_i32.to_ne_bytes());
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(10) && slow.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        served.tells("closed: timed out after 0.5 s waiting for a header");
    });
}
