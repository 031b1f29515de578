//! `unglue cp`: files to a server or from it, one after the other.

use std::path::Path;
use std::process::ExitCode;

use unglue::{Client, Code, Fault, Store, TransferOptions};

use crate::access::Access;
use crate::args::cp::{CpArgs, CpPlan, Way};
use crate::complaint::{Complaint, FAILED, say};
use crate::progress::Bar;
use crate::signals::{Signals, Wish};
use crate::{local_store, runtime};

/// Something was not copied.
const NOT_ALL: u8 = 1;

/// Runs the command line.
///
/// # Errors
/// Nothing was copied.
pub(crate) fn run(args: &CpArgs) -> Result<ExitCode, Complaint> {
    let plan = args.plan().map_err(Complaint::new)?;
    let access = Access::new(&plan.host, &args.connection)?;
    let store = local_store::open()?;
    runtime::run(async {
        let client = access.connect().await?;
        let mut signals = Signals::take().map_err(|error| Complaint::new(format!("no signals: {error}")))?;
        tokio::select! {
            code = copy_all(&client, &store, &plan) => Ok(ExitCode::from(code)),
            wish = signals.next() => Err(interrupted(wish)),
        }
    })
}

/// Ctrl-C has no remote command to go to: what is under way is discarded on both sides.
fn interrupted(wish: Wish) -> Complaint {
    let signal = match wish {
        Wish::Interrupt => 2,
        Wish::End(signal) => signal,
    };
    Complaint::new("interrupted; the file under way was not copied").exit(128 + signal)
}

async fn copy_all(client: &Client, store: &Store, plan: &CpPlan) -> u8 {
    let (Way::Up { sources, .. } | Way::Down { sources, .. }) = &plan.way;
    let mut code = 0;
    for (index, source) in sources.iter().enumerate() {
        let Err(fault) = copy(client, store, plan, source).await else { continue };
        say(&format!("{}: {fault}{}", name(plan, source), hint(plan, source)));
        if is_final(&fault) {
            let rest = &sources[index + 1..];
            rest.iter()
                .for_each(|source| say(&format!("{}: not copied, since the link has ended", name(plan, source))));
            return FAILED;
        }
        code = NOT_ALL;
    }
    code
}

/// Whether the other files have no chance either.
fn is_final(fault: &Fault) -> bool {
    matches!(
        fault.code,
        Code::LinkLost | Code::Denied | Code::GoingAway | Code::BadFrame | Code::BadMessage | Code::NotAllowed
    )
}

/// A source as it was typed.
fn name(plan: &CpPlan, source: &Path) -> String {
    match &plan.way {
        Way::Up { .. } => source.display().to_string(),
        Way::Down { .. } => format!("{}:{}", plan.host, source.display()),
    }
}

/// A port behind the host, as other commands take it, is a part of the path here.
fn hint(plan: &CpPlan, source: &Path) -> String {
    let remote = match &plan.way {
        Way::Up { destination, .. } => destination,
        Way::Down { .. } => source,
    };
    let first = remote.to_string_lossy().split(['/', ':']).next().and_then(|first| first.parse::<u16>().ok());
    match first.filter(|port| remote.to_string_lossy().starts_with(&format!("{port}:"))) {
        Some(port) => format!("; {port} is read as a part of the path: for the port say -P {port}"),
        None => String::new(),
    }
}

async fn copy(client: &Client, store: &Store, plan: &CpPlan, source: &Path) -> Result<(), Fault> {
    let bar = Bar::of(&source.file_name().unwrap_or(source.as_os_str()).to_string_lossy());
    let options = TransferOptions { preserve: plan.preserve, progress: bar.listener() };
    let copied = match &plan.way {
        Way::Up { destination, .. } => client.put(store, source, destination.as_os_str(), options).await,
        Way::Down { destination, .. } => client.get(source.as_os_str(), store, destination, options).await,
    };
    match copied {
        Ok(_) => {
            bar.finish();
            Ok(())
        }
        Err(fault) => {
            bar.clear();
            Err(fault)
        }
    }
}
