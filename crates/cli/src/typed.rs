//! Where lines come from: a terminal, with editing and history, or anything else, as it is.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};

/// What stands before a line.
const PROMPT: &str = ">>: ";
/// How many lines are remembered.
const REMEMBERED: usize = 1000;

/// A source of lines.
pub(crate) struct Typed {
    editor: Option<Box<Editor<(), MemHistory>>>,
    file: Option<PathBuf>,
    lines: Vec<String>,
}

/// What came.
pub(crate) enum Next {
    /// A line, without its end.
    Line(Vec<u8>),
    /// Ctrl-C at the prompt: the line is dropped.
    Dropped,
    /// The end.
    End,
}

impl Typed {
    /// Standard input, with a prompt if it and standard output are a terminal. `kept` is where its lines are remembered beyond this run.
    ///
    /// # Errors
    /// The terminal can't be used.
    pub(crate) fn open(kept: Option<PathBuf>) -> io::Result<Typed> {
        // A prompt goes to standard output, where it has no business among what programs read.
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Typed { editor: None, file: None, lines: Vec::new() });
        }
        let config = Config::builder().max_history_size(REMEMBERED).map_err(io::Error::other)?.build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).map_err(io::Error::other)?;
        let text = kept.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        let lines = lines[lines.len().saturating_sub(REMEMBERED)..].to_vec();
        for line in &lines {
            let _ = editor.add_history_entry(line);
        }
        Ok(Typed { editor: Some(Box::new(editor)), file: kept, lines })
    }

    /// Waits for the next line. Blocks: call it where that may be.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        let Some(editor) = &mut self.editor else { return plain_line() };
        match editor.readline(PROMPT) {
            Ok(line) => {
                self.remember(&line);
                Ok(Next::Line(line.into_bytes()))
            }
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
        if self.editor.is_none() {
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
        let new = self.editor.as_mut().is_some_and(|editor| editor.add_history_entry(line).unwrap_or(false));
        if let Some(Err(error)) = self.file.as_ref().filter(|_| new).map(|file| append(file, line)) {
            tracing::debug!("the history was not kept: {error}");
        }
    }
}

/// Adds a line to the history, which is its owner's alone: people type secrets.
fn append(file: &PathBuf, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::options().append(true).create(true).mode(0o600).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn plain_line() -> io::Result<Next> {
    let mut line = Vec::new();
    match io::stdin().lock().read_until(b'\n', &mut line)? {
        0 => Ok(Next::End),
        _ => {
            // As Windows ends lines, too.
            let end = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
            line.truncate(line.len() - end);
            Ok(Next::Line(line))
        }
    }
}
