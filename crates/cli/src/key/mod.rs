//! `unglue key`: the user's own keys, and the servers that are trusted.

mod known;
mod trust;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use unglue::ClientOptions;
use unglue::identity::ssh_config::Settings;
use unglue::identity::{
    Certificate, CertificateUse, Identity, IdentityError, IdentitySearch, KeyFile, NotTried, Passphrase, make_key_file,
};

use crate::args::key::{InitArgs, KeyArgs, KeyCommand, ListArgs, ShowArgs};
use crate::complaint::{Complaint, printable, remark};
use crate::{configuration, passphrase, standard};

/// The longest comment line that is read from a `.pub` file.
const MAX_PUBLIC_FILE: u64 = 64 * 1024;

/// Runs the command line.
///
/// # Errors
/// What unglue failed at.
pub(crate) fn run(args: &KeyArgs) -> Result<ExitCode, Complaint> {
    let lines = match &args.command {
        KeyCommand::Init(args) => init(args)?,
        KeyCommand::Show(args) => show(args)?,
        KeyCommand::List(args) => list(args)?,
        KeyCommand::Trust(args) => trust::trust(args)?,
    };
    standard::print(&lines).map(|()| ExitCode::SUCCESS)
}

/// Makes a key pair, and says what to do with it.
fn init(args: &InitArgs) -> Result<String, Complaint> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => home()?.join(".config/unglue/id_ed25519"),
    };
    let passphrase = if args.passphrase { Some(new_passphrase(&path)?) } else { None };
    let comment = args.comment.clone().unwrap_or_else(own_name);
    let key = make_key_file(&path, &comment, passphrase.as_ref()).map_err(refused)?.public_key();
    let path = printable(&path.display().to_string());
    Ok(format!(
        "made {path} and {path}.pub\n{} {comment}\nauthorise it with this line in ~/.ssh/authorized_keys on the server:\n{key} {comment}\n",
        key.fingerprint(),
        comment = printable(&comment),
    ))
}

fn home() -> Result<PathBuf, Complaint> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    home.ok_or_else(|| Complaint::new("there is no home directory; set HOME, or name the file with -f"))
}

/// `user@machine`, as ssh-keygen comments its keys.
fn own_name() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unglue".into());
    let machine = rustix::system::uname();
    format!("{user}@{}", machine.nodename().to_string_lossy())
}

/// Asks twice, since a slip would lock the key for good.
fn new_passphrase(path: &Path) -> Result<Passphrase, Complaint> {
    let ask = |question: &str| {
        let typed = passphrase::ask(question);
        typed.map_err(|error| Complaint::new(format!("--passphrase needs a terminal to type it at: {error}")))
    };
    let first = ask(&format!("New passphrase for {}: ", printable(&path.display().to_string())))?;
    if first.is_empty() {
        return Err(Complaint::new("the passphrase is empty; leave --passphrase out for a key without one"));
    }
    match ask("The same again: ")? == first {
        true => Ok(Passphrase::new(first)),
        false => Err(Complaint::new("the two passphrases differ; no key was made")),
    }
}

/// The line for `authorized_keys`. What else there is to say goes to standard error.
fn show(args: &ShowArgs) -> Result<String, Complaint> {
    let identities = IdentitySearch::from_env(args.identity.clone()).find().map_err(refused)?;
    let Some(first) = identities.first() else {
        return Err(Complaint::new("there is no key to log in with; make one with: unglue key init"));
    };
    let key = first.public_key();
    let others = match identities.len() {
        1 => String::new(),
        n => format!("; {} more would be tried after it: unglue key list", n - 1),
    };
    // It is only a remark: the key itself is on standard output.
    remark(&format!("{} {}{others}", key.fingerprint(), printable(&first.describe())));
    let line = format!("{key} {}", comment_of(first));
    Ok(format!("{}\n", line.trim_end()))
}

/// The comment of a key: the agent's, or the one in the file's public half.
fn comment_of(identity: &Identity) -> String {
    match identity {
        Identity::Agent(key) => printable(key.comment()),
        Identity::File(file) => printable(&file_comment(file).unwrap_or_default()),
        _ => String::new(),
    }
}

fn file_comment(file: &KeyFile) -> Option<String> {
    use std::io::Read as _;
    let mut path = file.path().as_os_str().to_owned();
    path.push(".pub");
    let mut line = String::new();
    std::fs::File::open(path).ok()?.take(MAX_PUBLIC_FILE).read_to_string(&mut line).ok()?;
    let mut words = line.lines().next()?.splitn(3, ' ');
    let key = format!("{} {}", words.next()?, words.next()?);
    // A public half that belongs to another key has another key's comment.
    let ours = key == file.public_key().to_openssh();
    words.next().filter(|_| ours).map(str::to_owned)
}

fn list(args: &ListArgs) -> Result<String, Complaint> {
    let settings = match args.host.as_ref().filter(|host| host.socket().is_none()) {
        Some(host) => {
            let mut address = host.address(None).map_err(Complaint::new)?;
            configuration::apply(&mut address, args.ssh_config.as_deref())?
        }
        None => Settings::default(),
    };
    let mut options = ClientOptions::default().ssh(settings);
    options.identity.clone_from(&args.identity);
    options.known_hosts.clone_from(&args.known_hosts);
    let found = options.search().survey().map_err(refused)?;
    let mut lines = String::from("keys, in the order in which they are tried:\n");
    match found.identities.is_empty() {
        true => lines += "  none; make one with: unglue key init\n",
        false => found.identities.iter().for_each(|identity| lines += &identity_line(identity)),
    }
    if !found.not_tried.is_empty() {
        lines += "keys that are not tried:\n";
    }
    for NotTried { place, why, .. } in &found.not_tried {
        // Most reasons begin with the place.
        lines += &match why.contains(place.as_str()) {
            true => format!("  {}\n", printable(why)),
            false => format!("  {}: {}\n", printable(place), printable(why)),
        };
    }
    for file in &options.known_hosts_files().map_err(refused)?.read {
        lines += &known::list(file)?;
    }
    Ok(lines)
}

fn identity_line(identity: &Identity) -> String {
    let source = match identity {
        Identity::Agent(_) => "agent",
        Identity::File(file) if file.is_encrypted() => "file, encrypted",
        _ => "file",
    };
    let (key, place) = (identity.public_key(), printable(&identity.describe()));
    let until = identity.certificate().map(validity).unwrap_or_default();
    format!("  {} {} {place} ({source}{until})\n", key.key_kind().short_name(), key.fingerprint())
}

/// Whether a certificate can be used now.
fn validity(certificate: &Certificate) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match certificate.check(CertificateUse::User, now) {
        Ok(()) => format!("; certificate {}", printable(&certificate.key_id())),
        Err(error) => format!("; {error}"),
    }
}

fn refused(error: IdentityError) -> Complaint {
    Complaint::new(error.to_string())
}
