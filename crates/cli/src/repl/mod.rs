//! `unglue repl`: one command a line, each reply whole.

mod directory;
mod files;
mod line;
mod local_files;
mod reply;

use std::io;
use std::process::ExitCode;

use unglue::Client;

use crate::access::Access;
use crate::args::repl::{AT_THE_PROMPT, ReplArgs};
use crate::blocking::blocking;
use crate::complaint::{Complaint, printable, say};
use crate::signals::{Signals, Wish};
use crate::typed::{self, Next, PROMPT, Terminal, Typed};
use crate::{local_store, runtime, standard};
use directory::Directory;
use line::{Joined, Line};

/// Runs the command line.
///
/// # Errors
/// The server can't be reached, or the link was lost on the way.
pub(crate) fn run(args: &ReplArgs) -> Result<ExitCode, Complaint> {
    let access = Access::new(&args.host, &args.connection)?;
    // Dropped last, when nothing else can change the terminal any more.
    let terminal = Terminal::as_it_is();
    let ended = runtime::run(async {
        let client = access.connect().await?;
        // An untrusted key is reported here, before anything is typed.
        client.welcome().await?;
        let signals = Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        let history = local_store::state_directory().map(|state| state.join("history"));
        let typed =
            Typed::open(history).map_err(|error| Complaint::new(format!("standard input can't be read: {error}")))?;
        let host = args.host.to_string();
        let mut session = Repl { client, signals, host, directory: Directory::default(), left: false };
        if typed.is_terminal() {
            session.find_top().await?;
        }
        session.converse(typed).await.map(|()| ExitCode::SUCCESS)
    });
    terminal.restore();
    ended
}

/// A conversation with one server.
struct Repl {
    client: Client,
    signals: Signals,
    host: String,
    directory: Directory,
    /// The user has said `quit`.
    left: bool,
}

impl Repl {
    async fn converse(&mut self, mut typed: Typed) -> Result<(), Complaint> {
        while !self.left {
            typed.set_prompt(self.prompt());
            let next;
            (next, typed) = self.wait_for_line(typed).await?;
            let line = match next {
                Next::Line(line) => line,
                Next::Dropped => continue,
                Next::Suspended => {
                    typed::suspend();
                    continue;
                }
                Next::End => return Ok(()),
            };
            typed.note(&line);
            self.obey(line::parse(&line), typed.lines()).await?;
        }
        Ok(())
    }

    /// The server and the directory, before the sign to type.
    fn prompt(&self) -> String {
        match self.directory.shown() {
            shown if shown.is_empty() => format!("{} {PROMPT}", self.host),
            shown => format!("{}:{shown} {PROMPT}", self.host),
        }
    }

    async fn obey(&mut self, mut line: Line, lines: &[String]) -> Result<(), Complaint> {
        while let Line::Then(cd, joined, rest) = line {
            let done = match *cd {
                Line::Cd(to) => self.change_directory(directory::To::Typed(to)).await?,
                _ => self.change_directory(directory::To::Before).await?,
            };
            match (joined, done) {
                (Joined::IfDone, false) | (Joined::IfNot, true) => return Ok(()),
                _ => line = line::parse(rest.as_encoded_bytes()),
            }
        }
        match line {
            Line::Empty | Line::Then(..) => Ok(()),
            Line::Quit => {
                self.left = true;
                Ok(())
            }
            Line::Help => standard::print(format!("{AT_THE_PROMPT}\n")),
            Line::History => show_history(lines),
            Line::Wrong(usage) => {
                say(&format!("wrong usage; write: {usage}"));
                Ok(())
            }
            Line::Cd(to) => self.change_directory(directory::To::Typed(to)).await.map(|_| ()),
            Line::CdBack => self.change_directory(directory::To::Before).await.map(|_| ()),
            Line::Put(files, to) => self.put(files, to).await,
            Line::Get(file, to) => self.get(file, to).await,
            Line::Shell(text) => self.reply(text).await,
        }
    }

    /// Waits on a thread that may block, so that the link's heartbeat goes on, and its end is noticed.
    async fn wait_for_line(&mut self, mut typed: Typed) -> Result<(Next, Typed), Complaint> {
        let reading = blocking("unglue-prompt", move || (typed.next(), typed));
        let unreadable = |error: io::Error| Complaint::new(format!("standard input can't be read: {error}"));
        tokio::select! {
            read = reading => {
                let (next, typed) = read.map_err(unreadable)?;
                Ok((next.map_err(unreadable)?, typed))
            }
            fault = self.client.ended() => Err(Complaint::from(fault)),
            wish = self.signals.next() => Err(ended_by(wish)),
        }
    }
}

/// At the prompt there is no command to interrupt: the signal ends the conversation.
fn ended_by(wish: Wish) -> Complaint {
    let signal = wish.signal();
    Complaint::new(format!("ended by {}", unglue::signal::name(signal.into()))).exit(128 + signal)
}

fn show_history(lines: &[String]) -> Result<(), Complaint> {
    let numbered = lines.iter().enumerate();
    standard::print(numbered.map(|(at, line)| format!("{:5}  {}\n", at + 1, printable(line))).collect::<String>())
}
