//! `unglue frame`: message boundaries on the command line.

mod decode;
mod dump;
mod encode;
mod json;
mod list;
mod prefix;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use unglue_frame::{DecodeError, Framing};

use crate::complaint::{Complaint, say, say_lines};
use crate::standard;

const EXAMPLES: &str = "\
Examples:
  unglue frame list                                    # the framings that have a name
  unglue frame decode u32be capture.bin                # offset, fields, length, dump of each
  unglue frame decode --json 'tag:u8 len:u32be data[len-4]' - < postgres.bin
  unglue frame decode --after '\\r\\n\\r\\n' websocket dump  # after the headers of an upgrade
  unglue frame check 'lines(max=64K)' access.log       # does it all parse? where does it stop?
  printf 'one\\ntwo\\n' | unglue frame encode netstring  # 3:one,3:two,
  unglue frame decode --json u16be in | unglue frame encode --json varint > out

Exit status: 0; 1 if the bytes do not form frames, or a message doesn't fit (the frames before it
are printed); 125 if used wrongly, or if a file can't be read or written.";

/// Find, write and check message boundaries in bytes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct FrameCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Decode(decode::Decode),
    Encode(encode::Encode),
    Check(decode::Check),
    List(list::List),
}

/// Why the command ends early.
#[derive(Debug)]
enum Failure {
    /// Bytes that are no frame.
    Decode(DecodeError),
    /// A message that can't be encoded, told in full.
    Message(String),
    /// What the user typed, told in full.
    Usage(String),
    /// Reading the input failed.
    Read(String, io::Error),
    /// Writing the output failed.
    Write(io::Error),
}

impl FrameCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// It was used wrongly, or a file can't be read or written.
    pub(crate) fn run(self) -> Result<ExitCode, Complaint> {
        let result = match self.action {
            Action::Decode(decode) => decode.run(),
            Action::Encode(encode) => encode.run(),
            Action::Check(check) => check.run(),
            Action::List(list) => list.run(),
        };
        result.map_or_else(Failure::tell, |()| Ok(ExitCode::SUCCESS))
    }
}

impl Failure {
    fn tell(self) -> Result<ExitCode, Complaint> {
        match self {
            Failure::Decode(error) => {
                let told = error.to_string();
                say(&format!("{told}{}", if told.ends_with('?') { "" } else { "." }));
                Ok(ExitCode::from(1))
            }
            Failure::Message(message) => {
                say(&message);
                Ok(ExitCode::from(1))
            }
            Failure::Usage(message) => {
                say_lines(&message);
                Err(Complaint::reported())
            }
            Failure::Read(name, error) => {
                Err(Complaint::new(format!("{name} can't be read: {error}. Check the path and its permissions.")))
            }
            Failure::Write(error) => standard::unless_enough(Err(error)).map(|()| ExitCode::SUCCESS),
        }
    }
}

/// Reads the notation; an error shows the place in it.
fn framing(notation: &str) -> Result<Framing, Failure> {
    notation.parse().map_err(|error: unglue_frame::NotationError| {
        let below = " ".repeat(error.column - 1);
        Failure::Usage(format!("{error}. See unglue frame list.\n  {notation}\n  {below}^"))
    })
}

/// The named file, or stdin for `-` and for no name. Gives its name for errors.
fn input(file: Option<PathBuf>) -> Result<(String, Box<dyn Read>), Failure> {
    match file {
        Some(path) if path.as_os_str() != "-" => {
            let name = path.display().to_string();
            match File::open(&path) {
                Ok(file) => Ok((name, Box::new(file))),
                Err(error) => Err(Failure::Read(name, error)),
            }
        }
        _ => {
            if io::stdin().is_terminal() {
                say("reading stdin; end it with Ctrl-D");
            }
            let stdin = standard::stdin().map_err(|error| Failure::Read("stdin".into(), error))?;
            Ok(("stdin".into(), Box::new(stdin)))
        }
    }
}
