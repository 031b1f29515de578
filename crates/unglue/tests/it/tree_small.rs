//! Trees of files that are not large: what the receiver has, in whatever file, is not sent again.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use unglue::{Compression, TreeOptions};
use unglue_testkit::relay::{Break, Towards};

use crate::site::{eventually, soon, within};
use crate::tree_parts::{Far, WAYS, Way, content, hidden, holds, plant, sync};

const KIB: usize = 1024;

fn options() -> TreeOptions {
    TreeOptions { recursive: true, times: true, beside: true, delta: true, delta_small: true, ..TreeOptions::default() }
}

/// Files with names, and what is in them.
type Files = Vec<(String, Vec<u8>)>;

/// So many files of random bytes in directories of twenty below `top`, of `least` bytes and up to ten times as many.
fn files(top: &str, count: usize, least: usize) -> Files {
    let size = |number: usize| least + least * (number * 37 % 91) / 10;
    let name = |number: usize| format!("{top}/d{}/file-{number}", number / 20);
    (0..count).map(|number| (name(number), content(number as u64, size(number)))).collect()
}

fn borrowed(files: &Files) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, content)| (&**name, &**content)).collect()
}

fn bytes(files: &Files) -> u64 {
    files.iter().map(|(_, content)| content.len() as u64).sum()
}

/// The same with one byte in a hundred in another way, and one inserted in front of every third file.
fn edited(files: &Files) -> Files {
    let edit = |(number, (name, old)): (usize, &(String, Vec<u8>))| {
        let mut new = old.clone();
        let part = old.len() / 100;
        new[old.len() / 3..][..part].fill(7);
        if number % 3 == 0 {
            new.insert(0, 9);
        }
        (name.clone(), new)
    };
    files.iter().enumerate().map(edit).collect()
}

/// Gives each file a time of its own, as an earlier sync would have left them on both sides.
fn stamp(at: &Path, files: &Files) {
    for (number, (name, _)) in files.iter().enumerate() {
        let file = fs::File::options().write(true).open(at.join(name)).expect(name);
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(1_000_000 + number as u64, 17)).expect("set");
    }
}

#[test]
fn of_small_files_that_changed_only_what_changed_is_sent() {
    within(500, async || {
        let far = Far::new().await;
        let old = files("d", 60, 20 * KIB);
        let new = edited(&old);
        let all = bytes(&new);
        for way in WAYS {
            let (from, to) = far.places(way);
            for (what, options, compression) in [
                ("sync", options(), Compression::Off),
                ("compressed", options(), Compression::Zstd(1)),
                ("atomic", TreeOptions { atomic: true, ..options() }, Compression::Off),
                ("cp -r", TreeOptions { everything: true, ..options() }, Compression::Off),
                ("checksum", TreeOptions { checksum: true, ..options() }, Compression::Off),
            ] {
                let what = format!("{what}, {way:?}");
                plant(&from, &borrowed(&new));
                plant(&to, &borrowed(&old));
                let (moved, carried) = far.carry(way, &sync(options).compress(compression)).await;
                assert_eq!((moved.problems, moved.files, moved.bytes), (0, 60, all), "{what}");
                // What changed, sums, and a kilobyte or two around each change.
                assert!(carried < all * 8 / 100, "{what}: {carried} bytes were carried of {all}");
                holds(&to, &borrowed(&new), &what);
            }
            plant(&to, &borrowed(&old));
            let (_, carried) = far.carry(way, &sync(TreeOptions { delta_small: false, ..options() })).await;
            assert!(carried > all, "{way:?}, whole files: {carried}");
            holds(&to, &borrowed(&new), "whole files");
        }
    });
}

#[test]
fn a_renamed_directory_of_small_files_costs_little() {
    within(500, async || {
        let far = Far::new().await;
        let old = files("old", 300, 20 * KIB);
        let new: Files = old.iter().map(|(name, content)| (name.replace("old/", "new/"), content.clone())).collect();
        let all = bytes(&new);
        for (way, atomic) in [(Way::Up, false), (Way::Down, true), (Way::Between, false)] {
            let what = format!("{way:?}, atomic: {atomic}");
            let (from, to) = far.places(way);
            plant(&from, &borrowed(&new));
            plant(&to, &borrowed(&old));
            stamp(&from, &new);
            stamp(&to, &old);
            let tree = sync(TreeOptions { delete: true, atomic, ..options() });
            let (moved, carried) = far.carry(way, &tree).await;
            assert_eq!((moved.problems, moved.deleted, moved.files), (0, 1, 300), "{what}");
            assert!(carried < all * 2 / 100, "{what}: {carried} bytes were carried of {all}");
            holds(&to, &borrowed(&new), &what);
            assert!(!to.join("old").exists(), "{what}: what the source doesn't have stays");
            let (moved, carried) = far.carry(way, &tree).await;
            assert_eq!((moved.files, moved.unchanged), (0, 300), "{what}");
            assert!(carried < 60_000, "{what}: {carried} bytes for what is complete");
        }
    });
}

/// Copies within the tree, tiny files, files with another name and a few changes, and files that only have another time.
#[test]
fn what_is_at_the_destination_under_another_name_or_time_is_found() {
    within(500, async || {
        let far = Far::new().await;
        for way in [Way::Up, Way::Down] {
            let (from, to) = far.places(way);
            // Others come first: the receiver doesn't look for a few.
            let others = files("a", 10, 20 * KIB);
            let tiny = files("old", 400, 5 * KIB);
            plant(&to, &borrowed(&tiny));
            stamp(&to, &tiny);
            // Renamed one by one, in another directory.
            let renamed: Files =
                tiny.iter().map(|(name, content)| (name.replace("old/", "z/x-"), content.clone())).collect();
            plant(&from, &borrowed(&renamed));
            stamp(&from, &renamed);
            borrowed(&others).iter().for_each(|(name, content)| {
                fs::create_dir_all(from.join(name).parent().expect("a directory")).expect("made");
                fs::write(from.join(name), content).expect("written");
            });
            let (moved, carried) = far.carry(way, &sync(options())).await;
            assert_eq!(moved.problems, 0, "{way:?}");
            let much = bytes(&others) + bytes(&tiny) * 4 / 100;
            assert!(carried < much, "{way:?}: {carried} bytes were carried of {}", bytes(&tiny));
            holds(&to, &borrowed(&renamed), "tiny files");

            // With another name of its directory, and a few changes.
            let changed: Files =
                edited(&files("b", 60, 30 * KIB)).into_iter().map(|(name, new)| (format!("c/{name}"), new)).collect();
            plant(&to, &borrowed(&files("b", 60, 30 * KIB)));
            plant(&from, &borrowed(&changed));
            let (_, carried) = far.carry(way, &sync(options())).await;
            let all = bytes(&changed);
            assert!(carried < all * 12 / 100, "{way:?}: {carried} bytes were carried of {all}");
            holds(&to, &borrowed(&changed), "other names and contents");

            // With another time.
            plant(&from, &borrowed(&tiny));
            plant(&to, &borrowed(&tiny));
            stamp(&to, &tiny);
            let (moved, carried) = far.carry(way, &sync(options())).await;
            assert_eq!(moved.files, 400, "{way:?}");
            assert!(carried < bytes(&tiny) * 4 / 100, "{way:?}: {carried} bytes for other times");
            holds(&to, &borrowed(&tiny), "other times");
        }
    });
}

/// Each file takes the name of the next one, as when logs are rotated, and the first one is new. Every name was there before.
#[test]
fn files_whose_names_moved_on_are_not_sent_again() {
    within(500, async || {
        let far = Far::new().await;
        for (count, size) in [(200, 20 * KIB), (12, 40 * KIB), (5, 5 * KIB * KIB)] {
            let named = |number: u64, generation: u64| {
                (format!("log/app.{number}"), content(generation, size + generation as usize * 100))
            };
            let old: Files = (0..count).map(|number| named(number, 100 + number)).collect();
            let new: Files = (0..count).map(|number| named(number, 99 + number)).collect();
            for (way, atomic) in [(Way::Up, false), (Way::Down, false), (Way::Between, false), (Way::Up, true)] {
                let what = format!("{count} files, {way:?}, atomic: {atomic}");
                let (from, to) = far.places(way);
                plant(&from, &borrowed(&new));
                plant(&to, &borrowed(&old));
                stamp(&to, &old);
                for (name, (_, content)) in new.iter().map(|(name, _)| name).zip(&new) {
                    let before = old.iter().position(|(_, other)| other == content);
                    let seconds = before.map_or(2_000_000, |number| 1_000_000 + number as u64);
                    let file = fs::File::options().write(true).open(from.join(name)).expect(name);
                    file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(seconds, 17)).expect("set");
                }
                let (moved, carried) = far.carry(way, &sync(TreeOptions { atomic, ..options() })).await;
                assert_eq!((moved.problems, moved.files), (0, count), "{what}");
                // The first is new, and the receiver doesn't look for other files for the first 128 KiB.
                let (sent, all) = (new[0].1.len().max(128 * KIB + size) as u64, bytes(&new));
                assert!(carried < sent + all * 3 / 100, "{what}: {carried} bytes were carried of {all}");
                holds(&to, &borrowed(&new), &what);
            }
        }
    });
}

#[test]
fn what_has_nothing_in_common_costs_hardly_more_than_whole_files() {
    within(300, async || {
        let far = Far::new().await;
        let old = files("d", 60, 20 * KIB);
        let reversed = |(name, content): &(String, Vec<u8>)| (name.clone(), content.iter().rev().copied().collect());
        let new: Files = old.iter().map(reversed).collect();
        let (from, to) = far.places(Way::Up);
        plant(&from, &borrowed(&new));
        plant(&to, &borrowed(&old));
        let (moved, carried) = far.carry(Way::Up, &sync(options())).await;
        assert_eq!(moved.problems, 0);
        assert!(carried < bytes(&new) * 103 / 100, "{carried} bytes were carried of {}", bytes(&new));
        holds(&to, &borrowed(&new), "other contents");
    });
}

#[test]
fn wherever_the_link_breaks_each_small_file_is_the_old_one_or_the_new_one() {
    within(500, async || {
        let mut far = Far::new().await;
        let old = files("d", 12, 20 * KIB);
        let new = edited(&old);
        for way in WAYS {
            let (from, to) = far.places(way);
            plant(&from, &borrowed(&new));
            for towards in [Towards::Server, Towards::Client] {
                let mut after = 500;
                loop {
                    plant(&to, &borrowed(&old));
                    let relay = &far.relays[usize::from(way == Way::Between)];
                    relay.break_after(towards, relay.carried(towards) + after, Break::Reset);
                    let moved = far.try_to_carry(way, &sync(options())).await;
                    far.store.idle().await;
                    far.again().await;
                    let mut whole = 0;
                    for ((name, old), (_, new)) in old.iter().zip(&new) {
                        let now = fs::read(to.join(name)).expect("the file");
                        assert!(now == *old || now == *new, "{way:?}, {after} bytes: a mixture of {name}");
                        whole += usize::from(now == *new);
                    }
                    if moved.is_ok() {
                        assert_eq!(whole, new.len(), "{way:?}, {after} bytes: a false success");
                        break;
                    }
                    after += 2_500;
                }
            }
        }
    });
}

/// Waits until the receiver has sent more than so many bytes, which are sums of its old files.
async fn sums_come(far: &Far, bytes: u64) {
    let relay = &far.relays[0];
    let before = relay.carried(Towards::Client);
    eventually(30, "sums", || relay.carried(Towards::Client) > before + bytes).await;
}

/// An old file is a hint: what is made of it is the new file, or the whole file is sent.
#[test]
fn small_old_files_that_change_or_shrink_meanwhile_do_no_harm() {
    within(400, async || {
        let far = Far::new().await;
        let old = files("d", 200, 20 * KIB);
        let new = edited(&old);
        for round in 0..6u64 {
            let (from, to) = far.places(Way::Up);
            plant(&from, &borrowed(&new));
            plant(&to, &borrowed(&old));
            let open =
                |(name, _): &(String, Vec<u8>)| fs::File::options().write(true).open(to.join(name)).expect("open");
            let opened: Vec<fs::File> = old.iter().map(open).collect();
            let tree = sync(options());
            let moving = far.try_to_carry(Way::Up, &tree);
            let meddling = async {
                sums_come(&far, 2_000 * round).await;
                for file in &opened {
                    match round % 2 {
                        0 => file.set_len(15_000).expect("cut"),
                        _ => drop(file.write_at(b"another program", 15_000).expect("written")),
                    }
                }
            };
            let (moved, ()) = tokio::join!(moving, meddling);
            let moved = moved.expect("it goes to its end");
            assert_eq!((moved.problems, moved.files), (0, 200), "round {round}");
            holds(&to, &borrowed(&new), &format!("round {round}"));
            assert!(hidden(&to.join("d/d1")).is_empty(), "round {round}");
        }
    });
}

/// A source's file that is cut to nothing once the receiver has told of its old one is an ordinary empty file.
#[test]
fn small_files_that_become_empty_meanwhile_are_empty() {
    within(200, async || {
        let far = Far::new().await;
        let old = files("d", 200, 20 * KIB);
        let new = edited(&old);
        for round in 0..4u64 {
            let (from, to) = far.places(Way::Up);
            plant(&from, &borrowed(&new));
            plant(&to, &borrowed(&old));
            let tree = sync(options());
            let moving = far.try_to_carry(Way::Up, &tree);
            let meddling = async {
                sums_come(&far, 2_000 * round).await;
                for (name, _) in &new {
                    fs::File::create(from.join(name)).expect("cut to nothing");
                }
            };
            let moved = soon(40, "an end", async { tokio::join!(moving, meddling).0 }).await;
            // One that was just being read is reported, and the old one stays.
            let moved = moved.expect("it goes to its end");
            assert_eq!(moved.files + moved.problems, 200, "round {round}");
            let mut stayed = 0;
            for ((name, new), (_, old)) in new.iter().zip(&old) {
                let now = fs::read(to.join(name)).expect("the file");
                assert!(now.is_empty() || now == *new || now == *old, "round {round}: {name} has {} bytes", now.len());
                stayed += u64::from(now == *old);
            }
            assert_eq!(stayed, moved.problems, "round {round}");
        }
    });
}
