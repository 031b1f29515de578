//! `unglue shell`, and `unglue exec -t`: a program on a terminal of the server, and the user's own terminal.
//!
//! | module | what it is for |
//! |---|---|
//! | `session` | the loop between the program's streams, the terminal and the signals |
//! | `terminal` | raw mode, and the terminal's restoration in every way of ending |
//! | `modes` | what a program has switched on in the terminal, and how that is undone |
//! | `keyboard`, `input` | keys: where they come from, and their way to the program |
//! | `escape` | `~.` and its like |
//! | `view`, `screen` | what is shown, and its way to the terminal |
//! | `picture` | an emulation of the terminal, for what this client shows over the program's output |
//! | `status`, `liveness` | the line about a dead link, and when there is one |
//! | `predict` | predicted echo |
//! | `leaving` | what becomes of the program when the client leaves |
//! | `notices` | SIGWINCH and SIGCONT |
//!
//! What is typed and what is printed passes as it is, byte for byte.

mod escape;
mod input;
mod keyboard;
mod leaving;
mod liveness;
mod modes;
mod notices;
mod picture;
mod predict;
mod reopened;
mod screen;
mod session;
mod status;
mod terminal;
mod view;

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use unglue::identity::ssh_config::matching_variables;
use unglue::{AttachOptions, Client, Exec, Fault, Lease, Outcome, Running, TerminalSize, new_id};

pub(crate) use terminal::emergency;

use crate::access::Access;
use crate::args::connection::ConnectionArgs;
use crate::args::shell::{Escape, ScreenArgs, ShellArgs};
use crate::args::target::HostArg;
use crate::complaint::Complaint;
use crate::exec::drive::refused;
use crate::exec::hint::shell_hint;
use crate::exec::verdict::verdict;
use crate::forward::beside_terminal;
use crate::jobs::find;
use crate::runtime;
use crate::signals::Signals;
use escape::Escapes;
use keyboard::Keyboard;
use leaving::{Tie, Why};
use notices::Notices;
use screen::Screen;
use session::{Session, State};
use terminal::Raw;
use view::View;

/// The variables of this client that a program on a terminal gets.
const VARIABLES: [&str; 4] = ["TERM", "COLORTERM", "LANG", "LC_*"];
/// How long ports are forwarded over a lost link: as long as the program lives by default.
const FORWARDING: Duration = Duration::from_secs(24 * 3600);

/// Runs the command line.
///
/// # Errors
/// Everything but the program's own end.
pub(crate) fn run(args: &ShellArgs) -> Result<ExitCode, Complaint> {
    let forwards = args.forwards().map_err(Complaint::new)?;
    let plan = args.plan().map_err(Complaint::new)?;
    let access = Access::new(&args.host, &args.connection)?;
    runtime::run(async {
        let client = access.connect().await?;
        // Before the program: it may use the ports at once.
        let _forwarded = beside_terminal(&client, &forwards, FORWARDING).await?;
        let ended = match &args.attach {
            Some(job) => come_back(client, job, args).await,
            None => {
                let (job, is_named) = (args.name.clone().unwrap_or_else(new_id), args.name.is_some());
                let exec = if is_named { plan.exec.fresh_id(new_id()) } else { plan.exec.fresh_id(&job) };
                let exec = on_terminal(access.with_variables(exec));
                let host = typed_host(&args.host, &args.connection);
                let tie = Tie { host, job, is_named, lease: plan.lease, only_watches: false };
                start(client, &exec, args.program(), tie, &args.screen).await
            }
        };
        ended.map(ExitCode::from)
    })
}

/// A command with a terminal as large as this client's, and with the variables that describe it.
pub(crate) fn on_terminal(exec: Exec) -> Exec {
    let patterns = VARIABLES.map(String::from);
    let mut variables = matching_variables(&patterns);
    if !variables.iter().any(|(name, _)| name == "TERM") {
        variables.push(("TERM".into(), "dumb".into()));
    }
    exec.env_defaults(variables).terminal(size())
}

fn size() -> TerminalSize {
    Notices::size().unwrap_or(TerminalSize::new(24, 80))
}

/// Starts a command that has a terminal, and stays with it; as `exec -t` does.
///
/// # Errors
/// Everything but the command's own end.
pub(crate) async fn execute(
    client: Client,
    exec: &Exec,
    program: Option<&OsStr>,
    (host, connection): (&HostArg, &ConnectionArgs),
    (job, lease): (&str, Lease),
) -> Result<u8, Complaint> {
    let host = typed_host(host, connection);
    // Leaving a command that was asked to live on doesn't end it.
    let tie = Tie { host, job: job.to_owned(), is_named: lease != Lease::Kill, lease, only_watches: false };
    start(client, exec, program, tie, &ScreenArgs::default()).await
}

async fn start(
    client: Client,
    exec: &Exec,
    program: Option<&OsStr>,
    tie: Tie,
    args: &ScreenArgs,
) -> Result<u8, Complaint> {
    let starting = client.exec(exec);
    let session = match begin(&client, starting, tie, args).await? {
        Begun::Running(session) => session,
        Begun::Ended(outcome) => {
            return verdict(&outcome).map_err(|complaint| complaint.with(&shell_hint(program, &outcome)));
        }
    };
    session.run().await
}

async fn come_back(client: Client, job: &str, args: &ShellArgs) -> Result<u8, Complaint> {
    let (id, name, lease) = find(&client, job).await?;
    let tie = Tie {
        host: typed_host(&args.host, &args.connection),
        is_named: name.is_some(),
        job: name.unwrap_or_else(|| id.clone()),
        lease,
        only_watches: args.read_only,
    };
    let options = AttachOptions::default().screen(size());
    let options = match (args.read_only, args.take) {
        (true, _) => options,
        (_, true) => options.take(),
        _ => options.hold(),
    };
    let host = tie.host.clone();
    match begin(&client, client.attach(&id, &options), tie, &args.screen).await? {
        Begun::Running(session) if session.running.terminal().is_none() => {
            session.running.detach();
            Err(Complaint::new(format!("{job} has no terminal; come back to it with: unglue attach {host} {job}")))
        }
        Begun::Running(session) => session.run().await,
        Begun::Ended(outcome) => verdict(&outcome),
    }
}

enum Begun {
    Running(Box<Session>),
    /// It never started, or has ended before.
    Ended(Outcome),
}

/// Takes the terminal, and waits until the program runs.
async fn begin(
    client: &Client,
    starting: impl Future<Output = Result<Running, Fault>>,
    tie: Tie,
    args: &ScreenArgs,
) -> Result<Begun, Complaint> {
    let refused = |error: io::Error| Complaint::from(refused(&error));
    let is_terminal = io::stdin().is_terminal();
    // Before the request: what is typed from now on is for the program.
    let mut signals = Signals::take().map_err(refused)?;
    let notices = Notices::take().map_err(refused)?;
    let raw = is_terminal.then(Raw::enter).transpose().map_err(refused)?;
    let (keyboard, screen) = (Keyboard::open(is_terminal).map_err(refused)?, Screen::open().map_err(refused)?);
    let mut starting = pin!(starting);
    let mut running = tokio::select! {
        running = &mut starting => running?,
        wish = signals.next() => return Err(tie.last_line(Why::Ended(wish.signal()), false)),
    };
    if running.pid().is_none() {
        return Ok(Begun::Ended(running.outcome().await.outcome));
    }
    let shown = rustix::stdio::stdout().is_terminal().then(size).map(|size| (size.rows, size.columns));
    // Keys of a script are the program's own.
    let Escape(key) = args.escape;
    let session = Session {
        client: client.clone(),
        running,
        tie,
        keyboard: Some(keyboard),
        view: View::new(screen, shown, args.predict),
        escapes: Escapes::new(key.filter(|_| is_terminal)),
        signals,
        notices,
        raw,
        state: State::default(),
    };
    Ok(Begun::Running(Box::new(session)))
}

/// The host as it is to be typed again, with the port of `-P`.
fn typed_host(host: &HostArg, connection: &ConnectionArgs) -> String {
    HostArg { port: host.port.or(connection.port), ..host.clone() }.to_string()
}
