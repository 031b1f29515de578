//! `unglue cp`: files to a server or from it, one after the other.

mod hint;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use unglue::{Client, Code, Download, Fault, Owner, Pace, Store, TransferOptions, Upload, Watch};

use crate::access::Access;
use crate::args::cp::{Copy, CpArgs, CpPlan, Way};
use crate::args::limit::Limit;
use crate::complaint::{Complaint, FAILED, say};
use crate::explain::{self, Moved};
use crate::progress::Bar;
use crate::signals::{Signals, Wish};
use crate::{local_store, runtime, standard, trees};

/// Something was not copied.
const NOT_ALL: u8 = 1;
/// How long an interrupted client waits for its disk to remove what came.
const REMOVAL: Duration = Duration::from_secs(5);
/// Names of this process's standard output. It can't be replaced, but it can be written to.
const STANDARD_OUTPUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Runs the command line.
///
/// # Errors
/// Nothing was copied.
pub(crate) fn run(args: &CpArgs) -> Result<ExitCode, Complaint> {
    let plan = match args.plan().map_err(Complaint::new)? {
        Copy::Files(plan) => plan,
        Copy::Tree(plan) => return trees::run(plan, &args.connection),
    };
    let access = Access::new(&plan.host, &args.connection)?;
    // What one server has sent is not another one's to go on with.
    let store = local_store::open()?.owned_by(Owner::named(plan.host.to_string().as_bytes()));
    runtime::run(async {
        let client = access.connect().await.map_err(|failed| hint::unreached(failed, &plan))?;
        access.tell_compression(&client, plan.compress.0).await;
        let mut signals =
            Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        let pace = Limit::pace(plan.limit);
        let watch = if plan.explain { Some(client.watch().await?.limited(&pace)) } else { None };
        let (port, bytes) = (args.connection.port, AtomicU64::new(0));
        let copying = Copying { client, store, plan, pace, port, bytes };
        let ended = tokio::select! {
            code = copying.all() => Ok(code),
            wish = signals.next() => Err(interrupted(wish, copying.plan.resume)),
        };
        // What an interrupt cut off is removed before this process ends.
        let _ = tokio::time::timeout(REMOVAL, copying.store.idle()).await;
        match ended {
            Ok(code) => copying.explain(watch, code).await,
            // A copy that is just beginning holds the link open.
            Err(_) => copying.client.close(),
        }
        ended.map(ExitCode::from)
    })
}

/// Ctrl-C has no remote command to go to: the file under way is discarded on both sides, or kept to be resumed.
fn interrupted(wish: Wish, resume: bool) -> Complaint {
    let what = match resume {
        false => "interrupted; the file under way was not copied",
        true => "interrupted; the file under way was not copied; the same command goes on with it within 24 hours",
    };
    Complaint::new(what).exit(128 + wish.signal())
}

/// Whether the other files have no chance either.
fn is_final(fault: &Fault) -> bool {
    matches!(
        fault.code,
        Code::LinkLost | Code::Denied | Code::GoingAway | Code::BadFrame | Code::BadMessage | Code::NotAllowed
    )
}

/// A command line that is being carried out.
struct Copying {
    client: Client,
    store: Store,
    plan: CpPlan,
    /// What all files share.
    pace: Pace,
    port: Option<u16>,
    /// What was copied so far.
    bytes: AtomicU64,
}

impl Copying {
    async fn all(&self) -> u8 {
        let sources = self.sources();
        let mut code = 0;
        for (index, source) in sources.iter().enumerate() {
            let Err(fault) = self.one(source).await else { continue };
            let last = is_final(&fault);
            let fault = hint::advised(fault, &self.plan, self.port, source);
            say(&format!("{}: {fault}", self.name(source)));
            if last {
                for source in &sources[index + 1..] {
                    say(&format!("{}: not copied, since the link has ended", self.name(source)));
                }
                return FAILED;
            }
            code = NOT_ALL;
        }
        code
    }

    /// Says what was waited for, unless nothing was copied.
    async fn explain(&self, watch: Option<Watch>, code: u8) {
        if code != 0 && self.bytes.load(Ordering::Relaxed) == 0 {
            return;
        }
        let moved = (self.bytes.load(Ordering::Relaxed), matches!(self.plan.way, Way::Up { .. }));
        if let Some(explained) = explain::end(watch, moved).await {
            explain::tell(&explained, Moved::Files);
        }
    }

    fn sources(&self) -> &[PathBuf] {
        match &self.plan.way {
            Way::Up { sources, .. } | Way::Down { sources, .. } => sources,
        }
    }

    /// A source as it was typed.
    fn name(&self, source: &Path) -> String {
        match &self.plan.way {
            Way::Up { .. } => source.display().to_string(),
            Way::Down { .. } => format!("{}:{}", self.plan.host, source.display()),
        }
    }

    async fn one(&self, source: &Path) -> Result<(), Fault> {
        let bar = Bar::of(&source.file_name().unwrap_or(source.as_os_str()).to_string_lossy());
        let options = TransferOptions::default().preserve(self.plan.preserve).in_place(self.plan.in_place);
        let options = options
            .resume(self.plan.resume)
            .whole_file(self.plan.whole_file)
            .progress(bar.listener())
            .pace(self.pace.clone())
            .compress(self.plan.compress.0);
        let copied = match &self.plan.way {
            Way::Up { destination, .. } => {
                self.client.put(Upload::file(&self.store, source), destination, options).await
            }
            Way::Down { destination, .. } => match self.download(destination) {
                Ok(download) => self.client.get(source, download, options).await,
                Err(fault) => Err(fault),
            },
        };
        match copied {
            Ok(tally) => {
                self.bytes.fetch_add(tally.bytes, Ordering::Relaxed);
                bar.finish();
                Ok(())
            }
            Err(fault) => {
                bar.clear();
                Err(fault)
            }
        }
    }

    fn download(&self, destination: &Path) -> Result<Download<'static>, Fault> {
        if !self.plan.in_place || !STANDARD_OUTPUT.iter().any(|name| destination == Path::new(name)) {
            return Ok(Download::file(&self.store, destination));
        }
        let writer = standard::stdout_writer();
        let unusable = |error| Fault::system(Code::System, format!("standard output can't be written: {error}"));
        Ok(Download::writer(writer.map_err(unusable)?))
    }
}
