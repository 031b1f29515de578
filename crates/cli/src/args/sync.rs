//! `unglue sync`: what was typed, and what it means.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use unglue::{Chmod, Layout, TreeMove, TreeOptions};

use super::compress::Compress;
use super::connection::ConnectionArgs;
use super::limit::Limit;
use super::lists::paths_in;
use super::place::Place;
use super::rules::RuleArgs;
use super::target::HostArg;

const EXAMPLES: &str = "\
Examples:
  unglue sync -a src/ build.example:src/             # the contents of src, to src there
  unglue sync -a src build.example:                  # the directory itself: makes src there
  unglue sync -an --delete site/ www.example:site/   # show what would be done
  unglue sync -a --exclude '*.o' --exclude /tmp/ build.example:project .
  unglue sync -a --gitignore --delete . build.example:project
  unglue sync -a --files-from list.txt / backup.example:/
  unglue sync -a --resume vms/ backup.example:vms    # after an interruption: the same command again
  unglue sync -a --explain src build.example:        # and why it was no faster
  unglue sync -a --delete --atomic site/ www.example:site   # the old site or the new one, never a mix

A file is skipped if its size and its modification time, to the nanosecond, are equal to those of
the source; with --checksum, if its content is equal. A file appears under its name complete,
verified and synced, or not at all. --delete removes what the source doesn't have, after everything
has arrived. If something did not arrive, it deletes nothing.

Of a file of 16 KiB or more that has changed, only what changed is sent. A file that was renamed or copied
is made of the destination's own file, if that has 4 KiB or more and the same size; so a renamed
directory costs little. --whole-file turns both off.
With --resume, an interrupted sync keeps what came of files of more than 16 MiB in hidden files beside
their destinations, for 24 hours, and the next sync --resume goes on with them.

--compress auto measures as it goes: it leaves alone what does not get smaller, and compresses
only as hard as the connection is slow. See unglue cp --help.

--atomic makes the new directory beside DST and exchanges the two names at the end. Files that
have not changed are hard links of the old ones meanwhile.

Patterns are rsync's; the first one that matches a name counts. /x matches at the top only, x/
matches directories only, * stops at a slash, ** doesn't. Excluded files are not deleted, unless
--delete-excluded is given.

Exit status: 0; 1 if something was not done (each is named); 125 if unglue itself failed.";

/// Copy a directory to or from another machine, and send only what changed
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = "unglue sync [OPTIONS] SRC DST    (one side is [user@]HOST:PATH)")]
pub(crate) struct SyncArgs {
    /// Keep everything: modes, times of directories and links, hard links, extended attributes, access control lists,
    /// and owners where root writes
    #[arg(short = 'a', long)]
    archive: bool,
    /// Write nothing; show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Delete what the source doesn't have, once everything has arrived
    #[arg(long)]
    delete: bool,
    /// Delete what the patterns exclude as well; implies --delete
    #[arg(long)]
    delete_excluded: bool,
    /// Delete nothing if more than N entries would be deleted
    #[arg(long, value_name = "N")]
    max_delete: Option<u64>,
    #[command(flatten)]
    rules: RuleArgs,
    /// Copy only the paths that this file lists, one per line, relative to SRC, with everything in them (- is standard input)
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// Leave out what the .gitignore files of the source name
    #[arg(long)]
    gitignore: bool,
    /// Compare files by content rather than by size and time
    #[arg(long)]
    checksum: bool,
    /// Change the permission bits: 644, D755,F644 or u=rwX,go-w
    #[arg(long, value_name = "MODE")]
    chmod: Option<String>,
    /// Move at most RATE bytes a second: 500K, 1.5M or 1G, in multiples of 1024 (KB, MB, GB: of 1000); a bare number is KiB,
    /// as rsync's --bwlimit has it
    #[arg(long, value_name = "RATE")]
    limit: Option<Limit>,
    /// Compress on the way: auto (where it is faster), zstd:N (always, N from 1 to 19), or off
    #[arg(long, value_name = "HOW", default_value = "off", hide_default_value = true)]
    compress: Compress,
    /// Go on with large files of an interrupted sync, and keep what comes of them if this one is interrupted
    #[arg(long, conflicts_with = "atomic")]
    resume: bool,
    /// Send whole files, even where only a part of them has changed
    #[arg(short = 'W', long)]
    whole_file: bool,
    /// Say afterwards what it waited for: source, old file, limit, processors, link, window, destination or the last sync
    #[arg(long)]
    explain: bool,
    /// Replace the directory DST as a whole once everything has come, and leave it as it was if anything did not
    #[arg(long)]
    atomic: bool,
    /// Print JSON: one object for each event, and one for the end
    #[arg(long)]
    json: bool,
    #[arg(required = true, num_args = 2, value_names = ["SRC", "DST"])]
    #[arg(help = "The source and the destination; one of them is [user@]HOST:PATH. SRC/ means the contents of SRC")]
    paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// What a command line that moves a tree means.
#[derive(Debug, Clone)]
pub(crate) struct TreePlan {
    pub(crate) way: TreeWay,
    pub(crate) tree: TreeMove,
    /// Whether each change is named.
    pub(crate) verbose: bool,
    pub(crate) json: bool,
    /// Whether it is told what was waited for.
    pub(crate) explain: bool,
}

/// Which way a tree goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TreeWay {
    /// To a server.
    Up { sources: Vec<PathBuf>, host: HostArg, to: PathBuf },
    /// From a server.
    Down { host: HostArg, sources: Vec<PathBuf>, to: PathBuf },
    /// From one server to another.
    Between { from: HostArg, sources: Vec<PathBuf>, host: HostArg, to: PathBuf },
}

impl SyncArgs {
    /// Works out what the command line means.
    ///
    /// # Errors
    /// It names no server, or two; or a file of patterns can't be read.
    pub(crate) fn plan(&self) -> Result<TreePlan, String> {
        let [source, destination] = self.paths.as_slice() else {
            return Err("name one source and one destination".into());
        };
        let way = match (Place::parse(source)?, Place::parse(destination)?) {
            (Place::Local(source), Place::Remote(host, to)) => TreeWay::Up { sources: vec![source], host, to },
            (Place::Remote(host, source), Place::Local(to)) => TreeWay::Down { host, sources: vec![source], to },
            (Place::Local(_), Place::Local(_)) => return Err("both sides are local; one must be HOST:PATH".into()),
            (Place::Remote(..), Place::Remote(..)) => {
                return Err("both sides are servers; sync one of them with this machine, or use cp -r".into());
            }
        };
        if self.max_delete.is_some() && !self.delete && !self.delete_excluded {
            return Err("--max-delete means nothing without --delete".into());
        }
        if let Some(text) = &self.chmod {
            text.parse::<Chmod>()?;
        }
        let only = self.files_from.as_deref().map(paths_in).transpose()?.unwrap_or_default();
        if self.files_from.is_some() && only.is_empty() {
            return Err("the file of --files-from names nothing".into());
        }
        let options = TreeOptions {
            recursive: true,
            times: true,
            modes: self.archive || self.chmod.is_some(),
            owners: self.archive,
            hard_links: self.archive,
            attributes: self.archive,
            acls: self.archive,
            checksum: self.checksum,
            delete: self.delete || self.delete_excluded,
            delete_excluded: self.delete_excluded,
            max_delete: self.max_delete,
            dry_run: self.dry_run,
            atomic: self.atomic,
            report: self.connection.verbose || self.dry_run || self.json,
            beside: true,
            delta: !self.whole_file,
            delta_small: !self.whole_file,
            resume: self.resume,
            rules: self.rules.rules.clone(),
            gitignore: self.gitignore,
            chmod: self.chmod.clone(),
            only,
            ..TreeOptions::default()
        };
        let verbose = self.connection.verbose || self.dry_run;
        let tree = TreeMove::new(Layout::Into, options).pace(Limit::pace(self.limit)).compress(self.compress.0);
        Ok(TreePlan { way, tree, verbose, json: self.json, explain: self.explain })
    }
}
