//! Commands that were started before: `unglue jobs`, `attach`, `logs`, `wait`, `signal` and `rm HOST ID`.

mod attach;
mod list;
mod logs;

use std::process::ExitCode;

pub(crate) use attach::attach;
pub(crate) use list::list;
pub(crate) use logs::logs;

use unglue::{AttachOptions, Client, Fault, Lease};

use crate::access::Access;
use crate::args::connection::ConnectionArgs;
use crate::args::jobs::{JobArg, SignalArgs, WaitArgs};
use crate::args::lease::parse_lease;
use crate::args::target::HostArg;
use crate::complaint::Complaint;
use crate::exec::object::Object;
use crate::exec::verdict::verdict;
use crate::{runtime, standard};

/// Waits for the end of a command, and exits as it did.
///
/// # Errors
/// Everything but the command's own end.
pub(crate) fn wait(args: &WaitArgs) -> Result<ExitCode, Complaint> {
    if args.json {
        standard::check_stdout()?;
    }
    on(&args.job, async |client| {
        let id = id_of(&client, &args.job.job).await?;
        let options = AttachOptions::default().without_stdout().without_stderr();
        let report = client.attach(&id, &options).await?.outcome().await;
        if args.json {
            let line = Object::new(Some(&id), &report, None).to_line();
            standard::print(line.map_err(|error| Complaint::new(format!("the outcome has no JSON form: {error}")))?)?;
        }
        verdict(&report.outcome).map(ExitCode::from)
    })
}

/// Sends a signal to a command.
///
/// # Errors
/// It was not sent.
pub(crate) fn signal(args: &SignalArgs) -> Result<ExitCode, Complaint> {
    on(&args.job, async |client| Ok(client.signal(&args.job.job, args.signal).await.map(|()| ExitCode::SUCCESS)?))
}

/// Forgets a command that has ended.
///
/// # Errors
/// It was not forgotten.
pub(crate) fn remove(host: &HostArg, connection: &ConnectionArgs, job: &str) -> Result<ExitCode, Complaint> {
    let access = Access::new(host, connection)?;
    runtime::run(async { Ok(access.connect().await?.remove(job).await.map(|()| ExitCode::SUCCESS)?) })
}

/// Does something with the server that a command is on.
fn on(job: &JobArg, work: impl AsyncFnOnce(Client) -> Result<ExitCode, Complaint>) -> Result<ExitCode, Complaint> {
    let access = Access::new(&job.host, &job.connection)?;
    runtime::run(async { work(access.connect().await?).await })
}

/// A command's id, its name if it has one, and how long it may live without a client.
///
/// # Errors
/// There is no such command, or the link has ended.
pub(crate) async fn find(client: &Client, job: &str) -> Result<(String, Option<String>, Lease), Fault> {
    let entries = client.jobs(Some(job)).await?;
    Ok(match entries.into_iter().next_back() {
        // A lease that only a later version knows is none that ends with this client.
        Some(entry) => {
            (entry.id.clone(), entry.name.clone(), parse_lease(&list::lease(&entry)).unwrap_or(Lease::Detach))
        }
        None => (job.to_owned(), None, Lease::Detach),
    })
}

/// The id of a command. A name may stand for another command by the time that it is asked for again; an id does not.
///
/// # Errors
/// There is no such command, or the link has ended.
async fn id_of(client: &Client, job: &str) -> Result<String, Fault> {
    let entries = client.jobs(Some(job)).await?;
    Ok(entries.last().map_or_else(|| job.to_owned(), |entry| entry.id.clone()))
}
