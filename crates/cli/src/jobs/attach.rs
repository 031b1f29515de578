//! `unglue attach`.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use unglue::{AttachOptions, Code, Fault, Running};

use super::{id_of, on};
use crate::args::jobs::AttachArgs;
use crate::complaint::Complaint;
use crate::exec::drive::{Ended, Feeding, conduct, refused};
use crate::exec::held::{After, Held};
use crate::exec::pump::Destination;
use crate::exec::sink::Sink;
use crate::exec::verdict::verdict;
use crate::standard;

/// Attaches to a command, until it has ended or the user leaves.
///
/// # Errors
/// Everything but the command's own end.
pub(crate) fn attach(args: &AttachArgs) -> Result<ExitCode, Complaint> {
    if args.stdin {
        let unreadable =
            |error| Complaint::new(format!("standard input can't be fed to the command: {error}; leave -i out"));
        standard::check_stdin().map_err(unreadable)?;
    }
    on(&args.job, async |client| {
        let job = id_of(&client, &args.job.job).await?;
        let sinks = || Ok::<_, io::Error>((Destination::Sink(Sink::stdout()?), Destination::Sink(Sink::stderr()?)));
        let destinations = sinks().map_err(|error| Complaint::from(refused(&error)))?;
        let held = Held {
            host: args.job.host.to_string(),
            job: job.clone(),
            after: After::LivesOn,
            passes_signals: !args.read_only,
            events: None,
        };
        let feeds = args.stdin || (!args.read_only && io::stdin().is_terminal());
        let feeding = if feeds { Feeding::All } else { Feeding::Nothing };
        let options = options(args);
        let attaching = async {
            let running = client.attach(&job, &options).await?;
            match running.terminal() {
                None => Ok(running),
                Some(_) => Err(on_a_terminal(running, args)),
            }
        };
        let Ended { report, complaint, .. } = conduct(attaching, destinations, &held, feeding).await?;
        match complaint {
            Some(complaint) => Err(complaint),
            None => verdict(&report.outcome).map(ExitCode::from),
        }
    })
}

/// A program on a terminal needs one on this side as well.
fn on_a_terminal(running: Running, args: &AttachArgs) -> Fault {
    running.detach();
    let (host, job) = (&args.job.host, &args.job.job);
    Fault::user(Code::Unsupported, format!("{job} runs on a terminal"))
        .advise(format!("come back to it with: unglue shell {host} --attach {job}"))
}

fn options(args: &AttachArgs) -> AttachOptions {
    let options = AttachOptions::default();
    let options = if args.from_start { options.from_start() } else { options };
    match (args.read_only, args.take) {
        (true, _) => options,
        (false, true) => options.take(),
        (false, false) => options.hold(),
    }
}
