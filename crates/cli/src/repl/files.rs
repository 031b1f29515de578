//! `put` and `get` at the prompt.

use std::ffi::OsStr;
use std::future::Future;
use std::path::{Path, PathBuf};

use unglue::{Download, Fault, Tally, TransferOptions, Upload};

use super::line::Word;
use super::reply::unless_lost;
use super::{Repl, ended_by, local_files};
use crate::complaint::{Complaint, printable, say};
use crate::progress::Bar;
use crate::signals::{Signals, Wish};
use crate::{local_store, standard};

impl Repl {
    /// Copies local files to the server: to the directory of the conversation, unless a destination is named.
    pub(super) async fn put(&mut self, files: Word, to: Option<Word>) -> Result<(), Complaint> {
        let files = match local_files::files(&files) {
            Ok(files) => files,
            Err(why) => {
                say(&why);
                return Ok(());
            }
        };
        let to = self.directory.path(&to.map(|to| to.text()).unwrap_or_default());
        // Several files need a directory, which a path with a slash at its end must be.
        let to = if files.len() > 1 { to.join("") } else { to };
        for file in files {
            if !self.put_one(&file, &to).await? {
                break;
            }
        }
        Ok(())
    }

    /// Copies one file. `false` if it was interrupted.
    async fn put_one(&mut self, file: &Path, to: &Path) -> Result<bool, Complaint> {
        let store = local_store::open()?;
        let bar = Bar::of(&file.to_string_lossy());
        let options = TransferOptions::default().progress(bar.listener());
        let copying = self.client.put(Upload::file(&store, file), to, options);
        let copied = unless_interrupted(copying, &mut self.signals).await?;
        conclude(copied, bar, file.as_os_str())
    }

    /// Fetches a file of the server to this machine's working directory, unless a destination is named.
    pub(super) async fn get(&mut self, file: Word, to: Option<Word>) -> Result<(), Complaint> {
        let store = local_store::open()?;
        let file = file.text();
        let from = self.directory.path(&file);
        let to = to.map_or_else(|| PathBuf::from("."), |to| local_files::path(&to));
        let bar = Bar::of(&file.to_string_lossy());
        let options = TransferOptions::default().progress(bar.listener());
        let copying = self.client.get(&from, Download::file(&store, &to), options);
        let copied = unless_interrupted(copying, &mut self.signals).await;
        // The part of an interrupted file is removed before this process may end.
        store.idle().await;
        conclude(copied?, bar, &file).map(|_| ())
    }
}

/// Ctrl-C discards the transfer; the other signals end the conversation.
async fn unless_interrupted(
    copying: impl Future<Output = Result<Tally, Fault>>,
    signals: &mut Signals,
) -> Result<Option<Result<Tally, Fault>>, Complaint> {
    tokio::select! {
        copied = copying => Ok(Some(copied)),
        wish = signals.next() => match wish {
            Wish::Interrupt => Ok(None),
            wish => Err(ended_by(wish)),
        },
    }
}

/// Says what became of a file. `false` if the copy was interrupted.
fn conclude(copied: Option<Result<Tally, Fault>>, bar: Bar, file: &OsStr) -> Result<bool, Complaint> {
    let file = printable(&file.to_string_lossy());
    match copied {
        Some(Ok(tally)) => {
            bar.finish();
            standard::print(format!("{file}: {} bytes, blake3 {}\n", tally.bytes, tally.blake3)).map(|()| true)
        }
        Some(Err(fault)) => {
            bar.clear();
            unless_lost(fault).map(|()| true)
        }
        None => {
            bar.clear();
            say(&format!("{file}: interrupted, and not copied"));
            Ok(false)
        }
    }
}
