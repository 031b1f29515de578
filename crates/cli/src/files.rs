//! `unglue ls`, `stat`, `mkdir`, `mv`, `rm` and `hash`.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use unglue::files::{Done, EntryKind, FileEntry};
use unglue::{Client, Code, Fault, Octets};

use crate::access::Access;
use crate::args::connection::ConnectionArgs;
use crate::args::files::{FilesPlan, HashArgs, LsArgs, MkdirArgs, MvArgs, RmArgs, StatArgs};
use crate::calendar::date;
use crate::complaint::{Complaint, FAILED, say};
use crate::{jobs, runtime, standard};

/// Something was not done.
const NOT_ALL: u8 = 1;

/// Lists files.
pub(crate) fn ls(args: &LsArgs) -> Result<ExitCode, Complaint> {
    let form = match (args.json, args.long) {
        (true, _) => Form::Json,
        (false, true) => Form::Long,
        (false, false) => Form::Names,
    };
    run(args.plan(), &args.connection, form)
}

/// Shows what is known of files.
pub(crate) fn stat(args: &StatArgs) -> Result<ExitCode, Complaint> {
    run(args.plan(), &args.connection, if args.json { Form::Json } else { Form::Full })
}

/// Makes directories.
pub(crate) fn mkdir(args: &MkdirArgs) -> Result<ExitCode, Complaint> {
    run(args.plan(), &args.connection, Form::Nothing)
}

/// Gives a file another name.
pub(crate) fn mv(args: &MvArgs) -> Result<ExitCode, Complaint> {
    run(args.plan(), &args.connection, Form::Nothing)
}

/// Removes files, or forgets a command.
pub(crate) fn rm(args: &RmArgs) -> Result<ExitCode, Complaint> {
    if let Some((host, job)) = args.job() {
        return jobs::remove(&host, &args.connection, &job);
    }
    run(args.plan(), &args.connection, Form::Nothing)
}

/// Prints digests.
pub(crate) fn hash(args: &HashArgs) -> Result<ExitCode, Complaint> {
    run(args.plan(), &args.connection, Form::Digest)
}

/// What is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    Names,
    Long,
    Full,
    Json,
    Digest,
}

fn run(plan: Result<FilesPlan, String>, connection: &ConnectionArgs, form: Form) -> Result<ExitCode, Complaint> {
    let plan = plan.map_err(Complaint::new)?;
    let access = Access::new(&plan.host, connection)?;
    if form != Form::Nothing {
        standard::check_stdout()?;
    }
    runtime::run(async {
        let client = access.connect().await?;
        let mut code = 0;
        for (typed, verb) in &plan.verbs {
            let Err(fault) = one(&client, typed, verb.clone(), form).await? else { continue };
            say(&format!("{}: {fault}", typed.display()));
            if matches!(fault.code, Code::LinkLost | Code::Denied | Code::GoingAway | Code::NotAllowed) {
                return Ok(ExitCode::from(FAILED));
            }
            code = NOT_ALL;
        }
        Ok(ExitCode::from(code))
    })
}

async fn one(
    client: &Client,
    typed: &OsStr,
    verb: unglue::files::Verb,
    form: Form,
) -> Result<Result<(), Fault>, Complaint> {
    let mut out = standard::stdout();
    let mut written = Ok(());
    let asked = client
        .files(verb, |entry| {
            if written.is_ok() {
                written = out.write_all(&line(&entry, form));
            }
        })
        .await;
    let asked = match asked {
        Ok(done) if form == Form::Digest && written.is_ok() => {
            written = out.write_all(&digest(typed, &done));
            Ok(())
        }
        asked => asked.map(|_| ()),
    };
    let written = written.and_then(|()| out.flush());
    standard::unless_enough(written)?;
    Ok(asked)
}

/// `b3sum`'s lines, so that it can check them.
fn digest(typed: &OsStr, done: &Done) -> Vec<u8> {
    let path = typed.as_bytes();
    let path = path.iter().position(|&byte| byte == b':').map_or(path, |colon| &path[colon + 1..]);
    let digest = done.blake3.as_deref().unwrap_or_default();
    let plain = !path.iter().any(|byte| matches!(byte, b'\n' | b'\\'));
    match plain {
        true => [digest.as_bytes(), b"  ", path, b"\n"].concat(),
        false => format!("{digest}  {}\n", Octets::from(path.to_vec())).into_bytes(),
    }
}

fn line(entry: &FileEntry, form: Form) -> Vec<u8> {
    let name = entry.name.to_string();
    let target = entry.target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
    let user = entry.user.clone().unwrap_or_else(|| entry.uid.to_string());
    let group = entry.group.clone().unwrap_or_else(|| entry.gid.to_string());
    let time = date(entry.modified.seconds);
    let text = match form {
        Form::Json => serde_json::to_string(entry).unwrap_or_default(),
        Form::Long => {
            let (mode, links, size) = (mode(entry), entry.links, entry.size);
            format!("{mode} {links:>3} {user:<8} {group:<8} {size:>12} {time} {name}{target}")
        }
        Form::Full => {
            let (kind, mode) = (entry.kind.name(), entry.mode);
            format!(
                "{name}{target}\n  kind   {kind}\n  size   {} bytes\n  mode   {mode:04o}\n  owner  {user} ({}), group {group} ({})\n  links  {}\n  time   {time}.{:09} UTC",
                entry.size, entry.uid, entry.gid, entry.links, entry.modified.nanoseconds
            )
        }
        _ => name,
    };
    (text + "\n").into_bytes()
}

/// `drwxr-xr-x`.
fn mode(entry: &FileEntry) -> String {
    let kind = match entry.kind {
        EntryKind::Directory => 'd',
        EntryKind::Link => 'l',
        EntryKind::Fifo => 'p',
        EntryKind::Socket => 's',
        EntryKind::Device => 'c',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = entry.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (entry.mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use unglue::Time;

    use super::*;

    fn entry(kind: EntryKind, mode: u32) -> FileEntry {
        FileEntry {
            name: "a\nb".into(),
            kind,
            mode,
            size: 5,
            modified: Time { seconds: 0, nanoseconds: 0 },
            uid: 1,
            gid: 2,
            user: None,
            group: Some("staff".into()),
            links: 1,
            target: None,
        }
    }

    #[test]
    fn modes_are_shown_as_ls_shows_them() {
        assert_eq!(mode(&entry(EntryKind::Directory, 0o755)), "drwxr-xr-x");
        assert_eq!(mode(&entry(EntryKind::File, 0o4644)), "-rwSr--r--");
        assert_eq!(mode(&entry(EntryKind::Directory, 0o1777)), "drwxrwxrwt");
    }

    #[test]
    fn a_name_can_not_break_a_line() {
        let line = String::from_utf8(line(&entry(EntryKind::File, 0o644), Form::Long)).expect("text");
        assert_eq!(line, "-rw-r--r--   1 1        staff               5 1970-01-01 00:00:00 a\\nb\n");
    }
}
