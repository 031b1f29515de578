//! Trees: `unglue sync`, and `unglue cp` where directories are copied or both sides are servers.

mod bar;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use unglue::{Client, Explained, Fault, Octets, Owner, Store, Summary, TreeEvent, TreeListener, TreeUpdate, relay};

use crate::access::Access;
use crate::args::connection::ConnectionArgs;
use crate::args::sync::{SyncArgs, TreePlan, TreeWay};
use crate::complaint::{Complaint, FAILED, say};
use crate::explain::{self, Moved};
use crate::signals::{Signals, Wish};
use crate::{local_store, runtime, standard};
use bar::TreeBar;

/// Something was not done.
const NOT_ALL: u8 = 1;
/// How long an interrupted client waits for its disk to remove what came.
const REMOVAL: Duration = Duration::from_secs(5);

/// Runs `sync`.
///
/// # Errors
/// Nothing was done.
pub(crate) fn sync(args: &SyncArgs) -> Result<ExitCode, Complaint> {
    let plan = args.plan().map_err(Complaint::new)?;
    run(plan, &args.connection)
}

/// Moves a tree.
///
/// # Errors
/// Nothing was done.
pub(crate) fn run(plan: TreePlan, connection: &ConnectionArgs) -> Result<ExitCode, Complaint> {
    if plan.json || plan.verbose {
        standard::check_stdout()?;
    }
    let (near, far) = match &plan.way {
        TreeWay::Up { host, .. } | TreeWay::Down { host, .. } => (Access::new(host, connection)?, None),
        TreeWay::Between { from, host, .. } => (Access::new(from, connection)?, Some(Access::new(host, connection)?)),
    };
    let store = local_store::open()?;
    let store = match &plan.way {
        TreeWay::Down { host, .. } => store.owned_by(Owner::named(host.to_string().as_bytes())),
        _ => store,
    };
    runtime::run(async {
        let client = near.connect().await?;
        let other = match &far {
            Some(far) => Some(far.connect().await?),
            None => None,
        };
        near.tell_compression(&client, plan.tree.compression).await;
        if let (Some(far), Some(other)) = (&far, &other) {
            far.tell_compression(other, plan.tree.compression).await;
        }
        let mut signals =
            Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        let show = Arc::new(Mutex::new(Show::new(&plan)));
        let explains = plan.explain && !plan.tree.options.dry_run;
        let watch = if explains { Some(client.watch().await?.limited(&plan.tree.pace)) } else { None };
        let started = Instant::now();
        let moved = tokio::select! {
            moved = carry(&client, other.as_ref(), &store, &plan, listener(&show)) => Ok(moved),
            wish = signals.next() => Err(wish),
        };
        // What an interrupt cut off is removed before this process ends.
        let _ = tokio::time::timeout(REMOVAL, store.idle()).await;
        let took = started.elapsed();
        let explained = match &moved {
            Ok(Ok(summary)) => explain::end(watch, (summary.bytes, matches!(plan.way, TreeWay::Up { .. }))).await,
            _ => None,
        };
        let mut show = show.lock().unwrap_or_else(PoisonError::into_inner);
        show.bar.clear();
        match moved {
            Ok(Ok(summary)) => show.conclude(&summary, took, explained.as_ref()),
            Ok(Err(fault)) => show.failed(&fault),
            Err(wish) => Err(interrupted(wish)),
        }
    })
}

fn interrupted(wish: Wish) -> Complaint {
    Complaint::new("interrupted; files that were complete are in place; run it again to go on")
        .exit(128 + wish.signal())
}

async fn carry(
    client: &Client,
    other: Option<&Client>,
    store: &Store,
    plan: &TreePlan,
    listener: TreeListener<'_>,
) -> Result<Summary, Fault> {
    match (&plan.way, other) {
        (TreeWay::Up { sources, to, .. }, _) => client.push(store, sources, to, &plan.tree, listener).await,
        (TreeWay::Down { sources, to, .. }, _) => client.pull(sources, store, to, &plan.tree, listener).await,
        (TreeWay::Between { sources, to, .. }, Some(other)) => {
            relay((client, sources), (other, to.as_os_str()), &plan.tree, listener).await
        }
        (TreeWay::Between { .. }, None) => Err(Fault::us("there is no link to the second server")),
    }
}

fn listener(show: &Arc<Mutex<Show>>) -> TreeListener<'static> {
    let show = show.clone();
    Box::new(move |update| show.lock().unwrap_or_else(PoisonError::into_inner).take(update))
}

/// What a user is shown.
struct Show {
    json: bool,
    verbose: bool,
    dry_run: bool,
    bar: TreeBar,
    written: Result<(), std::io::Error>,
}

impl Show {
    fn new(plan: &TreePlan) -> Show {
        let dry_run = plan.tree.options.dry_run;
        let (json, verbose) = (plan.json, plan.verbose);
        Show { json, verbose, dry_run, bar: TreeBar::new(!json && !verbose), written: Ok(()) }
    }

    fn take(&mut self, update: TreeUpdate<'_>) {
        match update {
            TreeUpdate::Moving(moving) => self.bar.moving(moving),
            TreeUpdate::Event(TreeEvent::Problem(fault)) => {
                let text = fault.to_string();
                self.bar.aside(|| say(&text));
                if self.json {
                    self.print(json!({"problem": fault}).to_string());
                }
            }
            TreeUpdate::Event(TreeEvent::Changed(path)) => self.path("changed", "", &Octets::from(path.as_os_str())),
            TreeUpdate::Event(TreeEvent::Deleted(path)) => {
                self.path("deleted", "deleting ", &Octets::from(path.as_os_str()));
            }
            _ => {}
        }
    }

    fn path(&mut self, kind: &str, word: &str, path: &Octets) {
        if self.json {
            self.print(json!({kind: {"path": path}}).to_string());
        } else if self.verbose {
            self.print(format!("{word}{path}"));
        }
    }

    /// Keeps the first failure; a reader that has enough is none.
    fn print(&mut self, line: String) {
        if self.written.is_ok() {
            let mut out = standard::stdout();
            self.written = out.write_all((line + "\n").as_bytes()).and_then(|()| out.flush());
        }
    }

    fn conclude(
        &mut self,
        summary: &Summary,
        took: Duration,
        explained: Option<&Explained>,
    ) -> Result<ExitCode, Complaint> {
        if self.json {
            if let Some(explained) = explained {
                self.print(json!({"explained": explained}).to_string());
            }
            self.print(json!({"summary": summary, "seconds": took.as_secs_f64(), "dry_run": self.dry_run}).to_string());
        } else if self.verbose {
            self.print(sentence(summary, took, self.dry_run));
        } else {
            self.bar.done(&sentence(summary, took, self.dry_run));
        }
        if let Some(explained) = explained.filter(|_| !self.json) {
            explain::tell(explained, Moved::Tree { deleted: summary.deleted > 0 });
        }
        standard::unless_enough(std::mem::replace(&mut self.written, Ok(())))?;
        Ok(ExitCode::from(if summary.problems == 0 { 0 } else { NOT_ALL }))
    }

    fn failed(&mut self, fault: &Fault) -> Result<ExitCode, Complaint> {
        if self.json {
            self.print(json!({"failed": fault}).to_string());
        }
        say(&fault.to_string());
        let code = match fault.code {
            unglue::Code::LinkLost | unglue::Code::Denied | unglue::Code::GoingAway | unglue::Code::NotAllowed => {
                FAILED
            }
            unglue::Code::BadFrame | unglue::Code::BadMessage | unglue::Code::Internal => FAILED,
            unglue::Code::Unsupported | unglue::Code::Unreachable => FAILED,
            _ => NOT_ALL,
        };
        Ok(ExitCode::from(code))
    }
}

/// What was done, in one line.
fn sentence(summary: &Summary, took: Duration, dry_run: bool) -> String {
    let (files, bytes) = (summary.files, amount(summary.bytes));
    let mut text = match dry_run {
        true => format!("{} entries; {files} files ({bytes}) would be sent", summary.entries),
        false => format!("{} entries; {files} files sent, {bytes}", summary.entries),
    };
    let saved = summary.size.saturating_sub(summary.bytes);
    if saved > 0 {
        text += &format!(" of {}", amount(summary.size));
    }
    if !dry_run && took > Duration::ZERO {
        let rate = summary.bytes as f64 / took.as_secs_f64();
        text += &format!(", {}/s", amount(rate as u64));
    }
    for (count, what) in
        [(summary.unchanged, "unchanged"), (summary.deleted, "deleted"), (summary.problems, "not done")]
    {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text + &format!("; tree digest {}", &summary.blake3[..summary.blake3.len().min(16)])
}

/// A number of bytes for people.
pub(crate) fn amount(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_names_what_was_done_and_what_was_not() {
        let summary = Summary {
            entries: 10,
            files: 2,
            bytes: 2048,
            size: 1 << 30,
            unchanged: 5,
            problems: 1,
            blake3: "0123456789abcdef0123".into(),
            ..Summary::default()
        };
        let text = sentence(&summary, Duration::from_secs(2), false);
        assert_eq!(
            text,
            "10 entries; 2 files sent, 2.0 KiB of 1.0 GiB, 1.0 KiB/s, 5 unchanged, 1 not done; tree digest 0123456789abcdef"
        );
        let text = sentence(&Summary::default(), Duration::from_secs(2), true);
        assert!(text.starts_with("0 entries; 0 files (0 B) would be sent"), "{text}");
    }
}
