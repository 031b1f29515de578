//! Trees that others change while they are copied. `UNGLUE_FLIPS=100000` is the long form.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;
use unglue_host::store::Store;
use unglue_host::store::tree::TreeEvent;
use unglue_proto::Fault;
use unglue_proto::message::tree::{Layout, TreeOptions};

use super::tree_ends::pump;

fn flips() -> u64 {
    std::env::var("UNGLUE_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(3000)
}

struct Scene {
    directory: TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Scene {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["from/d", "to", "outside"] {
            fs::create_dir_all(directory.path().join(name)).expect("made");
        }
        let store = Store::home(directory.path()).expect("a store");
        Scene { directory, store }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Copies `from/` into `to/site`, and gives what was reported.
    fn sync(&self, options: &TreeOptions) -> Result<Vec<String>, Fault> {
        let mut source = self.store.tree_source(&["from/.".into()], options.clone())?;
        let mut sink = self.store.tree_sink(Path::new("to/site"), &Layout::Into, options.clone())?;
        pump(&mut source, &mut sink)?;
        let events = source.events().into_iter().chain(sink.events());
        Ok(events
            .filter_map(|event| match event {
                TreeEvent::Problem(fault) => Some(fault.to_string()),
                _ => None,
            })
            .collect())
    }
}

/// Runs `work` again and again while another thread runs `change`, until that has been done so many times and `work` came through
/// once, as it says.
fn meanwhile(change: impl Fn(u64) + Send + 'static, mut work: impl FnMut() -> bool) {
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, stopped) = (count.clone(), stop.clone());
    let changing = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            change(counted.fetch_add(1, Ordering::Relaxed));
        }
    });
    let mut came_through = false;
    while count.load(Ordering::Relaxed) < flips() || !came_through {
        came_through |= work();
    }
    stop.store(true, Ordering::Relaxed);
    changing.join().expect("no panic");
}

fn options() -> TreeOptions {
    TreeOptions { recursive: true, times: true, ..TreeOptions::default() }
}

/// A directory and a file of the source become links to what lies outside, and back.
#[test]
fn nothing_outside_of_the_source_is_read() {
    let scene = Scene::new();
    fs::write(scene.at("outside/f"), "secret").expect("written");
    fs::write(scene.at("from/d/f"), "public").expect("written");
    fs::write(scene.at("from/f"), "public").expect("written");
    let top = scene.directory.path().to_owned();
    let flip = move |_| {
        let at = |name: &str| top.join(name);
        let _ = fs::rename(at("from/d"), at("from/e")).and_then(|()| symlink(at("outside"), at("from/d")));
        let _ = fs::remove_file(at("from/d")).and_then(|()| fs::rename(at("from/e"), at("from/d")));
        let _ = symlink(at("outside/f"), at("from/g")).and_then(|()| fs::rename(at("from/g"), at("from/f")));
        let _ = fs::write(at("from/h"), "public").and_then(|()| fs::rename(at("from/h"), at("from/f")));
    };
    let everything = TreeOptions { everything: true, ..options() };
    meanwhile(flip, || {
        for options in [&options(), &everything] {
            // It may fail; it must not read outside.
            let _ = scene.sync(options);
            for name in ["d/f", "e/f", "f", "h"] {
                let path = scene.at("to/site").join(name);
                let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
                let is_below = path.parent().is_some_and(|dir| !dir.is_symlink());
                if is_file && is_below {
                    assert_ne!(fs::read(&path).expect("there"), b"secret", "{name}");
                }
            }
            let _ = fs::remove_dir_all(scene.at("to/site"));
        }
        true
    });
    assert_eq!(fs::read(scene.at("outside/f")).expect("there"), b"secret");
}

/// The destination's directories become links meanwhile, also while a whole tree is replaced.
#[test]
fn nothing_outside_of_the_destination_is_written_or_deleted() {
    let scene = Scene::new();
    fs::write(scene.at("outside/kept"), "kept").expect("written");
    for number in 0..20 {
        fs::write(scene.at("from/d").join(format!("f{number}")), "x").expect("written");
    }
    let top = scene.directory.path().to_owned();
    let flip = move |count| {
        let site = top.join("to/site");
        let _ = fs::rename(site.join("d"), site.join(format!("d{}", count % 3)));
        let _ = symlink(top.join("outside"), site.join("d"));
        let _ = fs::remove_file(site.join("d"));
    };
    meanwhile(flip, || {
        for atomic in [false, true] {
            let _ = scene.sync(&TreeOptions { delete: true, atomic, ..options() });
        }
        let there: Vec<_> = fs::read_dir(scene.at("outside")).expect("a directory").collect();
        assert_eq!(there.len(), 1, "{there:?}");
        true
    });
    assert_eq!(fs::read(scene.at("outside/kept")).expect("there"), b"kept");
}

/// The destination's own directory is taken away and becomes a link out of the root, again and again.
#[test]
fn nothing_outside_of_the_root_is_written_while_the_top_is_swapped() {
    let scene = Scene::new();
    for name in ["root/to/site/d", "root/from/d"] {
        fs::create_dir_all(scene.at(name)).expect("made");
    }
    fs::write(scene.at("outside/kept"), "kept").expect("written");
    fs::write(scene.at("root/to/site/old"), "old").expect("written");
    for number in 0..20 {
        fs::write(scene.at("root/from/d").join(format!("f{number}")), "x").expect("written");
    }
    let confined = Store::confined(&scene.at("root")).expect("a store");
    let top = scene.directory.path().to_owned();
    let flip = move |count| {
        let to = top.join("root/to");
        let (site, away) = (to.join("site"), to.join(format!("away{}", count % 3)));
        if fs::rename(&site, &away).is_err() {
            let _ = fs::remove_dir_all(&away);
        }
        let _ = symlink(top.join("outside"), &site);
        let _ = fs::remove_file(&site);
        let _ = symlink("../../outside", &site);
        let _ = fs::remove_file(&site);
        // Now and then the directory is back in its place.
        if count % 4 != 0 {
            let _ = fs::rename(&away, &site);
        }
    };
    meanwhile(flip, || {
        let mut arrived = false;
        for atomic in [false, true] {
            let options = TreeOptions { delete: true, atomic, ..options() };
            let ended = confined.tree_source(&["from/.".into()], options.clone()).and_then(|mut source| {
                let mut sink = confined.tree_sink(Path::new("to/site"), &Layout::Into, options)?;
                pump(&mut source, &mut sink)
            });
            arrived |= ended.is_ok();
        }
        let there: Vec<_> = fs::read_dir(scene.at("outside")).expect("a directory").collect();
        assert_eq!(there.len(), 1, "{there:?}");
        arrived
    });
    assert_eq!(fs::read(scene.at("outside/kept")).expect("there"), b"kept");
}

/// Each file that arrives is one of its versions, or it is reported.
#[test]
fn a_file_that_is_written_meanwhile_arrives_as_one_version_or_is_reported() {
    let scene = Scene::new();
    let sizes = [3000usize, 200_000];
    let top = scene.directory.path().to_owned();
    let write = move |count: u64| {
        for size in sizes {
            // In place: a reader may see a part of both.
            let byte = b'a' + (count % 26) as u8;
            fs::write(top.join(format!("from/d/{size}")), vec![byte; size + (count % 3) as usize]).expect("written");
        }
    };
    write(0);
    meanwhile(write, || {
        let mut whole = false;
        let problems = scene.sync(&options()).expect("it ends");
        for size in sizes {
            let path = scene.at("to/site/d").join(size.to_string());
            match fs::read(&path) {
                // A writer may stop within its write(2): what is there then is a version, too. Two bytes together never are.
                Ok(held) => {
                    assert!(held.iter().all(|byte| *byte == held[0]), "a mix in {} bytes", held.len());
                    whole = true;
                }
                Err(_) => assert!(!problems.is_empty(), "a file is missing and nothing was reported"),
            }
            let _ = fs::remove_file(path);
        }
        whole
    });
}
