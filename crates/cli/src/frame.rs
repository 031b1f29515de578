//! `unglue frame`: message boundaries on the command line.

mod decode;
mod dump;
mod encode;
mod json;
mod list;
mod prefix;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use unglue_frame::{DecodeError, Framing};

const EXAMPLES: &str = "\
Examples:
  unglue frame list                                       the framings that have a name
  unglue frame decode u32be capture.bin                   offset, fields, length and a dump of each frame
  unglue frame decode --json 'tag:u8 len:u32be data[len-4]' - < postgres.bin
  unglue frame decode --after '\r\n\r\n' websocket dump    behind the headers of an upgrade; --skip 24 leaves out 24 bytes
  unglue frame check 'lines(max=64K)' access.log          does it all parse, and where does it stop?
  printf 'one\\ntwo\\n' | unglue frame encode netstring     3:one,3:two,
  unglue frame decode --json u16be in | unglue frame encode --json varint > out

Ends with 0; with 1 if the bytes are no frames or a message doesn't fit (after what came before it); with 125 if
used wrongly or if a file can't be read or written.";

/// Find, write and check message boundaries in bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
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
    /// Runs the command; what went wrong is told on stderr.
    pub(crate) fn run(self) -> ExitCode {
        let result = match self.action {
            Action::Decode(decode) => decode.run(),
            Action::Encode(encode) => encode.run(),
            Action::Check(check) => check.run(),
            Action::List(list) => list.run(),
        };
        result.map_or_else(Failure::tell, |()| ExitCode::SUCCESS)
    }
}

impl Failure {
    fn tell(self) -> ExitCode {
        match self {
            Failure::Decode(error) => {
                let told = error.to_string();
                eprintln!("unglue: {told}{}", if told.ends_with('?') { "" } else { "." });
                ExitCode::from(1)
            }
            Failure::Message(message) => {
                eprintln!("unglue: {message}");
                ExitCode::from(1)
            }
            Failure::Usage(message) => {
                eprintln!("unglue: {message}");
                ExitCode::from(125)
            }
            Failure::Read(name, error) => {
                eprintln!("unglue: {name} can't be read: {error}. Check the path and its permissions.");
                ExitCode::from(125)
            }
            // The reader had enough: nobody is left to tell.
            Failure::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(125),
            Failure::Write(error) => {
                eprintln!("unglue: writing stdout failed: {error}. Check where it leads.");
                ExitCode::from(125)
            }
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

/// Whether there was no stdin when this process began. Rust then opens /dev/null in its place, for reading and writing,
/// which nobody else does.
fn stdin_was_closed() -> bool {
    use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, makedev};
    let stdin = rustix::stdio::stdin();
    let both = fcntl_getfl(stdin).is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::RDWR);
    let null = |stat: rustix::fs::Stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
    };
    both && fstat(stdin).is_ok_and(null)
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
                eprintln!("unglue: reading stdin; end it with Ctrl-D");
            }
            if stdin_was_closed() {
                return Err(Failure::Usage("stdin is closed. Name a file, or give it something to read.".into()));
            }
            Ok(("stdin".into(), Box::new(io::stdin().lock())))
        }
    }
}
