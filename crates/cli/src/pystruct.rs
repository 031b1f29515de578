//! `unglue struct`: Python's struct on the command line.

mod batch;
mod explain;
mod json;
mod literal;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use unglue_struct::{Error, Format, Python, Value, Values};

use self::literal::{Literal, Typed, tuple};
use crate::complaint::{Complaint, say, say_lines};
use crate::standard;

const EXAMPLES: &str = "\
Examples:
  unglue struct pack '<I3sf' 1 abc 2.7           01000000616263cdcc2c40
  unglue struct pack '4sH' '\\x7fELF' 1             7f454c460100
  unglue struct unpack '<I3sf' 01000000616263cdcc2c40
  unglue struct size '@bi0q'                     8
  unglue struct explain '@bi0q'                  where each byte goes
  echo '{\"op\":\"pack\",\"format\":\"<Ie\",\"values\":[1,0.5]}' | unglue struct --batch

Exit status: 0; 1 where Python raises an exception (its message goes to standard error); 125 if used
wrongly.";

/// Pack and unpack bytes by a format of Python's struct module.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, arg_required_else_help = true, subcommand_negates_reqs = true)]
pub(crate) struct StructCommand {
    /// Answer requests on stdin, one JSON object per line, with one line each on stdout
    #[arg(long, required = true)]
    batch: bool,

    /// The Python version whose error messages are used
    #[arg(long, global = true, value_name = "VERSION", default_value = "3.13")]
    python: Version,

    #[command(subcommand)]
    action: Option<Action>,
}

/// A version of Python, as one types it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Version {
    #[value(name = "3.11")]
    V3_11,
    #[value(name = "3.12")]
    V3_12,
    #[value(name = "3.13")]
    V3_13,
}

impl From<Version> for Python {
    fn from(version: Version) -> Python {
        match version {
            Version::V3_11 => Python::V3_11,
            Version::V3_12 | Version::V3_13 => Python::V3_13,
        }
    }
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Pack(Pack),
    Unpack(Unpack),
    Size(Size),
    Explain(Explain),
}

/// Pack values and print the bytes in hex.
#[derive(Debug, clap::Args)]
struct Pack {
    /// Write the bytes themselves
    #[arg(long)]
    raw: bool,
    /// Take text as it is: a backslash is a backslash
    #[arg(long)]
    verbatim: bool,
    /// The format, as Python's struct has it
    format: OsString,
    /// Numbers, true and false, or text with the escapes of Python's bytes literals (\n, \x00, \\): the format says which
    /// (after `--` they may start with a dash)
    #[arg(allow_negative_numbers = true)]
    values: Vec<OsString>,
}

/// Unpack bytes and print the values as Python's tuple.
#[derive(Debug, clap::Args)]
struct Unpack {
    /// Read the bytes themselves from stdin
    #[arg(long, conflicts_with = "hex")]
    raw: bool,
    /// Unpack one record at this offset of a larger buffer; a negative one counts from the end
    #[arg(long, allow_negative_numbers = true, value_name = "BYTES")]
    offset: Option<isize>,
    /// Unpack record after record, one tuple per line
    #[arg(long, conflicts_with = "offset")]
    iter: bool,
    /// Print {"values": […]}
    #[arg(long)]
    json: bool,
    /// The format, as Python's struct has it
    format: OsString,
    /// The bytes in hex, blanks allowed; without it they are read from stdin
    hex: Option<String>,
}

/// Print the size of a record in bytes.
#[derive(Debug, clap::Args)]
struct Size {
    /// The format, as Python's struct has it
    format: OsString,
}

/// Show where each value and each byte of padding goes.
#[derive(Debug, clap::Args)]
struct Explain {
    /// Print it as one JSON object
    #[arg(long)]
    json: bool,
    /// The format, as Python's struct has it
    format: OsString,
}

/// Why the command ends without a result.
enum Failure {
    /// Python would have raised.
    Struct(Error),
    /// The user's mistake, told in full.
    Usage(String),
    /// Reading standard input failed.
    Read(io::Error),
    /// Writing standard output failed.
    Write(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Struct(error)
    }
}

impl StructCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// It was used wrongly, or standard input or output failed.
    pub(crate) fn run(self) -> Result<ExitCode, Complaint> {
        let python = self.python.into();
        let result = match self.action {
            Some(Action::Pack(pack)) => pack.run(),
            Some(Action::Unpack(unpack)) => unpack.run(),
            Some(Action::Size(size)) => size.run(),
            Some(Action::Explain(explain)) => explain.run(),
            None => {
                standard::stdin().map_err(Failure::Read).and_then(|stdin| batch::run(stdin, standard::stdout(), python))
            }
        };
        match result {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(failure) => failure.tell(python),
        }
    }
}

impl Failure {
    fn tell(self, python: Python) -> Result<ExitCode, Complaint> {
        match self {
            Failure::Struct(error) => {
                let (name, words) = (error.exception().name(), error.says(python).to_string());
                // A MemoryError has no words.
                let colon = if words.is_empty() { "" } else { ": " };
                say(&format!("{name}{colon}{words}.{}", place_of(&error)));
                Ok(ExitCode::from(1))
            }
            Failure::Usage(message) => {
                say_lines(&message);
                Err(Complaint::reported())
            }
            Failure::Read(error) => {
                Err(Complaint::new(format!("standard input can't be read: {error}. Check where it comes from.")))
            }
            Failure::Write(error) => standard::unless_enough(Err(error)).map(|()| ExitCode::SUCCESS),
        }
    }
}

/// What Python doesn't say: where the error is.
fn place_of(error: &Error) -> String {
    match error {
        Error::BadChar { position, found } => {
            format!(" It is '{}', character {} of the format.", found.escape_ascii(), position + 1)
        }
        Error::Field { index, code, .. } => format!(" It is value {}, for '{}'.", index + 1, code.letter()),
        Error::NoMemory { size } => format!(" A record has {size} bytes; at most {LARGEST_RECORD} are packed."),
        Error::WrongSize { got, .. } | Error::NotAMultiple { got, .. } => format!(" It has {got}."),
        _ => String::new(),
    }
}

fn parse(format: &OsString) -> Result<Format, Error> {
    match format.to_str() {
        Some(text) => Format::parse(text),
        None => Format::parse_bytes(format.as_encoded_bytes()),
    }
}

/// The largest record that is packed, in bytes: a short format can ask for more than any machine has.
const LARGEST_RECORD: usize = 1 << 30;

fn pack(format: &Format, values: &[Value<'_>]) -> Result<Vec<u8>, Error> {
    if format.size() > LARGEST_RECORD && values.len() == format.len() {
        return Err(Error::NoMemory { size: format.size() });
    }
    format.pack(values)
}

impl Pack {
    fn run(self) -> Result<(), Failure> {
        let format = parse(&self.format)?;
        let codes = format.fields().map(|field| Some(field.code)).chain(std::iter::repeat(None));
        let typed = if self.verbatim { Typed::Verbatim } else { Typed::Escaped };
        let literals: Result<Vec<_>, Failure> = self
            .values
            .iter()
            .zip(codes)
            .enumerate()
            .map(|(index, (text, code))| {
                Literal::read(text.as_encoded_bytes(), code, typed).map_err(|wrong| {
                    Failure::Usage(format!(
                        "value {}: {wrong}. Write \\\\ for a backslash, or use --verbatim.",
                        index + 1
                    ))
                })
            })
            .collect();
        let literals = literals?;
        let values: Vec<_> = literals.iter().map(Literal::value).collect();
        let record = pack(&format, &values)?;
        let mut out = standard::stdout();
        let written = match self.raw {
            true => out.write_all(&record),
            false => writeln!(out, "{}", json::to_hex(&record)),
        };
        written.and_then(|()| out.flush()).map_err(Failure::Write)
    }
}

impl Unpack {
    fn run(self) -> Result<(), Failure> {
        let format = parse(&self.format)?;
        let bytes = self.bytes()?;
        let records: Vec<Values<'_, '_>> = match self.offset {
            Some(offset) => vec![format.unpack_from(&bytes, offset)?],
            None if self.iter => format.iter_unpack(&bytes)?.collect(),
            None => vec![format.unpack(&bytes)?],
        };
        let mut out = standard::stdout();
        let written = records.into_iter().try_for_each(|record| match self.json {
            true => writeln!(out, "{}", batch::values_line(record)),
            false => writeln!(out, "{}", tuple(record)),
        });
        written.and_then(|()| out.flush()).map_err(Failure::Write)
    }

    fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut input = Vec::new();
        match &self.hex {
            Some(hex) => input.extend_from_slice(hex.as_bytes()),
            None => {
                _ = standard::stdin().and_then(|mut stdin| stdin.read_to_end(&mut input)).map_err(Failure::Read)?;
            }
        }
        if self.raw {
            return Ok(input);
        }
        input.retain(|byte| !byte.is_ascii_whitespace());
        json::from_hex(&input).map_err(|reason| {
            Failure::Usage(format!("the bytes to unpack aren't hex: {reason}. Give pairs of hex digits, or use --raw."))
        })
    }
}

impl Size {
    fn run(self) -> Result<(), Failure> {
        print_line(&parse(&self.format)?.size().to_string())
    }
}

impl Explain {
    fn run(self) -> Result<(), Failure> {
        let format = parse(&self.format)?;
        let text = if self.json { explain::json(&format) } else { explain::picture(&format) };
        print_line(&text)
    }
}

fn print_line(text: &str) -> Result<(), Failure> {
    let mut out = standard::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::Write)
}
