//! `known_hosts` with ssh itself as the oracle: 1,000 generated sets of files, and what ssh makes of each.
//!
//! ssh looks at the host key before it checks the server's signature. So a server that sends the same bytes to each
//! client is enough: `cat`, behind ssh's `ProxyCommand`.

use super::known_hosts::Dice;
use super::{has, keygen, write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use unglue_identity::{KnownHosts, PublicKey, Verdict};

/// How many sets of files are compared.
const CASES: usize = 1000;

#[test]
fn a_thousand_generated_files_are_judged_as_ssh_judges_them() {
    if !has("ssh") || !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let keys = Keys::make(directory.path());
    write(&directory.path().join("server"), server_bytes(&keys.shown), 0o600);
    let (next, stricter) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let verdicts = [const { AtomicUsize::new(0) }; 4];
    let threads = std::thread::available_parallelism().map_or(2, usize::from) + 1;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CASES {
                        break;
                    }
                    let theirs = keys.compare(&Case::generate(number, &keys), directory.path(), &stricter);
                    verdicts[theirs as usize].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    // The generator is worth something only if each verdict is common.
    let verdicts = verdicts.map(AtomicUsize::into_inner);
    let stricter = stricter.into_inner();
    assert!(verdicts.iter().all(|&count| count > CASES / 25) && stricter < CASES / 4, "{verdicts:?} {stricter}");
    eprintln!("trusted, unknown, changed, revoked: {verdicts:?}; stricter than ssh: {stricter}");
}

/// A verdict, without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Trusted,
    Unknown,
    Changed,
    Revoked,
}

impl From<&Verdict> for Told {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Trusted { .. } => Self::Trusted,
            Verdict::Unknown { .. } => Self::Unknown,
            Verdict::Changed { .. } => Self::Changed,
            Verdict::Revoked { .. } => Self::Revoked,
        }
    }
}

/// The keys of the generated lines, as `kind base64`; the first is the one that the server shows.
struct Keys {
    shown: PublicKey,
    texts: Vec<String>,
}

impl Keys {
    fn make(directory: &Path) -> Self {
        let make = |(name, kind)| {
            let path = directory.join(name);
            keygen(["-q", "-t", kind, "-N", "", "-f", path.to_str().expect("UTF-8")]);
            let text = std::fs::read_to_string(path.with_extension("pub")).expect("read");
            text.split(' ').take(2).collect::<Vec<_>>().join(" ")
        };
        let kinds = [("k0", "ed25519"), ("k1", "ed25519"), ("k2", "rsa"), ("k3", "ecdsa")];
        let texts: Vec<String> = kinds.map(make).into();
        Self { shown: texts[0].parse().expect("ed25519"), texts }
    }

    /// Asks ssh and us about the case; both must say the same.
    fn compare(&self, case: &Case, directory: &Path, stricter: &AtomicUsize) -> Told {
        let names = [format!("a{}", case.number), format!("b{}", case.number)];
        let files = names.each_ref().map(|name| directory.join(name));
        files.iter().zip(&case.files).for_each(|(file, text)| write(file, text, 0o600));
        let theirs = ask_ssh(directory, &names.join(" "), case.host, case.port);
        let ours = |files: &[_]| {
            let known = KnownHosts::load(files).expect("loaded");
            [case.port, 22].map(|port| Told::from(&known.lookup(case.host, port, &self.shown)))
        };
        let [exact, plain] = ours(&files);
        // We are stricter in two points. `@revoked` with a tab behind it is malformed to ssh …
        files.iter().zip(&case.files).for_each(|(file, text)| write(file, without_tabs(text), 0o600));
        let [seen_by_ssh, _] = ours(&files);
        // … and ssh asks whether to trust a key that is revoked under the plain name.
        let revoked = exact == Told::Revoked && (plain == Told::Revoked || seen_by_ssh == theirs);
        match exact == theirs {
            true => {}
            false if revoked => drop(stricter.fetch_add(1, Ordering::Relaxed)),
            false => panic!("ssh says {theirs:?}, and we {exact:?}: {case:?}"),
        }
        files.iter().for_each(|file| std::fs::remove_file(file).expect("removed"));
        theirs
    }
}

/// The text as ssh understands it: it passes over a marker with a tab behind it.
fn without_tabs(text: &str) -> String {
    text.lines().filter(|line| !line.contains("@revoked\t")).flat_map(|line| [line, "\n"]).collect()
}

fn ask_ssh(directory: &Path, files: &str, host: &str, port: u16) -> Told {
    let port_text = port.to_string();
    let known = format!("UserKnownHostsFile={files}");
    let options = [
        "ProxyCommand=cat server -",
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "LogLevel=INFO",
        "ConnectTimeout=20",
        &known,
    ];
    let arguments = ["-F", "/dev/null", "-p", &port_text].into_iter();
    let arguments = arguments.chain(options.into_iter().flat_map(|option| ["-o", option])).chain([host, "true"]);
    // Directly, and by the smallest shell: what counts here is the price of a process. It ends when `cat` has nothing more.
    let mut ssh = Command::new("ssh");
    ssh.args(arguments).current_dir(directory).stdin(Stdio::null()).env("SHELL", "/bin/sh").env_remove("SSH_AUTH_SOCK");
    let output = ssh.output().expect("ssh runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let unknown = match port {
        22 => format!("No ED25519 host key is known for {host} "),
        _ => format!("No ED25519 host key is known for [{host}]:{port} "),
    };
    match &*text {
        text if text.contains(&unknown) => Told::Unknown,
        text if text.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") => Told::Changed,
        text if text.contains("REVOKED HOST KEY DETECTED") => Told::Revoked,
        // It got as far as the signature, which is nonsense.
        text if text.contains("incorrect signature") => Told::Trusted,
        text => panic!("{text}"),
    }
}

/// Two files, and the host that is looked up in them.
#[derive(Debug)]
struct Case {
    number: usize,
    host: &'static str,
    port: u16,
    files: [String; 2],
}

const HOSTS: [&str; 4] = ["h", "a.b", "10.0.0.1", "::1"];

/// What stands in a line for the host: `@` is the name as it is looked up, `#` the host without a port.
const PATTERNS: [&str; 16] =
    ["@", "@", "@", "#", "#", "#", "@,other", "x,#", "*", "?", "[*]:7227", "[?]:*", "!@,*", "*,!#", "|@", "|#"];

impl Case {
    fn generate(number: usize, keys: &Keys) -> Self {
        let mut dice = Dice(number as u64 * 7919 + 3);
        let _ = (0..8).map(|_| dice.below(2)).sum::<usize>();
        let host = HOSTS[dice.below(HOSTS.len())];
        let port = [22, 7227, 7227, 7227][dice.below(4)];
        let mut file = |most: usize| (0..dice.below(most + 1)).map(|_| line(&mut dice, keys, host, port)).collect();
        Self { number, host, port, files: [file(4), file(2)] }
    }
}

fn line(dice: &mut Dice, keys: &Keys, host: &str, port: u16) -> String {
    let exact = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
    let pattern = dice.pick(&PATTERNS);
    let hosts = match pattern.strip_prefix('|') {
        Some("@") => hashed(dice, &exact),
        Some(_) => hashed(dice, host),
        None => pattern.replace('@', &exact).replace('#', host),
    };
    let hosts = if dice.below(8) == 0 { hosts.to_uppercase() } else { hosts };
    let marker = dice.pick(&["", "", "", "", "", "@revoked ", "@revoked\t", "@cert-authority ", "@other "]);
    let key = match dice.below(12) {
        0..=4 => &keys.texts[0],
        5 | 6 => &keys.texts[1],
        7 => &keys.texts[2],
        8 => &keys.texts[3],
        9 => "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        10 => "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ==",
        _ => "ssh-new AAAAB3NzaC1uZXcAAAADAQAB",
    };
    let front = dice.pick(&["", "", "", " ", "\t", "#"]);
    let end = dice.pick(&["", "", " a comment", "\r", " \t"]);
    format!("{front}{marker}{hosts} {key}{end}\n")
}

/// The hidden form of a name, as `HashKnownHosts` writes it.
fn hashed(dice: &mut Dice, name: &str) -> String {
    let salt: [u8; 20] = std::array::from_fn(|_| dice.below(256) as u8);
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&salt).expect("any length");
    mac.update(name.as_bytes());
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(mac.finalize().into_bytes()))
}

/// What the server sends: its version, its algorithms, and the reply of a key exchange (RFC 4253 section 7, RFC 8731)
/// with the key, and with nonsense for the rest.
fn server_bytes(shown: &PublicKey) -> Vec<u8> {
    let mut algorithms = vec![20];
    algorithms.extend([0; 16]);
    for names in ["curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr", "hmac-sha2-256", "hmac-sha2-256"] {
        string(&mut algorithms, names.as_bytes());
    }
    for names in ["none", "none", "", ""] {
        string(&mut algorithms, names.as_bytes());
    }
    algorithms.extend([0; 5]);
    let mut signature = Vec::new();
    string(&mut signature, b"ssh-ed25519");
    string(&mut signature, &[0; 64]);
    let mut reply = vec![31];
    for part in [&shown.to_wire()[..], &[9; 32], &signature] {
        string(&mut reply, part);
    }
    [b"SSH-2.0-test\r\n", &packet(&algorithms)[..], &packet(&reply)].concat()
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

/// RFC 4253 section 6.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 8 - (payload.len() + 5) % 8 + 8;
    let mut packet = Vec::new();
    packet.extend(((payload.len() + padding + 1) as u32).to_be_bytes());
    packet.push(padding as u8);
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}
