//! Files over the wire (P7, P9): whole or not at all, under their own names, and nothing outside the root.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use unglue::{Client, Code, Download, Fault, Moved, TransferOptions, Upload};
use unglue_testkit::Prng;
use unglue_testkit::relay::Relay;

use crate::site::{Site, eventually, names, soon, within};

/// Runs a test on a client of a server of its own.
fn with_client(test: impl AsyncFnOnce(&Site, &Client) + Send + 'static) {
    within(60, async move || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        test(&site, &client).await;
    });
}

async fn put(site: &Site, client: &Client, from: impl AsRef<Path>, to: impl AsRef<OsStr>) -> Result<u64, Fault> {
    let local = site.local_store();
    let put = client.put(Upload::file(&local, from), to, TransferOptions::default());
    Ok(soon(20, "the put", put).await?.bytes)
}

async fn get(site: &Site, client: &Client, from: impl AsRef<OsStr>, to: impl AsRef<Path>) -> Result<u64, Fault> {
    let local = site.local_store();
    let get = client.get(from, Download::file(&local, to), TransferOptions::default());
    Ok(soon(20, "the get", get).await?.bytes)
}

#[test]
fn files_of_all_sizes_go_both_ways_through_any_cuts() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 3).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let mut random = Prng::new(9);
        for size in [0, 1, 4095, 65_536, 262_145, 3_000_000] {
            let content = random.bytes(size);
            fs::write(site.local().join("there"), &content).expect("a source");
            assert_eq!(put(&site, &client, "there", "file").await, Ok(size as u64));
            assert!(fs::read(site.root().join("file")).expect("it is there") == content, "{size}");
            assert_eq!(get(&site, &client, "file", "back").await, Ok(size as u64));
            assert!(fs::read(site.local().join("back")).expect("it is there") == content, "{size}");
        }
        assert_eq!(names(&site.root()), ["file"]);
        assert_eq!(names(&site.local()), ["back", "there"]);
    });
}

#[test]
fn names_of_any_bytes_go_both_ways() {
    with_client(async |site, client| {
        let every = (1..=255).filter(|&byte| byte != b'/').collect::<Vec<u8>>();
        let (front, back) = every.split_at(127);
        for name in [b"a b'\"`$(x)\\;*".as_slice(), b"-rf", b"line\nbreak", b" ", b"~", b"a:b", b"%s", front, back] {
            let name = OsStr::from_bytes(name);
            fs::write(site.local().join(name), name.as_bytes()).expect("a source");
            put(site, client, name, name).await.unwrap_or_else(|fault| panic!("{name:?}: {fault}"));
            assert_eq!(fs::read(site.root().join(name)).expect("it is there"), name.as_bytes());
            fs::remove_file(site.local().join(name)).expect("it was there");
            get(site, client, name, name).await.unwrap_or_else(|fault| panic!("{name:?}: {fault}"));
            assert_eq!(fs::read(site.local().join(name)).expect("it is back"), name.as_bytes());
        }
        assert_eq!(names(&site.root()), names(&site.local()));
    });
}

#[test]
fn a_directory_as_destination_keeps_the_name_and_modes_survive() {
    with_client(async |site, client| {
        fs::create_dir(site.root().join("dir")).expect("a directory");
        fs::write(site.local().join("tool"), "#!/bin/sh\n").expect("a source");
        fs::set_permissions(site.local().join("tool"), PermissionsExt::from_mode(0o750)).expect("a mode");
        put(site, client, "tool", "dir").await.expect("it goes there");
        let mode = fs::metadata(site.root().join("dir/tool")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o750);
        get(site, client, "dir/tool", ".").await.expect("it comes back");
    });
}

/// The server's faults name the path, and nothing is written outside the root.
#[test]
fn what_leads_out_of_the_root_is_refused_with_its_path() {
    with_client(async |site, client| {
        let (root, outside) = (site.root(), site.path("outside"));
        fs::create_dir(&outside).expect("a directory");
        fs::write(outside.join("secret"), "secret").expect("a file");
        fs::write(site.local().join("file"), "new").expect("a source");
        symlink(&outside, root.join("way-out")).expect("a link");
        symlink(outside.join("secret"), root.join("link")).expect("a link");
        symlink("../outside/secret", root.join("relative")).expect("a link");
        let absolute = outside.join("secret").into_os_string();
        let paths = ["../outside/secret", "way-out/secret", "link", "relative", "x/../../outside/secret"];
        for path in paths.iter().map(OsString::from).chain([absolute]) {
            for result in [put(site, client, "file", &path).await, get(site, client, &path, "got").await] {
                let fault = result.expect_err("it must be refused");
                let named = fault.path.as_ref().map(|path| OsString::from(path.clone()));
                assert_eq!(named.as_ref(), Some(&path), "{fault:?}");
                assert!(matches!(fault.code, Code::PathRefused | Code::System), "{fault:?}");
            }
        }
        assert_eq!(fs::read(outside.join("secret")).expect("it is there"), b"secret");
        assert_eq!(names(&outside), ["secret"]);
        assert_eq!(names(&site.local()), ["file"]);
    });
}

#[test]
fn what_is_no_regular_file_is_refused() {
    with_client(async |site, client| {
        let pipe = site.root().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
        fs::create_dir(site.root().join("dir")).expect("a directory");
        fs::write(site.local().join("file"), "new").expect("a source");
        for path in ["pipe", "dir"] {
            let fault = get(site, client, path, "got").await.expect_err("it must be refused");
            assert_eq!(fault.path, Some(path.into()), "{fault:?}");
        }
        let fault = put(site, client, "file", "pipe").await.expect_err("it must be refused");
        assert_eq!(fault.path, Some("pipe".into()), "{fault:?}");
        assert_eq!(names(&site.root()), ["dir", "pipe"]);

        let fault = get(site, client, "nowhere", "got").await.expect_err("it is not there");
        assert_eq!((fault.code, fault.errno.as_deref()), (Code::System, Some("ENOENT")), "{fault:?}");
        let fault = put(site, client, "file", "nowhere/file").await.expect_err("there is no directory");
        assert_eq!((fault.code, fault.errno.as_deref()), (Code::System, Some("ENOENT")), "{fault:?}");
    });
}

/// Half of the file is under way when somebody changes it: by then a progress report has come.
#[test]
fn a_source_that_changes_half_way_is_an_error_at_both_ends() {
    with_client(async |site, client| {
        let content = Prng::new(1).bytes(4 << 20);
        // More than can be under way before the first report.
        const SIZE: u64 = 64 << 20;
        for change in ["grow", "shrink", "rewrite"] {
            for upload in [true, false] {
                let (from, to) = if upload { (site.local(), site.root()) } else { (site.root(), site.local()) };
                let source = from.join("source");
                fs::write(&source, &content).expect("a source");
                fs::File::options().write(true).open(&source).and_then(|file| file.set_len(SIZE)).expect("larger");
                fs::write(to.join("target"), "old").expect("an old file");
                let mut done = false;
                let progress = move |moved: Moved| {
                    if !std::mem::replace(&mut done, moved.bytes > 0) && moved.bytes > 0 {
                        alter(&source, change);
                    }
                };
                let options = TransferOptions::default().progress(Some(Box::new(progress)));
                let local = site.local_store();
                let result = match upload {
                    true => client.put(Upload::file(&local, "source"), "target", options).await,
                    false => client.get("source", Download::file(&local, "target"), options).await,
                };
                let fault = result.expect_err("it changed");
                assert_eq!(fault.code, Code::SourceChanged, "{change}, upload {upload}: {fault}");
                assert_eq!(fs::read(to.join("target")).expect("it is there"), b"old", "{change}, upload {upload}");
                // The client that failed doesn't wait for the server to clean up.
                eventually(5, "the temporary file's end", || names(&to) == ["target"]).await;
                fs::remove_file(from.join("source")).expect("it is there");
                fs::remove_file(to.join("target")).expect("it is there");
            }
        }
    });
}

fn alter(source: &Path, change: &str) {
    let file = fs::File::options().write(true).open(source).expect("it opens");
    match change {
        "grow" => file.set_len(65 << 20).expect("it grows"),
        "shrink" => file.set_len(1 << 20).expect("it shrinks"),
        _ => {
            std::os::unix::fs::FileExt::write_all_at(&file, b"changed", 60 << 20).expect("it is written");
            // On some systems two writes within some milliseconds have the same time.
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("a time");
        }
    }
}

#[test]
fn the_longest_name_arrives_and_a_longer_one_is_refused() {
    with_client(async |site, client| {
        let name = OsString::from_vec(vec![b'n'; 255]);
        fs::write(site.local().join("file"), "long").expect("a source");
        put(site, client, "file", &name).await.expect("255 bytes are a name");
        let longer = OsString::from_vec(vec![b'n'; 256]);
        // Whether the server refuses before it was sent everything, or behind it, is a race that changes nothing.
        for _ in 0..100 {
            let fault = put(site, client, "file", &longer).await.expect_err("256 bytes are none");
            assert_eq!(fault.errno.as_deref(), Some("ENAMETOOLONG"), "{fault:?}");
        }
        assert_eq!(names(&site.root()).len(), 1);
    });
}

/// A key that may only move files must not become one that may do more.
#[test]
fn a_server_for_files_alone_keeps_its_own_files_to_itself() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve_with(|options| (options.exec, options.root) = (false, None));
        let client = site.connect(serving.address()).await;
        fs::hard_link(site.path("authorized_keys"), site.root().join("hard")).expect("a link");
        symlink(site.path("state"), site.root().join("state")).expect("a link");
        let before = fs::read(site.path("authorized_keys")).expect("the keys");
        for path in ["authorized_keys", "root/hard", "root/../authorized_keys", "state/x", "root/state/x", "host_key"] {
            for in_place in [false, true] {
                let options = TransferOptions::default().in_place(in_place);
                let put = client.put(Upload::bytes("mine"), site.path(path), options);
                let fault = soon(20, "the put", put).await.expect_err("it is the server's");
                assert_eq!(fault.code, Code::PathRefused, "{path}: {fault}");
            }
        }
        let mut bytes = Vec::new();
        let get = client.get(site.path("host_key"), Download::writer(&mut bytes), TransferOptions::default());
        let fault = soon(20, "the get", get).await.expect_err("it is a secret");
        assert!(fault.code == Code::PathRefused && bytes.is_empty(), "{fault}");
        assert_eq!(fs::read(site.path("authorized_keys")).expect("the keys"), before);
        client.put(Upload::bytes("x"), site.path("root/free"), TransferOptions::default()).await.expect("it is free");
    });
}

/// Readers, writers and bytes in memory go as files do.
#[test]
fn readers_and_writers_are_ends_too() {
    with_client(async |site, client| {
        let content = Prng::new(5).bytes(3_000_000);
        let options = TransferOptions::default;
        fs::create_dir(site.root().join("dir")).expect("a directory");
        let upload = Upload::reader(&content[..]).size(content.len() as u64).named("name").mode(0o600);
        let put = client.put(upload, "dir", options()).await.expect("it goes there");
        assert_eq!(put.bytes, content.len() as u64);
        let there = site.root().join("dir/name");
        assert!(fs::read(&there).expect("it is there") == content);
        assert_eq!(fs::metadata(&there).expect("it is there").permissions().mode() & 0o7777, 0o600);

        let mut bytes = Vec::new();
        let got = client.get("dir/name", Download::writer(&mut bytes), options()).await.expect("it comes back");
        assert_eq!((got, bytes == content), (put, true));

        // A reader that breaks its word is an error, and the old file stays.
        for size in [content.len() as u64 - 1, content.len() as u64 + 1] {
            let upload = Upload::reader(&content[..]).size(size);
            let fault = client.put(upload, "dir/name", options()).await.expect_err("another size");
            assert_eq!(fault.code, Code::SourceChanged, "{fault}");
        }
        assert!(fs::read(&there).expect("it is there") == content);
        eventually(5, "the temporary file's end", || names(&site.root().join("dir")) == ["name"]).await;
        // The size of what the kernel makes up isn't known before.
        symlink("/proc/self/status", site.local().join("status")).expect("a link");
        let store = unglue::Store::home(&site.local()).expect("a store");
        client.put(Upload::file(&store, "status"), "status", options()).await.expect("it goes there");
        assert!(fs::metadata(site.root().join("status")).expect("it is there").len() > 100);
    });
}
