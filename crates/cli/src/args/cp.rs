//! `unglue cp`: what was typed, and what it means.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use unglue::{Layout, TreeMove, TreeOptions};

use super::compress::Compress;
use super::connection::ConnectionArgs;
use super::limit::Limit;
use super::place::Place;
use super::sync::{TreePlan, TreeWay};
use super::target::HostArg;

const EXAMPLES: &str = "\
Examples:
  unglue cp notes.txt build.example:                    # to the home directory, or the root
  unglue cp -p a.tar b.tar ada@build.example:/var/tmp/  # several files need a directory
  unglue cp build.example:logs/today.log .
  unglue cp -P 7300 '[::1]:a file' .                    # HOST:7300 would be a path
  unglue cp ./a:b build.example:                        # with ./, a local file called a:b
  unglue cp build.example:'~/notes.txt' .               # ~ is the home directory there, or the root
  unglue cp --resume disk.img build.example:            # again, after an interruption: the rest
  unglue cp -r project build.example:                   # a directory with everything in it
  unglue cp -r a.example:data b.example:                # between servers, through this machine
  unglue cp --compress auto app.log build.example:      # send fewer bytes where that is faster
  unglue cp --explain disk.img build.example:           # and why it was no faster

A file appears under its name complete, verified and synced, or not at all. A file that is
replaced keeps its mode, its access control list and its extended attributes; with -p it gets
the source's mode. A new file gets the mode that cp would give it there.

--inplace overwrites the file itself. It is for files that can't be replaced, such as
/etc/hosts in a container, which is a mount point. An interrupted copy then leaves a part of
the new file: the promise of whole files (P7) does not hold.

If a file of 1 MiB or more replaces another one, only what changed is sent: both sides read their
file, and the parts that the destination has, at whatever offset, are copied there. --whole-file
turns this off; that is faster where the network is faster than the disks. In directories, this is for
files of 16 KiB or more, and for files of the destination that have other names.

With --resume, an interrupted copy of a file of more than 16 MiB leaves what came in a hidden file
beside the destination, for 24 hours. The next cp --resume to the same destination sends the rest, and
blocks of 16 MiB that are not as in the source. It is the same user's and the same key's alone.
With -r, files that are complete already are found by their content, and are not sent again.

-r copies symbolic links as links, and keeps the holes of sparse files; without it, a sparse file
arrives with its holes filled, so use it for one such file, too. Devices, sockets and FIFOs are skipped,
and each is reported. To send only files that changed, or to keep owners, hard links and extended
attributes, use unglue sync.

--compress auto measures as it goes: it leaves alone what does not get smaller, and compresses
only as hard as the connection is slow. What arrives is checked as without it. Compressed lengths
tell something about the content: see SECURITY.md before you use it for secrets.

Exit status: 0; 1 if something was not copied (each is named); 125 if unglue itself failed.";

/// Copy files to or from another machine
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = "unglue cp [OPTIONS] SRC… DST    (one side is [user@]HOST:PATH)")]
pub(crate) struct CpArgs {
    /// Copy directories with everything in them
    #[arg(short = 'r', long = "recursive", conflicts_with = "in_place")]
    recursive: bool,
    /// Keep the exact mode and the modification time
    #[arg(short = 'p')]
    preserve: bool,
    /// Overwrite the destination file itself; an interrupted copy leaves a part of it
    #[arg(long = "inplace")]
    in_place: bool,
    /// Go on where an interrupted copy of a large file stopped, and keep what comes if this one is interrupted
    #[arg(long, conflicts_with = "in_place")]
    resume: bool,
    /// Send the whole file, even where only a part of it has changed
    #[arg(long = "whole-file")]
    whole_file: bool,
    /// Move at most RATE bytes a second: 500K, 1.5M or 1G, in multiples of 1024 (KB, MB, GB: of 1000); a bare number is KiB,
    /// as rsync's --bwlimit has it
    #[arg(long, value_name = "RATE")]
    limit: Option<Limit>,
    /// Compress on the way: auto (where it is faster), zstd:N (always, N from 1 to 19), or off
    #[arg(long, value_name = "HOW", default_value = "off", hide_default_value = true)]
    compress: Compress,
    /// Say afterwards what it waited for: source, old file, limit, processors, link, window, destination or the last sync
    #[arg(long)]
    explain: bool,
    /// With -r: print JSON, one object for each event and one for the end
    #[arg(long, requires = "recursive")]
    json: bool,
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    #[arg(help = "The sources, and last the destination; either side may be [user@]HOST:PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// What a command line of `cp` means.
#[derive(Debug)]
pub(crate) enum Copy {
    /// Files, one after the other.
    Files(CpPlan),
    /// Trees, or from one server to another.
    Tree(TreePlan),
}

/// What a copy of files to or from one server is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CpPlan {
    pub(crate) host: HostArg,
    pub(crate) preserve: bool,
    pub(crate) in_place: bool,
    pub(crate) resume: bool,
    pub(crate) whole_file: bool,
    pub(crate) limit: Option<Limit>,
    pub(crate) compress: Compress,
    pub(crate) explain: bool,
    pub(crate) way: Way,
}

/// Which way the files go. A destination that only a directory may be ends in a slash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Local files to a path of the server.
    Up { sources: Vec<PathBuf>, destination: PathBuf },
    /// The server's files to a local path.
    Down { sources: Vec<PathBuf>, destination: PathBuf },
}

impl CpArgs {
    /// Works out what the command line means.
    ///
    /// # Errors
    /// It names no server, or sources on several.
    pub(crate) fn plan(&self) -> Result<Copy, String> {
        let mut places = self.paths.iter().map(|path| Place::parse(path)).collect::<Result<Vec<_>, _>>()?;
        let destination = places.pop().ok_or("there is no destination")?;
        let several = places.len() > 1;
        let way = match destination {
            Place::Remote(host, path) if places.iter().all(|place| matches!(place, Place::Remote(..))) => {
                let impossible = [("--inplace", self.in_place), ("--explain", self.explain)];
                if let Some((option, _)) = impossible.iter().find(|(_, given)| *given) {
                    return Err(format!("{option} isn't possible from one server to another"));
                }
                let (from, sources) = from_one_host(places)?;
                return Ok(Copy::Tree(self.tree(TreeWay::Between {
                    from,
                    sources,
                    host,
                    to: as_directory(path, several),
                })));
            }
            Place::Remote(host, path) => {
                let sources = places.into_iter().map(local).collect::<Result<_, _>>()?;
                TreeWay::Up { sources, host, to: as_directory(path, several) }
            }
            Place::Local(path) => {
                let (host, sources) = from_one_host(places)?;
                TreeWay::Down { host, sources, to: as_directory(path, several) }
            }
        };
        if self.recursive {
            return Ok(Copy::Tree(self.tree(way)));
        }
        let (host, way) = match way {
            TreeWay::Up { sources, host, to } => (host, Way::Up { sources, destination: to }),
            TreeWay::Down { host, sources, to } => (host, Way::Down { sources, destination: to }),
            TreeWay::Between { .. } => return Err("a copy between servers moves trees".into()),
        };
        let CpArgs { preserve, in_place, resume, whole_file, limit, compress, explain, .. } = *self;
        Ok(Copy::Files(CpPlan { host, preserve, in_place, resume, whole_file, limit, compress, explain, way }))
    }

    fn tree(&self, way: TreeWay) -> TreePlan {
        let options = TreeOptions {
            recursive: self.recursive,
            everything: true,
            times: self.preserve,
            modes: self.preserve,
            beside: true,
            delta: !self.whole_file,
            delta_small: !self.whole_file,
            resume: self.resume,
            // What is complete already is found by content: a copy doesn't keep times.
            checksum: self.resume,
            report: self.json,
            ..TreeOptions::default()
        };
        let tree = TreeMove::new(Layout::Copy, options).pace(Limit::pace(self.limit)).compress(self.compress.0);
        TreePlan { way, tree, verbose: false, json: self.json, explain: self.explain }
    }
}

fn local(place: Place) -> Result<PathBuf, String> {
    match place {
        Place::Local(path) => Ok(path),
        Place::Remote(host, _) => {
            Err(format!("the sources are on {host} and on this machine; copy from one at a time"))
        }
    }
}

fn from_one_host(places: Vec<Place>) -> Result<(HostArg, Vec<PathBuf>), String> {
    let (mut from, mut sources) = (None, Vec::new());
    for place in places {
        match (place, &from) {
            (Place::Local(path), _) => {
                let path = path.display();
                return Err(format!("{path} and the destination are both local; one side must be HOST:PATH"));
            }
            (Place::Remote(host, _), Some(first)) if host != *first => {
                return Err(format!("{first} and {host} are two servers; copy from one at a time"));
            }
            (Place::Remote(host, path), _) => {
                from = Some(host);
                sources.push(path);
            }
        }
    }
    Ok((from.ok_or("there is no source")?, sources))
}

/// Several files need a directory, which a path with a slash at its end must be.
fn as_directory(path: PathBuf, several: bool) -> PathBuf {
    match several {
        true => path.join(""),
        false => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(paths: &[&str], recursive: bool) -> CpArgs {
        let paths = paths.iter().map(OsString::from).collect();
        let connection = ConnectionArgs::default();
        let (preserve, in_place, resume, whole_file) = (false, false, false, false);
        let (json, explain) = (false, false);
        let compress = Compress::default();
        CpArgs {
            connection,
            recursive,
            json,
            limit: None,
            compress,
            explain,
            preserve,
            in_place,
            resume,
            whole_file,
            paths,
        }
    }

    fn plan(paths: &[&str]) -> Result<CpPlan, String> {
        match args(paths, false).plan()? {
            Copy::Files(plan) => Ok(plan),
            Copy::Tree(plan) => Err(format!("a tree: {:?}", plan.way)),
        }
    }

    #[test]
    fn directories_and_two_servers_are_trees() {
        let Ok(Copy::Tree(up)) = args(&["a", "h:b"], true).plan() else { panic!("not a tree") };
        assert!(matches!(up.way, TreeWay::Up { .. }) && up.tree.options.recursive, "{up:?}");
        let Ok(Copy::Tree(between)) = args(&["h:a", "i:b"], false).plan() else { panic!("not a tree") };
        let TreeWay::Between { from, host, .. } = &between.way else { panic!("{between:?}") };
        assert_eq!((from.host.as_str(), host.host.as_str()), ("h", "i"));
        assert!(!between.tree.options.recursive);
    }

    #[test]
    fn both_ways_are_understood() {
        let up = plan(&["a", "./b:c", "h:d"]).expect("a plan").way;
        assert_eq!(up, Way::Up { sources: vec!["a".into(), "./b:c".into()], destination: "d/".into() });
        let down = plan(&["h:a", "."]).expect("a plan").way;
        assert_eq!(down, Way::Down { sources: vec!["a".into()], destination: ".".into() });
        let top = plan(&["a", "b", "h:"]).expect("a plan").way;
        assert_eq!(top, Way::Up { sources: vec!["a".into(), "b".into()], destination: "".into() });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (paths, why) in [
            (&["a", "b"][..], "both local"),
            (&["h:a", "i:b", "."], "two servers"),
            (&["h:a", "b", "."], "both local"),
            (&["a", "h:b", "h:c"], "one at a time"),
        ] {
            let said = plan(paths).expect_err(why);
            assert!(said.contains(why), "{said}");
        }
    }
}
