//! `unglue cp`: what was typed, and what it means.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::connection::ConnectionArgs;
use super::place::Place;
use super::target::HostArg;

const EXAMPLES: &str = "\
Examples:
  unglue cp notes.txt build.example:                    # to the home directory, or the root
  unglue cp -p a.tar b.tar ada@build.example:/var/tmp/  # several files need a directory
  unglue cp build.example:logs/today.log .
  unglue cp -P 7300 '[::1]:a file' .                    # HOST:7300 would be a path
  unglue cp ./a:b build.example:                        # a slash first: a local file
  unglue cp build.example:'~/notes.txt' .               # ~ is the home directory there, or the root

A file appears under its name complete, verified and synced, or not at all. A file that is
replaced keeps its mode, its access control list and its extended attributes; with -p it gets
the source's mode. A new file gets the mode that cp would give it there.

--inplace overwrites the file itself. It is for files that can't be replaced, such as
/etc/hosts in a container, which is a mount point. An interrupted copy then leaves a part of
the new file: the promise of whole files (P7) does not hold.

Exit status: 0; 1 if something was not copied (each is named); 125 if unglue itself failed.";

/// Copy files to or from another machine
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = "unglue cp [OPTIONS] SRC… DST    (one side is [user@]HOST:PATH)")]
pub(crate) struct CpArgs {
    /// Keep the exact mode and the modification time
    #[arg(short = 'p')]
    preserve: bool,
    /// Overwrite the destination file itself; an interrupted copy leaves a part of it
    #[arg(long = "inplace")]
    in_place: bool,
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    #[arg(help = "The sources, and last the destination; either side may be [user@]HOST:PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// What a command line of `cp` means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CpPlan {
    pub(crate) host: HostArg,
    pub(crate) preserve: bool,
    pub(crate) in_place: bool,
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
    /// It names no server, two of them, or a copy from one server to another.
    pub(crate) fn plan(&self) -> Result<CpPlan, String> {
        let mut places = self.paths.iter().map(|path| Place::parse(path)).collect::<Result<Vec<_>, _>>()?;
        let destination = places.pop().ok_or("there is no destination")?;
        let several = places.len() > 1;
        let (host, way) = match destination {
            Place::Remote(host, path) => {
                let sources = places.into_iter().map(local).collect::<Result<_, _>>()?;
                (host, Way::Up { sources, destination: as_directory(path, several) })
            }
            Place::Local(path) => {
                let (host, sources) = from_one_host(places)?;
                (host, Way::Down { sources, destination: as_directory(path, several) })
            }
        };
        Ok(CpPlan { host, preserve: self.preserve, in_place: self.in_place, way })
    }
}

fn local(place: Place) -> Result<PathBuf, String> {
    match place {
        Place::Local(path) => Ok(path),
        Place::Remote(..) => Err("a copy from one server to another isn't possible; fetch the file first".into()),
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

    fn plan(paths: &[&str]) -> Result<CpPlan, String> {
        let paths = paths.iter().map(OsString::from).collect();
        CpArgs { connection: ConnectionArgs::default(), preserve: false, in_place: false, paths }.plan()
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
            (&["h:a", "h:b"], "one server to another"),
            (&["h:a", "i:b", "."], "two servers"),
            (&["h:a", "b", "."], "both local"),
            (&["a", "h:b", "h:c"], "one server to another"),
        ] {
            let said = plan(paths).expect_err(why);
            assert!(said.contains(why), "{said}");
        }
    }
}
