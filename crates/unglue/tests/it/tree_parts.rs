//! Large files in trees: what the receiver has, in whatever file, is not sent again.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use unglue::{Client, Compression, Fault, Layout, Partials, Store, Summary, TreeMove, TreeOptions, relay};
use unglue_testkit::Prng;
use unglue_testkit::relay::{Break, Relay, Towards};

use crate::site::{Serving, Site, eventually, within};

const MIB: usize = 1 << 20;

/// Two links to one server through relays that count.
pub(crate) struct Far {
    pub(crate) site: Site,
    pub(crate) store: Store,
    serving: Serving,
    pub(crate) relays: [Relay; 2],
    clients: [Client; 2],
}

/// Which way a tree goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
    Between,
}

pub(crate) const WAYS: [Way; 3] = [Way::Up, Way::Down, Way::Between];

impl Far {
    pub(crate) async fn new() -> Far {
        let site = Site::new();
        let serving = site.serve();
        let partials = Partials::open(&site.path("local-state")).expect("records");
        let store = site.local_store().with_partials(partials);
        let (relays, clients) = Far::links(&site, &serving).await;
        Far { site, store, serving, relays, clients }
    }

    async fn links(site: &Site, serving: &Serving) -> ([Relay; 2], [Client; 2]) {
        let relays = [Relay::start(serving.address(), 1).await, Relay::start(serving.address(), 2).await];
        let relays = relays.map(|relay| relay.expect("a relay"));
        let clients = [site.connect(relays[0].address()).await, site.connect(relays[1].address()).await];
        for client in &clients {
            client.welcome().await.expect("it is let in");
        }
        (relays, clients)
    }

    /// Connects anew.
    pub(crate) async fn again(&mut self) {
        (self.relays, self.clients) = Far::links(&self.site, &self.serving).await;
    }

    /// Where the source and the destination are.
    pub(crate) fn places(&self, way: Way) -> (PathBuf, PathBuf) {
        let (local, root) = (self.site.local(), self.site.root());
        match way {
            Way::Up => (local.join("from"), root.join("to")),
            Way::Down => (root.join("from"), local.join("to")),
            Way::Between => (root.join("from"), root.join("to")),
        }
    }

    /// The bytes that a link has carried in both directions.
    pub(crate) fn carried(&self) -> u64 {
        let of = |relay: &Relay| relay.carried(Towards::Server) + relay.carried(Towards::Client);
        self.relays.iter().map(of).max().unwrap_or(0)
    }

    pub(crate) async fn try_to_carry(&self, way: Way, tree: &TreeMove) -> Result<Summary, Fault> {
        let (store, sources) = (&self.store, [PathBuf::from("from/.")]);
        let [near, far] = &self.clients;
        match way {
            Way::Up => near.push(store, &sources, "to", tree, Box::new(|_| ())).await,
            Way::Down => near.pull(&sources, store, "to", tree, Box::new(|_| ())).await,
            Way::Between => relay((near, &sources), (far, "to".as_ref()), tree, Box::new(|_| ())).await,
        }
    }

    /// Moves the tree, and gives the bytes that one link has carried.
    pub(crate) async fn carry(&self, way: Way, tree: &TreeMove) -> (Summary, u64) {
        let before = self.carried();
        let moved = self.try_to_carry(way, tree).await.unwrap_or_else(|fault| panic!("{way:?}: {fault}"));
        (moved, self.carried() - before)
    }

    /// Moves a part of the tree: the link to the destination breaks after so many bytes of the larger direction.
    async fn break_off(&mut self, way: Way, tree: &TreeMove, after: u64) {
        let (relay, towards) = match way {
            Way::Up => (&self.relays[0], Towards::Server),
            Way::Down => (&self.relays[0], Towards::Client),
            Way::Between => (&self.relays[1], Towards::Server),
        };
        relay.break_after(towards, relay.carried(towards) + after, Break::Reset);
        self.try_to_carry(way, tree).await.expect_err("the link breaks");
        self.store.idle().await;
        self.again().await;
    }
}

/// The hidden files in a directory.
pub(crate) fn hidden(at: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(at).expect("a directory").map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.')).collect()
}

fn options() -> TreeOptions {
    TreeOptions { recursive: true, times: true, beside: true, delta: true, ..TreeOptions::default() }
}

pub(crate) fn sync(options: TreeOptions) -> TreeMove {
    TreeMove::new(Layout::Into, options)
}

/// Bytes without repetition.
pub(crate) fn content(seed: u64, len: usize) -> Vec<u8> {
    Prng::new(seed).bytes(len)
}

/// The same with one byte in a hundred in other parts, and some inserted in front.
fn changed(old: &[u8]) -> Vec<u8> {
    let mut new = [b"inserted in front", old].concat();
    new.chunks_mut(MIB).for_each(|part| part.iter_mut().take(10_000).for_each(|byte| *byte = 7));
    new
}

pub(crate) fn plant(at: &Path, files: &[(&str, &[u8])]) {
    let _ = fs::remove_dir_all(at);
    for (name, content) in files {
        let path = at.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, content).expect("written");
    }
}

#[track_caller]
pub(crate) fn holds(at: &Path, files: &[(&str, &[u8])], what: &str) {
    for (name, content) in files {
        assert!(fs::read(at.join(name)).expect(name) == *content, "{what}: {name} has another content");
    }
    let left = [hidden(at), hidden(at.parent().expect("a parent"))].concat();
    assert!(left.is_empty(), "{what}: {left:?}");
}

#[test]
fn of_a_large_file_that_changed_only_what_changed_is_sent() {
    within(400, async || {
        let far = Far::new().await;
        let old = content(1, 20 * MIB);
        let new = changed(&old);
        let (small, other) = (content(2, 9000), content(3, 5 * MIB));
        let before: &[(&str, &[u8])] = &[("d/disk.img", &old), ("d/small", b"old"), ("same", &other)];
        let after: &[(&str, &[u8])] = &[("d/disk.img", &new), ("d/small", &small), ("same", &other)];
        for way in WAYS {
            let (from, to) = far.places(way);
            for (what, options, compression) in [
                ("sync", options(), Compression::Off),
                ("compressed", options(), Compression::Zstd(1)),
                ("atomic", TreeOptions { atomic: true, ..options() }, Compression::Off),
                ("cp -r", TreeOptions { everything: true, ..options() }, Compression::Off),
            ] {
                let what = format!("{what}, {way:?}");
                plant(&from, after);
                plant(&to, before);
                let time = fs::metadata(from.join("same")).and_then(|stat| stat.modified()).expect("a time");
                fs::File::options()
                    .write(true)
                    .open(to.join("same"))
                    .and_then(|file| file.set_modified(time))
                    .expect("set");
                let (moved, carried) = far.carry(way, &sync(options).compress(compression)).await;
                assert_eq!(moved.problems, 0, "{what}");
                assert!(carried < MIB as u64, "{what}: {carried} bytes were carried");
                holds(&to, after, &what);
            }
            plant(&to, before);
            let (_, carried) = far.carry(way, &sync(TreeOptions { delta: false, ..options() })).await;
            assert!(carried > 20 * MIB as u64, "{way:?}, whole files: {carried}");
            holds(&to, after, "whole files");
        }
    });
}

#[test]
fn wherever_the_link_breaks_the_file_is_the_old_one_or_the_new_one() {
    within(400, async || {
        let mut far = Far::new().await;
        let old = content(1, 5 * MIB);
        let new = changed(&old);
        for way in WAYS {
            let (from, to) = far.places(way);
            plant(&from, &[("f", &new)]);
            plant(&to, &[("f", &old)]);
            // Both directions matter: sums go one way, and what changed goes the other way.
            for (towards, step) in [(Towards::Server, 12_000), (Towards::Client, 12_000)] {
                let mut after = 2_000;
                loop {
                    let relay = &far.relays[usize::from(way == Way::Between)];
                    relay.break_after(towards, relay.carried(towards) + after, Break::Reset);
                    let moved = far.try_to_carry(way, &sync(options())).await;
                    far.store.idle().await;
                    far.again().await;
                    let now = fs::read(to.join("f")).expect("the file");
                    assert!(now == old || now == new, "{way:?}, {after} bytes: a mixture");
                    let whole = now == new;
                    if moved.is_ok() {
                        assert!(whole, "{way:?}, {after} bytes: a false success");
                        break;
                    }
                    plant(&to, &[("f", &old)]);
                    after += step;
                }
                plant(&to, &[("f", &old)]);
            }
        }
    });
}

/// Waits until what is kept in a directory isn't written to any more.
async fn let_go(directory: &Path) {
    let is_free = |path: &PathBuf| fs::File::open(path).is_ok_and(|file| file.try_lock().is_ok());
    eventually(10, "the end of writing", || hidden(directory).iter().all(is_free)).await;
}

#[test]
fn a_file_of_a_tree_that_was_cut_off_goes_on() {
    within(500, async || {
        let mut far = Far::new().await;
        let big = content(1, 72 * MIB);
        let (medium, small) = (content(2, 5 * MIB), content(3, 70_000));
        let files: &[(&str, &[u8])] = &[("d/big", &big), ("a", &medium), ("s/small", &small)];
        for way in WAYS {
            let (from, to) = far.places(way);
            for (what, options) in [
                ("sync", TreeOptions { resume: true, ..options() }),
                ("whole files", TreeOptions { resume: true, delta: false, ..options() }),
                ("cp -r", TreeOptions { resume: true, everything: true, checksum: true, times: false, ..options() }),
            ] {
                let what = format!("{what}, {way:?}");
                plant(&from, files);
                plant(&to, &[("d/other", b"x")]);
                let tree = sync(options);
                // A whole window of the large file may be lost with the link.
                far.break_off(way, &tree, 64 * MIB as u64).await;
                // A server may notice a little later.
                let kept = || {
                    hidden(&to.join("d"))
                        .iter()
                        .any(|path| fs::metadata(path).is_ok_and(|stat| stat.len() >= 32 * MIB as u64))
                };
                eventually(10, &format!("what is kept: {what}"), kept).await;
                assert!(!to.join("d/big").exists(), "{what}: a part has the name");
                // What was complete has its name, though the transfer broke off.
                eventually(10, "the file that was complete", || to.join("a").exists()).await;
                let_go(&to.join("d")).await;
                let (moved, carried) = far.carry(way, &tree).await;
                assert_eq!(moved.problems, 0, "{what}");
                // Two blocks at least were there, and the files that were complete.
                assert!(carried < 41 * MIB as u64, "{what}: {carried} bytes were carried again");
                holds(&to, files, &what);
                assert!(hidden(&to.join("d")).is_empty(), "{what}: {:?}", hidden(&to.join("d")));
                let (_, carried) = far.carry(way, &tree).await;
                assert!(carried < 100_000, "{what}: {carried} bytes for what is complete");
            }
        }
    });
}

#[test]
fn what_was_kept_of_another_content_is_noticed() {
    within(300, async || {
        let mut far = Far::new().await;
        let tree = sync(TreeOptions { resume: true, ..options() });
        for way in [Way::Up, Way::Down] {
            let (from, to) = far.places(way);
            let big = content(1, 56 * MIB);
            plant(&from, &[("big", &big)]);
            plant(&to, &[]);
            fs::create_dir_all(&to).expect("made");
            far.break_off(way, &tree, 48 * MIB as u64).await;
            eventually(10, "what is kept", || !hidden(&to).is_empty()).await;
            let_go(&to).await;
            // The source changes, and what is kept is damaged.
            let mut other = big;
            other[3..9].fill(1);
            fs::write(from.join("big"), &other).expect("written");
            let kept = &hidden(&to)[0];
            fs::File::options()
                .write(true)
                .open(kept)
                .and_then(|file| file.write_at(b"damaged", 17 << 20))
                .expect("written");
            let (moved, _) = far.carry(way, &tree).await;
            assert_eq!(moved.problems, 0);
            holds(&to, &[("big", &other)], "a changed source");
        }
    });
}

/// Gives the files of one tree the times of others in another one, as an earlier sync would have.
pub(crate) fn same_times(from: &Path, to: &Path, names: &[(String, String)]) {
    for (name, other) in names {
        let time = fs::metadata(from.join(name)).and_then(|stat| stat.modified()).expect("a time");
        let file = fs::File::options().write(true).open(to.join(other)).expect(other);
        file.set_modified(time).expect("set");
    }
}

#[test]
fn a_large_file_that_was_renamed_is_found_by_its_content() {
    within(500, async || {
        let far = Far::new().await;
        let big = content(1, 64 * MIB);
        for (way, atomic) in [(Way::Up, false), (Way::Down, true), (Way::Between, false)] {
            let (from, to) = far.places(way);
            let what = format!("{way:?}, atomic: {atomic}");
            plant(&from, &[("new/name.img", &big)]);
            plant(&to, &[("old/disk.img", &big), ("old/small", b"x")]);
            let (moved, carried) = far.carry(way, &sync(TreeOptions { delete: true, atomic, ..options() })).await;
            assert_eq!((moved.problems, moved.deleted), (0, 1), "{what}");
            assert!(carried < 1_000_000, "{what}: {carried} bytes were carried");
            holds(&to, &[("new/name.img", &big)], &what);
            assert!(!to.join("old").exists(), "{what}: what the source doesn't have stays");
        }
    });
}

#[test]
fn a_renamed_directory_of_large_files_and_copies_are_found() {
    within(400, async || {
        let far = Far::new().await;
        let way = Way::Up;
        let (from, to) = far.places(way);
        // All of one size: names and times say which is which.
        let contents: Vec<Vec<u8>> = (0..12).map(|seed| content(seed, 5 * MIB)).collect();
        let in_directory = |directory: &str| -> Vec<(String, &[u8])> {
            contents
                .iter()
                .enumerate()
                .map(|(number, content)| (format!("{directory}/{number}"), &content[..]))
                .collect()
        };
        let (old, new) = (in_directory("old"), in_directory("new"));
        fn borrowed<'a>(files: &'a [(String, &'a [u8])]) -> Vec<(&'a str, &'a [u8])> {
            files.iter().map(|(name, content)| (&**name, *content)).collect()
        }
        plant(&from, &borrowed(&new));
        plant(&to, &borrowed(&old));
        let pairs: Vec<_> = new.iter().zip(&old).map(|((new, _), (old, _))| (new.clone(), old.clone())).collect();
        same_times(&from, &to, &pairs);
        let (_, carried) = far.carry(way, &sync(TreeOptions { delete: true, ..options() })).await;
        assert!(carried < 1_000_000, "{carried} bytes for a directory's new name");
        holds(&to, &borrowed(&new), "a renamed directory");
        // A copy with its time, and two that change places.
        fs::copy(from.join("new/3"), from.join("new/copy")).expect("copied");
        same_times(&from, &from, &[("new/3".into(), "new/copy".into())]);
        fs::rename(from.join("new/1"), from.join("new/t")).expect("renamed");
        fs::rename(from.join("new/2"), from.join("new/1")).expect("renamed");
        fs::rename(from.join("new/t"), from.join("new/2")).expect("renamed");
        let copied = [("new/copy", &contents[3][..]), ("new/1", &contents[2]), ("new/2", &contents[1])];
        let (_, carried) = far.carry(way, &sync(TreeOptions { checksum: true, ..options() })).await;
        // Those that changed places replace each other: they have nothing in common with what they replace.
        assert!(carried < 11 * MIB as u64, "{carried} bytes for a copy and two other names");
        holds(&to, &copied, "copies");
        // One of the same size that is not the same, and whole files.
        plant(&from, &[("other/name", &content(99, 5 * MIB))]);
        let (_, carried) = far.carry(way, &sync(options())).await;
        assert!(carried > 5 * MIB as u64);
        holds(&to, &[("other/name", &content(99, 5 * MIB))], "another content");
    });
}

/// The old file is a hint: what is made of it is the new file, or nothing is.
#[test]
fn an_old_file_that_changes_or_vanishes_meanwhile_does_no_harm() {
    within(400, async || {
        let far = Far::new().await;
        let old = content(1, 24 * MIB);
        let new = changed(&old);
        for round in 0..6u64 {
            let (from, to) = far.places(Way::Up);
            plant(&from, &[("f", &new)]);
            plant(&to, &[("f", &old)]);
            let path = to.join("f");
            let file = fs::File::options().write(true).open(&path).expect("open");
            let tree = sync(options());
            let moving = far.try_to_carry(Way::Up, &tree);
            let meddling = async {
                let relay = &far.relays[0];
                let before = relay.carried(Towards::Client);
                eventually(30, "sums", || relay.carried(Towards::Client) > before + 3_000 * round).await;
                let is_old = || fs::metadata(&path).is_ok_and(|now| now.ino() == file.metadata().expect("open").ino());
                match round % 2 {
                    0 if is_old() => drop(fs::remove_file(&path)),
                    0 => {}
                    _ => (0..24).for_each(|part| {
                        file.write_at(b"another program", (part * MIB) as u64 + 500_000).expect("written");
                    }),
                }
            };
            let (moved, ()) = tokio::join!(moving, meddling);
            assert_eq!(moved.expect("it goes to its end").problems, 0, "round {round}");
            assert!(fs::read(&path).expect("the file") == new, "round {round}: another content");
            assert!(hidden(&to).is_empty(), "round {round}: {:?}", hidden(&to));
        }
    });
}
