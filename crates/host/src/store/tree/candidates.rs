//! Files of the destination that a new file may be a copy of, under another name: those of exactly its size, and those of its name.
//!
//! Nothing here is proof: the digest of the whole new file is, as for every delta.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;
use unglue_proto::message::Time;
use unglue_proto::tree::{CANDIDATE_LEAST, Filter, LARGE, Verdict};

use super::attributes::modified;
use super::content::Content;
use super::dirs::{Dirs, Node, open};
use super::guard::Guard;
use super::sink::TreeSink;
use crate::store::error::Problem;
use crate::store::{FileId, Reading, temporary};

/// As many entries of the destination are looked at. Each costs a system call.
const ENTRIES: usize = 200_000;
/// As many files are remembered,
const FILES: usize = 131_072;
/// with names of as many bytes; as many again are the paths of directories.
const NAMES: usize = 4 * 1024 * 1024;
/// If more files have one size, or one name, that says nothing by itself.
const COMMON: usize = 8;
/// As many files are tried, if some have gone or changed meanwhile.
const TRIES: usize = 4;
/// As many directories of the destination are gone through, one for each source.
const SCANS: usize = 8;

/// The files of a directory.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// The directory that they were found in.
    scope: Node,
    scans: usize,
    /// How many entries were looked at, at most, and whether there are more.
    most: usize,
    is_cut: bool,
    /// The paths of its directories.
    dirs: Vec<Box<OsStr>>,
    /// The names of the files, one after the other.
    names: Vec<u8>,
    /// In the order of their sizes, times and names.
    files: Vec<Candidate>,
    /// The numbers of the files in the order of their names and sizes.
    by_name: Vec<u32>,
    hash: RandomState,
}

#[derive(Debug)]
struct Candidate {
    size: u64,
    modified: Time,
    /// The hash of the name.
    name: u64,
    id: FileId,
    dir: u32,
    /// Where the name is.
    from: u32,
    to: u32,
}

impl Candidate {
    fn by_time(&self) -> (u64, i64, u32) {
        (self.size, self.modified.seconds, self.modified.nanoseconds)
    }
}

/// A file that a new one may be a copy of.
#[derive(Debug)]
pub(super) struct Found {
    /// The directory that `path` starts from.
    scope: Node,
    path: Box<OsStr>,
    id: FileId,
    pub(super) size: u64,
    /// It has the size and the time of the new file: if it isn't the same, it is another one.
    pub(super) same_time: bool,
}

impl Candidates {
    /// Goes through a directory and everything below it, as far as the limits allow. Files of fewer than `least` bytes don't count, nor
    /// does what is excluded, by its path and whether it is a directory.
    fn scan(&mut self, top: &OwnedFd, least: u64, is_excluded: impl Fn(&OsStr, bool) -> bool) {
        self.scan_some(top, (least, ENTRIES, true), is_excluded);
    }

    /// The same with so many entries at most, and with what is below only if it is `deep`.
    fn scan_some(
        &mut self,
        top: &OwnedFd,
        (least, most, deep): (u64, usize, bool),
        is_excluded: impl Fn(&OsStr, bool) -> bool,
    ) {
        self.dirs = vec![OsString::new().into()];
        (self.names, self.files, self.by_name) = (Vec::new(), Vec::new(), Vec::new());
        (self.most, self.is_cut) = (most, false);
        let (mut at, mut bytes, mut seen) = (0, 0, 0);
        while let Some(path) = self.dirs.get(at).cloned() {
            at += 1;
            // What can't be read is not offered.
            let Ok((entries, dir)) = enter(top, &path).and_then(|dir| Ok((Dir::read_from(&dir)?, dir))) else {
                continue;
            };
            for entry in entries.map_while(Result::ok) {
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                seen += 1;
                if seen > most || self.files.len() >= FILES || self.names.len() >= NAMES {
                    self.is_cut = true;
                    return self.order();
                }
                if matches!(name.as_bytes(), b"." | b"..") || temporary::is_ours(name.as_bytes()) {
                    continue;
                }
                let Ok(stat) = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                let kind = FileType::from_raw_mode(stat.st_mode);
                if is_excluded(Path::new(&path).join(name).as_os_str(), kind == FileType::Directory) {
                    continue;
                }
                match kind {
                    FileType::Directory if deep && bytes + path.len() < NAMES => {
                        bytes += path.len() + name.len() + 1;
                        self.dirs.push(Path::new(&path).join(name).into_os_string().into());
                    }
                    FileType::RegularFile if stat.st_size as u64 >= least => {
                        let from = self.names.len() as u32;
                        self.names.extend_from_slice(name.as_bytes());
                        self.files.push(Candidate {
                            size: stat.st_size as u64,
                            modified: modified(&stat),
                            name: self.hash.hash_one(name.as_bytes()),
                            id: FileId::of(&stat),
                            dir: at as u32 - 1,
                            from,
                            to: self.names.len() as u32,
                        });
                    }
                    _ => {}
                }
            }
        }
        self.order();
    }

    fn order(&mut self) {
        self.files.sort_unstable_by_key(|file| (file.by_time(), file.name));
        self.by_name = (0..self.files.len() as u32).collect();
        self.by_name.sort_unstable_by_key(|&number| {
            let file = &self.files[number as usize];
            (file.name, file.size)
        });
    }

    /// The files that may be the same as one with this name, size and time, the best one first: a file that was renamed keeps its time,
    /// and mostly its name when its directory was renamed. If none has the size, one of the same name may have much in common with it.
    fn find(&self, name: &OsStr, size: u64, modified: Time) -> Vec<Found> {
        let hash = self.hash.hash_one(name.as_bytes());
        let few = |range: Range<usize>| (range.len() <= COMMON).then_some(range);
        let time = (size, modified.seconds, modified.nanoseconds);
        let same = self.range(|file| file.by_time() < time, |file| file.by_time() <= time);
        let exact = self.range(
            |file| (file.by_time(), file.name) < (time, hash),
            |file| (file.by_time(), file.name) <= (time, hash),
        );
        let named =
            self.named(|file| (file.name, file.size) < (hash, size), |file| (file.name, file.size) <= (hash, size));
        let sized = self.range(|file| file.size < size, |file| file.size <= size);
        let timed = exact.chain(few(same).into_iter().flatten());
        let others = named.iter().map(|&number| number as usize).chain(few(sized).into_iter().flatten());
        let mut best: Vec<usize> = Vec::new();
        for number in timed.take(COMMON).chain(others.take(2 * COMMON)) {
            if best.len() < TRIES && !best.contains(&number) {
                best.push(number);
            }
        }
        if best.is_empty() {
            let named = self.named(|file| file.name < hash, |file| file.name <= hash);
            let named = if named.len() <= COMMON { named } else { &[] };
            let near = named.iter().map(|&number| number as usize).filter(|&number| {
                let other = self.files[number].size;
                other / 2 <= size && size / 2 <= other
            });
            best.extend(near.min_by_key(|&number| self.files[number].size.abs_diff(size)));
        }
        best.into_iter().map(|number| self.found(number, time)).collect()
    }

    /// The only file with this size and time.
    fn find_only(&self, size: u64, modified: Time) -> Option<Found> {
        let time = (size, modified.seconds, modified.nanoseconds);
        let same = self.range(|file| file.by_time() < time, |file| file.by_time() <= time);
        (same.len() == 1).then(|| self.found(same.start, time))
    }

    /// Those files that come after all `before` is true of, and of which `upto` is true.
    fn range(&self, before: impl Fn(&Candidate) -> bool, upto: impl Fn(&Candidate) -> bool) -> Range<usize> {
        self.files.partition_point(before)..self.files.partition_point(upto)
    }

    /// The same in the order of the names.
    fn named(&self, before: impl Fn(&Candidate) -> bool, upto: impl Fn(&Candidate) -> bool) -> &[u32] {
        let at =
            |is: &dyn Fn(&Candidate) -> bool| self.by_name.partition_point(|&number| is(&self.files[number as usize]));
        &self.by_name[at(&before)..at(&upto)]
    }

    fn found(&self, number: usize, time: (u64, i64, u32)) -> Found {
        let file = &self.files[number];
        let name = OsStr::from_bytes(&self.names[file.from as usize..file.to as usize]);
        Found {
            scope: self.scope,
            path: Path::new(&self.dirs[file.dir as usize]).join(name).into_os_string().into(),
            id: file.id,
            size: file.size,
            same_time: file.by_time() == time,
        }
    }
}

impl Found {
    pub(super) fn is(&self, id: FileId) -> bool {
        self.id == id
    }

    /// The file, open, if it is still what it was. It stays open, whatever becomes of its name.
    fn open(&self, top: &OwnedFd, guard: &Guard) -> Option<Content> {
        let path = Path::new(&*self.path);
        let (parent, name) = (path.parent()?, path.file_name()?);
        let dir = enter(top, parent.as_os_str()).ok()?;
        let content = Content::open(&dir, name, guard).ok()?;
        (content.id() == self.id && content.size() == self.size).then_some(content)
    }
}

/// Opens a directory by one name after the other, without following a link.
fn enter(top: &OwnedFd, path: &OsStr) -> Result<OwnedFd, Errno> {
    let mut dir = open(top, OsStr::new("."))?;
    for name in Path::new(path) {
        dir = open(&dir, name)?;
    }
    Ok(dir)
}

/// Whether the patterns exclude a path below a directory, which may be a directory itself.
fn excluded(filter: &Filter, dirs: &Dirs, below: Node) -> impl Fn(&OsStr, bool) -> bool {
    move |path, is_directory| {
        !filter.is_empty() && filter.judge(dirs.path(below, path).as_bytes(), is_directory) == Verdict::Excluded
    }
}

impl TreeSink {
    /// Files of the destination that a new one may be a copy of.
    pub(super) fn find_candidates(
        &mut self,
        node: Node,
        (name, size, modified): (&OsStr, u64, Time),
    ) -> Result<Vec<Found>, Problem> {
        let Some(scope) = self.scope(node) else { return Ok(Vec::new()) };
        if self.candidates.scans == 0 || self.candidates.scope != scope {
            let Some(top) = self.old_top(scope)? else { return Ok(Vec::new()) };
            if self.candidates.scans >= SCANS {
                return Ok(Vec::new());
            }
            (self.candidates.scope, self.candidates.scans) = (scope, self.candidates.scans + 1);
            let least = if self.options.delta_small { CANDIDATE_LEAST } else { LARGE };
            self.candidates.scan(&top, least, excluded(&self.filter, &self.dirs, scope));
        }
        Ok(self.candidates.find(name, size, modified))
    }

    /// The only old file of a directory with this size and time. At most so many entries are looked at.
    pub(super) fn find_sibling(
        &mut self,
        node: Node,
        entries: usize,
        (size, modified): (u64, Time),
    ) -> Result<Option<Found>, Problem> {
        let siblings = &self.siblings;
        let allows_more = siblings.is_cut && entries / 2 >= siblings.most;
        if siblings.scans == 0 || siblings.scope != node || allows_more {
            let Some(dir) = self.old_top(node)? else { return Ok(None) };
            (self.siblings.scope, self.siblings.scans) = (node, 1);
            let excluded = excluded(&self.filter, &self.dirs, node);
            self.siblings.scan_some(&dir, (CANDIDATE_LEAST, entries, false), excluded);
        }
        Ok(self.siblings.find_only(size, modified))
    }

    /// A file of the destination that a new large one may be a copy of.
    pub(super) fn find_candidate(&mut self, node: Node, file: (&OsStr, u64, Time)) -> Result<Option<Reading>, Problem> {
        for found in self.find_candidates(node, file)? {
            if let Some(content) = self.open_found(&found)? {
                return Ok(Some(content.into_reading()));
            }
        }
        Ok(None)
    }

    /// The file, if it is still what it was.
    pub(super) fn open_found(&mut self, found: &Found) -> Result<Option<Content>, Problem> {
        let top = self.old_top(found.scope)?;
        Ok(top.and_then(|top| found.open(&top, &self.guard)))
    }

    /// The destination's directory as it was before this transfer. `None`: this transfer has made it.
    fn old_top(&mut self, scope: Node) -> Result<Option<std::sync::Arc<OwnedFd>>, Problem> {
        Ok(match &mut self.staging {
            Some(staging) => staging.counterpart(scope)?.map(|(_, dir)| dir),
            None if self.made_top => None,
            None => Some(self.dirs.file(scope)?),
        })
    }

    /// The directory of the destination that belongs to the same source as `node`: the destination itself only if the source's own
    /// contents go there.
    fn scope(&self, node: Node) -> Option<Node> {
        if self.fills_top {
            return Some(0);
        }
        let mut at = node;
        loop {
            match self.dirs.parent(at)? {
                0 => return Some(at),
                parent => at = parent,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The names of the files that are found for one of this name and time.
    fn found(top: &Path, name: &str, modified: Time) -> Option<String> {
        let dir = OwnedFd::from(fs::File::open(top).expect("a directory"));
        let mut candidates = Candidates::default();
        candidates.scan(&dir, LARGE, |_, _| false);
        let found = candidates.find(OsStr::new(name), LARGE, modified);
        let content = found.iter().find_map(|found| found.open(&dir, &Guard::default()))?;
        let mut first = [0; 8];
        content.into_reading().read_exact_at(&mut first, 0).expect("read");
        Some(String::from_utf8_lossy(&first).trim_end_matches('\0').to_owned())
    }

    fn time(seconds: i64) -> Time {
        Time { seconds, nanoseconds: 5 }
    }

    /// A file of the size that is looked for; it begins with its own name.
    fn plant(top: &Path, path: &str, seconds: u64) {
        let path = top.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(&path, path.file_name().expect("a name").as_encoded_bytes()).expect("written");
        let file = fs::File::options().write(true).open(&path).expect("open");
        file.set_len(LARGE).expect("grown");
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(seconds, 5);
        file.set_modified(time).expect("set");
    }

    #[test]
    fn the_time_counts_more_than_the_name_and_the_name_more_than_nothing() {
        let top = tempfile::tempdir().expect("a directory");
        plant(top.path(), "a/x", 1);
        plant(top.path(), "b/y", 2);
        fs::write(top.path().join("other"), vec![1; LARGE as usize + 1]).expect("written");
        assert_eq!(found(top.path(), "x", time(2)).as_deref(), Some("y"));
        assert_eq!(found(top.path(), "x", time(9)).as_deref(), Some("x"));
        assert!(found(top.path(), "z", time(9)).is_some(), "any of that size is better than none");
        for number in 0..COMMON {
            plant(top.path(), &format!("many/{number}"), 3);
        }
        assert_eq!(found(top.path(), "z", time(9)), None, "a common size says nothing");
        assert_eq!(found(top.path(), "y", time(9)).as_deref(), Some("y"));
    }

    /// The paths of the files that are found for a small one, and whether they have its time.
    fn paths(top: &Path, name: &str, size: u64, modified: Time) -> Vec<(String, bool)> {
        let dir = OwnedFd::from(fs::File::open(top).expect("a directory"));
        let mut candidates = Candidates::default();
        candidates.scan(&dir, CANDIDATE_LEAST, |_, _| false);
        let found = candidates.find(OsStr::new(name), size, modified);
        found.iter().map(|found| (found.path.to_string_lossy().into_owned(), found.same_time)).collect()
    }

    #[test]
    fn a_file_of_another_size_is_found_by_its_name_if_it_is_about_as_large() {
        let top = tempfile::tempdir().expect("a directory");
        for (path, size) in [("a/x", 10_000), ("b/x", 14_000), ("c/x", 90_000), ("d/y", 5_000), ("d/tiny", 4_095)] {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, vec![1; size]).expect("written");
        }
        let found = |name, size| paths(top.path(), name, size, time(1));
        assert_eq!(found("x", 13_000), [("b/x".to_owned(), false)]);
        assert_eq!(found("x", 400_000), []);
        assert_eq!(found("z", 13_000), []);
        assert_eq!(found("z", 5_000), [("d/y".to_owned(), false)]);
        assert_eq!(found("tiny", 4_095), [], "too small");
    }

    #[test]
    fn among_many_files_of_one_size_and_time_the_name_decides() {
        let top = tempfile::tempdir().expect("a directory");
        for number in 0..40 {
            let path = top.path().join(format!("{number}"));
            fs::write(&path, vec![1; 8192]).expect("written");
            let file = fs::File::options().write(true).open(&path).expect("open");
            let at = std::time::UNIX_EPOCH + std::time::Duration::new(7, 5);
            file.set_modified(at).expect("set");
        }
        assert_eq!(paths(top.path(), "17", 8192, time(7)), [("17".to_owned(), true)]);
        assert_eq!(paths(top.path(), "17", 8192, time(8)), [("17".to_owned(), false)]);
        assert_eq!(paths(top.path(), "41", 8192, time(7)), []);
    }

    #[test]
    fn links_and_temporary_files_are_not_followed_nor_used() {
        let (top, outside) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        plant(outside.path(), "secret", 1);
        std::os::unix::fs::symlink(outside.path(), top.path().join("directory")).expect("linked");
        std::os::unix::fs::symlink(outside.path().join("secret"), top.path().join("file")).expect("linked");
        plant(top.path(), ".secret.unglue-01234567", 1);
        assert_eq!(found(top.path(), "secret", time(1)), None);
    }

    #[test]
    fn what_is_excluded_is_not_found() {
        let top = tempfile::tempdir().expect("a directory");
        plant(top.path(), "private/x", 1);
        plant(top.path(), "open/y", 1);
        let dir = OwnedFd::from(fs::File::open(top.path()).expect("a directory"));
        let mut candidates = Candidates::default();
        candidates.scan(&dir, LARGE, |path, is_directory| is_directory && path == "private");
        let paths: Vec<_> =
            candidates.find(OsStr::new("x"), LARGE, time(1)).into_iter().map(|found| found.path).collect();
        assert_eq!(paths, [Box::from(OsStr::new("open/y"))]);
    }
}
