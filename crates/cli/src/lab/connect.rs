//! `unglue lab connect`: a dialect's client at the prompt.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use unglue_lab::LabError;
use unglue_lab::dialects::header::Uploader;
use unglue_lab::dialects::{Asks, Dialect, Reply};

use crate::args::lab::LabConnectArgs;
use crate::complaint::{Complaint, printable, say};
use crate::progress::Bar;
use crate::standard;
use crate::typed::{self, Next, Typed};

/// Asks what is typed, until `quit` or the end of input.
///
/// # Errors
/// Nobody listens there, or the server broke the dialect's rules.
pub(crate) fn run(args: &LabConnectArgs) -> Result<ExitCode, Complaint> {
    let typed = || Typed::open(None).map_err(|error| Complaint::new(format!("standard input can't be read: {error}")));
    match args.dialect.connect(args.address, args.wait, args.encoding)? {
        Some(client) => ask_all(client, typed()?, args)?,
        None => upload_all(Uploader::connect(args.address, args.wait, args.encoding)?, typed()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The next line to act on: neither `quit` nor, unless it counts, an empty one.
fn next(typed: &mut Typed, empty_counts: bool) -> Result<Option<Vec<u8>>, Complaint> {
    loop {
        let next = typed.next().map_err(|error| Complaint::new(format!("standard input can't be read: {error}")))?;
        match next {
            Next::End => return Ok(None),
            Next::Line(line) if line == b"quit" => return Ok(None),
            Next::Line(line) if !line.is_empty() || empty_counts => return Ok(Some(line)),
            Next::Suspended => typed::suspend(),
            Next::Line(_) | Next::Dropped => {}
        }
    }
}

fn ask_all(mut client: Box<dyn Asks>, mut typed: Typed, args: &LabConnectArgs) -> Result<(), Complaint> {
    let mut replies = standard::stdout();
    while let Some(line) = next(&mut typed, args.dialect.sends_nothing())? {
        let asked = client.ask(&line, &mut replies);
        // What came of a reply is shown even if the rest never does.
        let shown = replies.flush().map_err(|source| LabError::Output { source });
        match asked.and_then(|reply| shown.map(|()| reply)) {
            Err(LabError::Output { source }) => return standard::unless_enough(Err(source)),
            reply => remark(reply?, args),
        }
    }
    client.leave(&mut replies)?;
    standard::unless_enough(replies.flush())
}

/// What there is to be said about a reply that isn't whole.
fn remark(reply: Reply, args: &LabConnectArgs) {
    let dialect = args.dialect;
    match reply {
        Reply::Came => {}
        Reply::NotSent => say("the command was not sent: a datagram holds 65507 bytes at most"),
        Reply::Silence(wait) if dialect == Dialect::Udp => say(&format!(
            "no complete answer arrived within {} s; it may be lost, or arrive later as the answer to the next command",
            wait.as_secs_f64()
        )),
        Reply::Silence(wait) => say(&format!(
            "nothing came for {} s; perhaps the command prints nothing, which {dialect} can't say; what comes now answers \
             the next one",
            wait.as_secs_f64()
        )),
        Reply::Truncated { lost } => {
            say(&format!("{lost} bytes of the answer are lost: the datagram was larger than the dialect's 1024 bytes"));
        }
    }
}

fn upload_all(mut uploader: Uploader, mut typed: Typed) -> Result<(), Complaint> {
    let mut failed = false;
    while let Some(line) = next(&mut typed, false)? {
        match file_in(&line) {
            Some(file) => failed |= !put(&mut uploader, file)?,
            None => {
                say(&format!("`{}` is not a command here; write put FILE, or quit", String::from_utf8_lossy(&line)))
            }
        }
    }
    uploader.leave()?;
    match failed {
        false => Ok(()),
        true => Err(Complaint::new("not every file was sent; the lines above say which")),
    }
}

/// `put FILE`: the rest of the line is the file's name, spaces included.
fn file_in(line: &[u8]) -> Option<&Path> {
    let name = line.strip_prefix(b"put ")?.trim_ascii_start();
    (!name.is_empty()).then(|| Path::new(OsStr::from_bytes(name)))
}

/// Sends a file. `false` if it can't be read, in which case nothing was sent.
fn put(uploader: &mut Uploader, file: &Path) -> Result<bool, Complaint> {
    let name = file.display().to_string();
    let bar = Bar::of(&name);
    let mut listener = bar.listener();
    let mut progress = |bytes, size| {
        if let Some(listener) = &mut listener {
            listener(unglue::Moved::new(bytes, Some(size)));
        }
    };
    match uploader.put(file, &mut progress) {
        Ok(bytes) => {
            bar.finish();
            let name = printable(&name);
            standard::print(format!(
                "{name}: {bytes} bytes sent; this dialect has no reply, so it is unknown whether they arrived\n"
            ))?;
            Ok(true)
        }
        Err(error) => {
            bar.clear();
            match error {
                LabError::File { .. } => say(&error.to_string()),
                error => return Err(error.into()),
            }
            Ok(false)
        }
    }
}
