//! `authorized_keys` with sshd itself as the oracle: 2,000 generated lines, each for a key of its own or shared by two, and
//! what sshd makes of each: whether the key may log in, by which line, and with which options.
//!
//! One ssh connection asks about all keys of a file: an agent lists them, and signs with none, so ssh offers one after the
//! other. sshd logs the line and the options that it found.

use super::known_hosts::Dice;
use super::{has, keygen, write};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use unglue_identity::authorized_keys::{Lookup, lookup};
use unglue_identity::{Login, Policy, PublicKey};
use unglue_testkit::port::HeldPort;

/// How many lines are compared.
const LINES: usize = 2000;

/// sshd reads a whole file for each key, so that many short files take less time than one. It listens on 16 ports at most.
const LINES_PER_FILE: usize = 125;

#[test]
fn two_thousand_generated_lines_are_judged_as_sshd_judges_them() {
    if !has("ssh") || !has("ssh-keygen") || !Path::new("/usr/sbin/sshd").exists() {
        eprintln!("skipped: ssh and sshd are needed");
        return;
    }
    // sshd that root runs needs it; Debian's service makes it, where that runs.
    if rustix::process::geteuid().is_root() {
        use std::os::unix::fs::DirBuilderExt as _;
        let _ = std::fs::DirBuilder::new().mode(0o755).create("/run/sshd");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let user = user();
    let cases = generate();
    let theirs = ask_sshd(directory.path(), &user, &cases);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let mut admitted = 0;
    for case in &cases {
        let login = Login::offer(case.key.clone()).from("127.0.0.1".parse().ok());
        let ours = match lookup(case.text.as_bytes(), &login, &user, now) {
            Lookup::Authorised { line, policy, .. } => Some((case.first + line - 1, options(&policy))),
            _ => None,
        };
        let theirs = theirs.get(&case.key.fingerprint().to_string()).cloned();
        assert_eq!(ours, theirs, "{}", case.text);
        admitted += usize::from(theirs.is_some());
    }
    // The generator is worth something only if both verdicts are common.
    assert!((cases.len() / 4..cases.len() * 3 / 4).contains(&admitted), "{admitted} of {}", cases.len());
    eprintln!("{LINES} lines, {} keys, {admitted} admitted", cases.len());
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id(1) runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What sshd logs about a line's options, of those that concern both of us.
fn options(policy: &Policy) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut add = |is: bool, name| names.extend(is.then_some(name));
    add(policy.command.is_some(), "command");
    add(!policy.environment.is_empty(), "environment");
    add(policy.forward.is_allowed(), "port-forwarding");
    add(policy.pty, "pty");
    names
}

/// One key, and the lines that bear it.
struct Case {
    key: PublicKey,
    text: String,
    /// Which of the files it is in.
    file: usize,
    /// The number of its first line in that file.
    first: usize,
}

fn generate() -> Vec<Case> {
    let mut dice = Dice(20_251);
    let mut cases = Vec::new();
    for file in 0..LINES / LINES_PER_FILE {
        let mut number = 1;
        while number <= LINES_PER_FILE {
            let key = key(cases.len(), &mut dice);
            let count = if dice.below(4) == 0 && number < LINES_PER_FILE { 2 } else { 1 };
            let text = (0..count).map(|_| line(&key, &mut dice)).collect();
            cases.push(Case { key, text, file, first: number });
            number += count;
        }
    }
    cases
}

/// Mostly ed25519 keys, whose secrets nobody knows; ECDSA and RSA keys too.
fn key(number: usize, dice: &mut Dice) -> PublicKey {
    let put = |parts: &[&[u8]]| {
        let mut wire = Vec::new();
        for part in parts {
            wire.extend_from_slice(&(part.len() as u32).to_be_bytes());
            wire.extend_from_slice(part);
        }
        PublicKey::from_wire(&wire).expect("a key")
    };
    match number % 8 {
        0 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            put(&[b"ecdsa-sha2-nistp256", b"nistp256", pair.public_key().as_ref()])
        }
        1 => {
            let mut modulus: Vec<u8> = (0..257).map(|_| dice.below(256) as u8).collect();
            (modulus[0], modulus[1], modulus[256]) = (0, 0xc1, modulus[256] | 1);
            put(&[b"ssh-rsa", &[1, 0, 1], &modulus])
        }
        _ => {
            let mut bytes: [u8; 32] = std::array::from_fn(|_| dice.below(256) as u8);
            bytes[..4].copy_from_slice(&(number as u32).to_be_bytes());
            PublicKey::from_ed25519(bytes)
        }
    }
}

/// Options one by one; what `@` stands for is chosen anew.
const OPTIONS: [&str; 78] = [
    "restrict",
    "Restrict",
    "pty",
    "no-pty",
    "NO-PTY",
    "port-forwarding",
    "no-port-forwarding",
    "agent-forwarding",
    "no-agent-forwarding",
    "X11-forwarding",
    "no-x11-forwarding",
    "user-rc",
    "no-user-rc",
    "touch-required",
    "no-touch-required",
    "verify-required",
    "no-verify-required",
    "cert-authority",
    "no-restrict",
    "no-cert-authority",
    "command=\"ls -l\"",
    "command=\"a, \\\"b\\\" # c\"",
    "command=\"\"",
    "command=ls",
    "command=\"open",
    "COMMAND=\"x\"",
    "command",
    "command=\"x\"y",
    "command = \"x\"",
    "principals=\"ada\"",
    "principals=\"\"",
    "from=\"127.0.0.1\"",
    "from=\"127.0.0.0/8\"",
    "from=\"10.0.0.0/8\"",
    "from=\"!127.0.0.1,*\"",
    "from=\"*,!127.0.0.1\"",
    "from=\"127.0.0.1/8\"",
    "from=\"127.0.0.?\"",
    "from=\"\"",
    "from=\"*,\"",
    "from=\"::1,127.*\"",
    "from=\"0.0.0.0/0\"",
    "from=\"localhost\"",
    "from=\"::/0\"",
    "from=\"127.0.0.1/33\"",
    "from=\"127.0.0.1/x\"",
    "from=\"!10.0.0.0/8,127.0.0.1\"",
    "from=\"127.0.0.1/32\",from=\"*\"",
    "expiry-time=\"20990101\"",
    "expiry-time=\"20010101\"",
    "expiry-time=\"209901011200Z\"",
    "expiry-time=\"20990101120059\"",
    "expiry-time=\"2099\"",
    "expiry-time=\"20991301\"",
    "expiry-time=\"20200101Z\"",
    "expiry-time=\"20990230\"",
    "expiry-time=\"tomorrow\"",
    "environment=\"A=b\"",
    "environment=\"A\"",
    "environment=\"=b\"",
    "environment=\"A-B=c\"",
    "environment=\"A_1=\"",
    "permitopen=\"host:80\"",
    "permitopen=\"*:*\"",
    "permitopen=\"host\"",
    "permitopen=\"[::1]:80\"",
    "permitopen=\"host:0\"",
    "permitopen=\"host:70000\"",
    "permitlisten=\"80\"",
    "permitlisten=\"localhost:80\"",
    "permitlisten=\"*\"",
    "permitlisten=\"x\"",
    "tunnel=\"0\"",
    "tunnel=\"x\"",
    "tunnel=\"any\"",
    "an-option-of-the-future",
    "",
    "ssh-ed25519",
];

fn line(key: &PublicKey, dice: &mut Dice) -> String {
    let count = [0, 1, 1, 1, 2, 2, 3][dice.below(7)];
    let chosen: Vec<&str> = (0..count).map(|_| dice.pick(&OPTIONS)).collect();
    let mut options = chosen.join(",");
    if dice.below(40) == 0 {
        options.push_str(dice.pick(&[",", ",,", " ", "\"", " x"]));
    }
    let front = dice.pick(&["", "", "", "", " ", "\t", "  "]);
    let between = dice.pick(&[" ", " ", " ", "\t", "  "]);
    let end = dice.pick(&["", "", " a comment", " \"a", "\r", "\t"]);
    let separator = if options.is_empty() { "" } else { between };
    format!("{front}{options}{separator}{key}{end}\n")
}

/// An agent that lists the keys and signs with none.
fn agent(socket: &Path, cases: &[&Case]) {
    let listener = UnixListener::bind(socket).expect("bound");
    let mut list = vec![12];
    list.extend_from_slice(&(cases.len() as u32).to_be_bytes());
    for case in cases {
        for part in [&case.key.to_wire()[..], b"key"] {
            list.extend_from_slice(&(part.len() as u32).to_be_bytes());
            list.extend_from_slice(part);
        }
    }
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten().take(8) {
            let list = list.clone();
            std::thread::spawn(move || answer(stream, &list));
        }
    });
}

fn answer(mut stream: UnixStream, list: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(150)))?;
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let reply = if request.first() == Some(&11) { list } else { &[5] };
        stream.write_all(&[&(reply.len() as u32).to_be_bytes()[..], reply].concat())?;
    }
}

/// Ended when dropped.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Found = HashMap<String, (usize, Vec<&'static str>)>;

/// The number of the line that admits each key, and the options that are logged, by the key's fingerprint.
fn ask_sshd(directory: &Path, user: &str, cases: &[Case]) -> Found {
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    keygen(["-q", "-t", "ed25519", "-N", "", "-f", &path("host")]);
    let held: Vec<HeldPort> = (0..LINES / LINES_PER_FILE).map(|_| HeldPort::any()).collect();
    let ports: Vec<u16> = held.iter().map(HeldPort::number).collect();
    let mut config = format!(
        "ListenAddress 127.0.0.1\nHostKey {}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nMaxAuthTries 100000\nLoginGraceTime 0\nPidFile none\nMaxStartups 100\n\
         LogLevel DEBUG1\nPermitRootLogin yes\nPermitUserEnvironment yes\nUseDNS no\n",
        path("host")
    );
    for (file, port) in ports.iter().enumerate() {
        let own: Vec<&Case> = cases.iter().filter(|case| case.file == file).collect();
        let text: String = own.iter().map(|case| case.text.as_str()).collect();
        write(&directory.join(format!("keys{file}")), text, 0o600);
        agent(&directory.join(format!("agent{file}")), &own);
        config = format!(
            "Port {port}\n{config}Match LocalPort {port}\n  AuthorizedKeysFile {}\n",
            path(&format!("keys{file}"))
        );
    }
    write(&directory.join("config"), config, 0o600);
    let log = path("log");
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-f", &path("config"), "-E", &log]);
    sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _sshd = Sshd(sshd.spawn().expect("sshd starts"));
    let started = Instant::now();
    while ports.iter().any(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_err()) {
        assert!(started.elapsed() < Duration::from_secs(20), "sshd does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let files: Vec<(usize, u16)> = ports.into_iter().enumerate().collect();
    let told: Vec<(usize, String)> = std::thread::scope(|scope| {
        let ask = |files: &[(usize, u16)]| -> Vec<(usize, String)> {
            files.iter().map(|(file, port)| (*file, offer(&path(&format!("agent{file}")), *port, user))).collect()
        };
        let threads: Vec<_> = files.chunks(5).map(|files| scope.spawn(move || ask(files))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let log = std::fs::read_to_string(log).expect("the log");
    told.iter().flat_map(|(file, told)| read_log(&log, &path(&format!("keys{file}")), told)).collect()
}

/// Has ssh offer all keys of an agent, and gives what it reports.
fn offer(agent: &str, port: u16, user: &str) -> String {
    let port = port.to_string();
    let mut ssh = Command::new("timeout");
    ssh.args(["100", "ssh", "-F", "/dev/null", "-v", "-p", &port, "-l", user]);
    for option in [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "PreferredAuthentications=publickey",
        "BatchMode=yes",
        "IdentityFile=none",
    ] {
        ssh.args(["-o", option]);
    }
    let output = ssh.args(["127.0.0.1", "true"]).env("SSH_AUTH_SOCK", agent).stdin(Stdio::null()).output();
    let told = String::from_utf8_lossy(&output.expect("ssh runs").stderr).into_owned();
    assert!(told.contains("Permission denied"), "{}", told.lines().rev().take(5).collect::<Vec<_>>().join("\n"));
    told
}

/// `FILE:LINE: key options: …`, and for each key `Accepted key TYPE SHA256:… found at FILE:LINE`.
fn read_log(log: &str, keys: &str, told: &str) -> Found {
    let accepted: std::collections::HashSet<&str> =
        told.lines().filter(|line| line.contains("Server accepts key")).filter_map(fingerprint).collect();
    let start = format!("{keys}:");
    let about = |line| -> Option<(usize, &str)> {
        let (_, rest) = str::split_once(line, &start)?;
        let (number, rest) = rest.split_once(": ")?;
        Some((number.parse().ok()?, rest))
    };
    let known = ["command", "environment", "port-forwarding", "pty"];
    let mut options: HashMap<usize, Vec<&'static str>> = HashMap::new();
    for (number, rest) in log.lines().filter_map(about) {
        let Some(names) = rest.strip_prefix("key options:") else { continue };
        // No blank stands before `expires`.
        let names: Vec<&str> =
            names.split_whitespace().map(|name| name.strip_suffix("expires").unwrap_or(name)).collect();
        options.insert(number, known.into_iter().filter(|name| names.contains(name)).collect());
    }
    let mut found = HashMap::new();
    // A line that bears a key and refuses it is not logged in this way.
    for line in log.lines().filter(|line| line.starts_with("Accepted key")) {
        let number = line.split_once(&start).and_then(|(_, number)| number.trim().parse().ok());
        if let (Some(number), Some(fingerprint)) = (number, fingerprint(line)) {
            found.insert(fingerprint.to_owned(), (number, options.get(&number).cloned().unwrap_or_default()));
        }
    }
    assert_eq!(found.len(), accepted.len(), "{keys}");
    found
}

fn fingerprint(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with("SHA256:"))
}
