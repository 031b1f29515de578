//! `put` and `get` at the prompt.

use std::ffi::{OsStr, OsString};
use std::future::Future;

use unglue::{Download, Fault, Tally, TransferOptions, Upload};

use super::reply::unless_lost;
use super::{Session, ended_by};
use crate::complaint::{Complaint, printable, say};
use crate::local_store;
use crate::progress::Bar;
use crate::signals::{Signals, Wish};

impl Session {
    /// Copies a local file to the server: here, unless a destination is named.
    pub(super) async fn put(&mut self, file: OsString, to: Option<OsString>) -> Result<(), Complaint> {
        let store = local_store::open()?;
        let to = self.folder.path(to.as_deref().unwrap_or(OsStr::new("")));
        let bar = Bar::of(&file.to_string_lossy());
        let options = TransferOptions::default().progress(bar.listener());
        let copying = self.client.put(Upload::file(&store, &file), &to, options);
        let copied = unless_interrupted(copying, &mut self.signals).await?;
        conclude(copied, bar, &file)
    }

    /// Fetches a file of the server to this machine's working directory, unless a destination is named.
    pub(super) async fn get(&mut self, file: OsString, to: Option<OsString>) -> Result<(), Complaint> {
        let store = local_store::open()?;
        let from = self.folder.path(&file);
        let to = to.unwrap_or_else(|| OsString::from("."));
        let bar = Bar::of(&file.to_string_lossy());
        let options = TransferOptions::default().progress(bar.listener());
        let copying = self.client.get(&from, Download::file(&store, &to), options);
        let copied = unless_interrupted(copying, &mut self.signals).await;
        // The part of an interrupted file is removed before this process may end.
        store.idle().await;
        conclude(copied?, bar, &file)
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

fn conclude(copied: Option<Result<Tally, Fault>>, bar: Bar, file: &OsStr) -> Result<(), Complaint> {
    let file = printable(&file.to_string_lossy());
    match copied {
        Some(Ok(tally)) => {
            bar.finish();
            println_quietly(&format!("{file}: {} bytes, blake3 {}", tally.bytes, tally.blake3));
            Ok(())
        }
        Some(Err(fault)) => {
            bar.clear();
            unless_lost(fault)
        }
        None => {
            bar.clear();
            say(&format!("{file}: interrupted, and not copied"));
            Ok(())
        }
    }
}

/// A reader of standard output who went away is no failure.
fn println_quietly(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
