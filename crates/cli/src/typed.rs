//! Where lines come from: a terminal, with editing and history, or anything else, as it is.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler, KeyEvent, RepeatCount,
};

use crate::standard;

/// What stands before a line, unless more is to be told there.
pub(crate) const PROMPT: &str = ">>: ";
/// How many lines are remembered.
const REMEMBERED: usize = 1000;
/// What ends the mode in which a terminal marks pasted text (xterm's control sequences, "Bracketed Paste Mode").
const END_OF_PASTE_MODE: &str = "\x1b[?2004l";

/// A source of lines.
pub(crate) struct Typed {
    source: Source,
    prompt: String,
    file: Option<PathBuf>,
    lines: Vec<String>,
}

enum Source {
    Terminal(Box<Editor<(), MemHistory>>, Suspended),
    Other(BufReader<File>),
}

/// What came.
pub(crate) enum Next {
    /// A line, without its end.
    Line(Vec<u8>),
    /// Ctrl-C at the prompt: the line is dropped.
    Dropped,
    /// Ctrl-Z at the prompt: call [`suspend`] on the main thread, then go on. What was typed is kept.
    Suspended,
    /// The end.
    End,
}

impl Typed {
    /// Standard input, with a prompt if it and standard output are a terminal. `kept` is where its lines are remembered beyond this run.
    ///
    /// # Errors
    /// Standard input is closed, or the terminal can't be used.
    pub(crate) fn open(kept: Option<PathBuf>) -> io::Result<Typed> {
        let prompt = String::from(PROMPT);
        if !standard::is_conversation() {
            let source = Source::Other(BufReader::new(standard::stdin()?));
            return Ok(Typed { source, prompt, file: None, lines: Vec::new() });
        }
        let config = Config::builder().max_history_size(REMEMBERED).map_err(io::Error::other)?.build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).map_err(io::Error::other)?;
        let suspended = Suspended::default();
        editor.bind_sequence(KeyEvent::ctrl('Z'), EventHandler::Conditional(Box::new(suspended.clone())));
        let text = kept.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        let lines = lines[lines.len().saturating_sub(REMEMBERED)..].to_vec();
        for line in &lines {
            let _ = editor.add_history_entry(line);
        }
        Ok(Typed { source: Source::Terminal(Box::new(editor), suspended), prompt, file: kept, lines })
    }

    /// Whether a person types the lines.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.source, Source::Terminal(..))
    }

    /// Sets what stands before a line.
    pub(crate) fn set_prompt(&mut self, prompt: String) {
        self.prompt = prompt;
    }

    /// Waits for the next line. Blocks: call it where that may be.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        let (editor, suspended) = match &mut self.source {
            Source::Terminal(editor, suspended) => (editor, suspended),
            Source::Other(input) => return plain_line(input),
        };
        let read = match suspended.take() {
            Some((before, after)) => editor.readline_with_initial(&self.prompt, (&before, &after)),
            None => editor.readline(&self.prompt),
        };
        match read {
            Ok(line) => {
                self.remember(&line);
                Ok(Next::Line(line.into_bytes()))
            }
            Err(ReadlineError::Interrupted) if suspended.is_set() => Ok(Next::Suspended),
            Err(ReadlineError::Interrupted) => Ok(Next::Dropped),
            Err(ReadlineError::Eof) => Ok(Next::End),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// The lines so far, the oldest first.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Notes a line that came from elsewhere than a terminal.
    pub(crate) fn note(&mut self, line: &[u8]) {
        if !self.is_terminal() {
            self.lines.push(String::from_utf8_lossy(line).into_owned());
        }
    }

    fn remember(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        self.lines.push(line.to_owned());
        // The editor doesn't take the same line twice in a row, nor need the file.
        let new = match &mut self.source {
            Source::Terminal(editor, _) => editor.add_history_entry(line).unwrap_or(false),
            Source::Other(_) => false,
        };
        if let Some(Err(error)) = self.file.as_ref().filter(|_| new).map(|file| append(file, line)) {
            tracing::debug!("the history was not kept: {error}");
        }
    }
}

/// Stops this process group, as Ctrl-Z does. Returns when it is continued. Only on the main thread: Linux then delivers the signal
/// before the call returns, so that nothing is done to the terminal between the two.
pub(crate) fn suspend() {
    use rustix::process::{Signal, kill_current_process_group};
    if let Err(errno) = kill_current_process_group(Signal::TSTP) {
        tracing::debug!("not suspended: {errno}");
    }
}

/// Takes Ctrl-Z at the prompt, and keeps what was typed: before the cursor, and behind it. The editor's own way to suspend itself is
/// a race between threads: the process may stop after the terminal was made raw again, and the shell puts it back.
#[derive(Clone, Default)]
struct Suspended(Arc<Mutex<Option<(String, String)>>>);

impl Suspended {
    fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&self) -> Option<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ConditionalEventHandler for Suspended {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let (line, at) = (context.line(), context.pos());
        let (before, after) = (line.get(..at).unwrap_or(line), line.get(at..).unwrap_or_default());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((before.to_owned(), after.to_owned()));
        Some(Cmd::Interrupt)
    }
}

/// The terminal's modes as they were. A prompt that is abandoned while a thread waits at it would leave the terminal raw: the thread never
/// comes to restore it.
pub(crate) struct Terminal(Option<Termios>);

impl Terminal {
    /// Notes the modes, if standard input is a terminal.
    pub(crate) fn as_it_is() -> Terminal {
        Terminal(tcgetattr(rustix::stdio::stdin()).ok())
    }

    /// Restores the modes if they have changed, and leaves the line of the prompt.
    pub(crate) fn restore(&self) {
        let stdin = rustix::stdio::stdin();
        let (Some(before), Ok(now)) = (&self.0, tcgetattr(stdin)) else { return };
        if now.local_modes == before.local_modes && now.input_modes == before.input_modes {
            return;
        }
        // The terminal may be gone; then there is nothing to restore.
        let _ = tcsetattr(stdin, OptionalActions::Now, before);
        let _ = standard::print(format!("{END_OF_PASTE_MODE}\n"));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Adds a line to the history, which is its owner's alone: people type secrets.
fn append(file: &PathBuf, line: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut file = std::fs::File::options().append(true).create(true).mode(0o600).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn plain_line(input: &mut BufReader<File>) -> io::Result<Next> {
    let mut line = Vec::new();
    match input.read_until(b'\n', &mut line)? {
        0 => Ok(Next::End),
        _ => {
            // As Windows ends lines, too.
            let end = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
            line.truncate(line.len() - end);
            Ok(Next::Line(line))
        }
    }
}
