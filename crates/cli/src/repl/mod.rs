//! `unglue repl`: one command a line, each reply whole.

mod files;
mod folder;
mod line;
mod reply;

use std::io::{self, Write as _};
use std::process::ExitCode;

use unglue::Client;

use crate::access::Access;
use crate::args::repl::ReplArgs;
use crate::complaint::{Complaint, say};
use crate::signals::{Signals, Wish};
use crate::typed::{Next, Typed};
use crate::{local_store, runtime};
use folder::Folder;
use line::Line;

/// Runs the command line.
///
/// # Errors
/// The server can't be reached, or the link was lost on the way.
pub(crate) fn run(args: &ReplArgs) -> Result<ExitCode, Complaint> {
    let access = Access::new(&args.host, &args.connection)?;
    runtime::run(async {
        let client = access.connect().await?;
        // An untrusted key is heard of here, before anything was typed in vain.
        client.welcome().await?;
        let signals = Signals::take().map_err(|error| Complaint::new(format!("no signals: {error}")))?;
        let history = local_store::state_folder().map(|state| state.join("history"));
        let typed =
            Typed::open(history).map_err(|error| Complaint::new(format!("the terminal can't be used: {error}")))?;
        let mut session = Session { client, signals, folder: Folder::default() };
        session.converse(typed).await.map(|()| ExitCode::SUCCESS)
    })
}

/// A conversation with one server.
struct Session {
    client: Client,
    signals: Signals,
    folder: Folder,
}

impl Session {
    async fn converse(&mut self, mut typed: Typed) -> Result<(), Complaint> {
        loop {
            let next;
            (next, typed) = self.wait_for_line(typed).await?;
            let line = match next {
                Next::Line(line) => line,
                Next::Dropped => continue,
                Next::End => return Ok(()),
            };
            typed.note(&line);
            match line::parse(&line) {
                Line::Empty => {}
                Line::Quit => return Ok(()),
                Line::History => show_history(typed.lines()),
                Line::Wrong(usage) => say(&format!("wrong usage; write: {usage}")),
                Line::Cd(to) => self.change_folder(folder::To::Typed(to)).await?,
                Line::CdBack => self.change_folder(folder::To::Before).await?,
                Line::Put(file, to) => self.put(file, to).await?,
                Line::Get(file, to) => self.get(file, to).await?,
                Line::Shell(text) => self.reply(text).await?,
            }
        }
    }

    /// Waits on a thread that may block, so that the link's heartbeat goes on, and its end is noticed.
    async fn wait_for_line(&mut self, mut typed: Typed) -> Result<(Next, Typed), Complaint> {
        let reading = tokio::task::spawn_blocking(move || (typed.next(), typed));
        let unreadable = |error: io::Error| Complaint::new(format!("standard input can't be read: {error}"));
        tokio::select! {
            read = reading => {
                let (next, typed) = read.map_err(|error| unreadable(error.into()))?;
                Ok((next.map_err(unreadable)?, typed))
            }
            fault = self.client.ended() => Err(Complaint::from(fault)),
            wish = self.signals.next() => Err(ended_by(wish)),
        }
    }
}

/// At the prompt there is no command to interrupt: the signal ends the conversation.
fn ended_by(wish: Wish) -> Complaint {
    let signal = match wish {
        Wish::Interrupt => 2,
        Wish::End(signal) => signal,
    };
    Complaint::new(format!("ended by {}", unglue_proto::signal::name(signal.into()))).exit(128 + signal)
}

fn show_history(lines: &[String]) {
    let mut stdout = io::stdout().lock();
    for (number, line) in lines.iter().enumerate() {
        // A reader who went away doesn't want the rest.
        let _ = writeln!(stdout, "{:5}  {}", number + 1, crate::complaint::printable(line));
    }
}
