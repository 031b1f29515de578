//! `known_hosts`, with `ssh-keygen -F` and `-H` as the oracle over hundreds of generated lines.

use super::{has, key, keygen, tool, write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use unglue_identity::{IdentityError, KnownHosts, PublicKey, Verdict};

fn public(seed: u32) -> PublicKey {
    key(seed).public_key()
}

fn load(path: &Path) -> KnownHosts {
    KnownHosts::load([path]).expect("loaded")
}

/// The numbers of the lines that ssh-keygen finds for a name, as it would be looked up: `host` or `[host]:port`.
fn ssh_keygen_finds(file: &Path, name: &str) -> BTreeSet<usize> {
    let output = tool("ssh-keygen", ["-F", name, "-f", file.to_str().expect("UTF-8")]).output().expect("runs");
    let number = |line: &str| line.split_once(" found: line ")?.1.split(' ').next()?.parse().ok();
    super::printed(&output).lines().filter_map(number).collect()
}

/// The lines that we find for a host and port, where line N has key N: each is known under the one name or the other.
fn we_find(text: &str, keys: &[PublicKey], host: &str, port: u16) -> BTreeSet<usize> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    let lines = text.lines().collect::<Vec<_>>();
    let found = |line: &usize| {
        // Alone, so that no other line decides before this one.
        write(&file, lines[*line - 1], 0o600);
        matches!(load(&file).lookup(host, port, &keys[*line - 1]), Verdict::Trusted { .. })
    };
    (1..=keys.len()).filter(found).collect()
}

/// A small generator of numbers: the same in every run, unlike from line to line.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    pub(super) fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const HOSTS: [&str; 8] = ["a", "ab", "a.b", "b.a.b", "10.0.0.1", "10.0.0.12", "::1", "very-long-name.example.com"];
const PORTS: [u16; 4] = [22, 7227, 7, 72];

const PATTERNS: [&str; 26] = [
    "a",
    "ab",
    "a.b",
    "A.B",
    "*",
    "?",
    "??",
    "*.b",
    "a*",
    "*a*",
    "10.0.0.*",
    "10.0.0.?",
    "::1",
    "[a]:7227",
    "[ab]:7",
    "[a.b]:22",
    "[*]:7227",
    "[*.b]:72",
    "[::1]:7227",
    "[?]:*",
    "*:7",
    "[10.0.0.*]:7227",
    "*example*",
    "[A]:7227",
    "",
    "[*",
];

/// A file of `count` lines, each with a key of its own: patterns in lists, some negated.
fn generated(count: usize) -> String {
    let mut dice = Dice(7);
    let line = |number: usize| {
        let patterns: Vec<String> = (0..=dice.below(4))
            .map(|_| format!("{}{}", if dice.below(4) == 0 { "!" } else { "" }, dice.pick(&PATTERNS)))
            .collect();
        let hosts = patterns.join(",");
        // An empty list would shift the fields; it has a test of its own.
        let hosts = if hosts.is_empty() { "none" } else { &hosts };
        format!("{hosts}{}{}\n", dice.pick(&[" ", "\t", "  \t "]), public(number as u32))
    };
    (1..=count).map(line).collect()
}

#[test]
fn we_find_what_ssh_keygen_finds() {
    if !has("ssh-keygen") {
        return;
    }
    const LINES: usize = 200;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    let text = generated(LINES);
    write(&file, &text, 0o600);
    assert_eq!(load(&file).skipped(), []);
    let keys: Vec<PublicKey> = (1..=LINES as u32).map(public).collect();
    let mut found = 0;
    for host in HOSTS {
        let plain = ssh_keygen_finds(&file, host);
        for port in PORTS {
            let mut theirs = plain.clone();
            if port != 22 {
                theirs.extend(ssh_keygen_finds(&file, &format!("[{host}]:{port}")));
            }
            assert_eq!(we_find(&text, &keys, host, port), theirs, "{host} port {port}");
            assert_eq!(we_find(&text, &keys, &host.to_uppercase(), port), theirs, "{host} port {port}");
            found += theirs.len();
        }
    }
    assert!(found > LINES, "the generator makes lines that match: {found}");
}

#[test]
fn hashing_a_file_changes_nothing() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    let names = ["a", "a.b,b.a.b", "[a]:7227", "10.0.0.1,[ab]:7", "::1", "[::1]:7227", "ab"];
    let text: String = (1..).zip(names).map(|(line, names)| format!("{names} {}\n", public(line))).collect();
    write(&file, text, 0o600);
    let verdicts = |known: &KnownHosts| -> Vec<bool> {
        let cases = HOSTS.iter().flat_map(|host| PORTS.map(|port| (*host, port)));
        let keys = |(host, port)| (1..8).map(move |line| (host, port, line));
        cases
            .flat_map(keys)
            .map(|(host, port, line)| matches!(known.lookup(host, port, &public(line)), Verdict::Trusted { .. }))
            .collect()
    };
    let before = verdicts(&load(&file));
    keygen(["-H", "-f", file.to_str().expect("UTF-8")]);
    let hashed = std::fs::read_to_string(&file).expect("read");
    assert!(hashed.lines().all(|line| line.starts_with("|1|")), "{hashed}");
    let known = load(&file);
    assert_eq!(known.skipped(), []);
    assert_eq!(verdicts(&known), before);
    assert!(before.iter().filter(|trusted| **trusted).count() > 10);
}

#[test]
fn ssh_keygen_finds_what_we_append() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config/unglue/known_hosts");
    for (line, (host, port)) in
        (1..).zip([("Build.Example", 7227), ("build.example", 22), ("::1", 7), ("10.0.0.1", 72)])
    {
        KnownHosts::append(&file, host, port, &public(line)).expect("appended");
        let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        assert_eq!(ssh_keygen_finds(&file, &name), BTreeSet::from([line as usize]));
        let verdict = load(&file).lookup(host, port, &public(line));
        assert!(matches!(verdict, Verdict::Trusted { ref at } if at.line == line as usize), "{verdict:?}");
    }
    let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().expect("a directory")), 0o700);
}

/// What the text says about key 1 at `host`, port 7227.
fn verdict(text: &str, host: &str) -> Verdict {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    write(&file, text, 0o600);
    load(&file).lookup(host, 7227, &public(1))
}

#[test]
fn another_key_at_this_very_port_is_a_change_and_under_the_plain_name_is_not() {
    let other = public(2);
    match verdict(&format!("# a comment\n[h]:7227 {other}\n"), "h") {
        Verdict::Changed { at, known } => assert_eq!((at.line, known), (2, other.fingerprint())),
        verdict => panic!("{verdict:?}"),
    }
    match verdict(&format!("h {other}\n[h]:22 {other}\n"), "h") {
        Verdict::Unknown { others } => {
            assert_eq!(others.len(), 1);
            assert_eq!((others[0].at.line, others[0].fingerprint), (1, other.fingerprint()));
        }
        verdict => panic!("{verdict:?}"),
    }
    // For port 22 the plain name is the very port.
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    write(&file, format!("h {other}\n"), 0o600);
    assert!(matches!(load(&file).lookup("h", 22, &public(1)), Verdict::Changed { .. }));
}

#[test]
fn the_exact_entry_decides_before_the_plain_name() {
    for (text, line) in [
        (format!("h {}\n", public(1)), 1),
        (format!("h {}\n[h]:7227 {}\n", public(2), public(1)), 2),
        (format!("[h]:7227 {}\n[h]:7227 {}\n", public(2), public(1)), 2),
        (format!("h {}\n@revoked [h]:7227 {}\n", public(1), public(2)), 1),
    ] {
        assert!(matches!(verdict(&text, "h"), Verdict::Trusted { at } if at.line == line), "{text}");
    }
    for text in [
        format!("[h]:7227 {}\nh {}\n", public(2), public(1)),
        format!("h {}\n[?]:* {}\n", public(1), public(2)),
        format!("h {}\n[h]:7227 {}\n", public(1), rsa()),
    ] {
        assert!(matches!(verdict(&text, "h"), Verdict::Changed { .. }), "{text}");
    }
}

/// An RSA key of 1,024 bits.
fn rsa() -> String {
    let mut blob = Vec::new();
    for field in [&b"ssh-rsa"[..], &[1, 0, 1], &[7; 128]] {
        blob.extend((field.len() as u32).to_be_bytes());
        blob.extend(field);
    }
    format!("ssh-rsa {}", STANDARD.encode(blob))
}

#[test]
fn a_line_whose_key_ssh_cannot_read_contradicts_nothing() {
    for key in ["ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ==", "ssh-new AAAAB3NzaC1uZXcAAAADAQAB"] {
        assert_eq!(verdict(&format!("[h]:7227 {key}\n"), "h"), Verdict::Unknown { others: vec![] });
    }
    match verdict(&format!("h {}\n", rsa()), "h") {
        Verdict::Unknown { others } => assert_eq!((others.len(), others[0].kind.as_str()), (1, "ssh-rsa")),
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_revoked_key_is_never_trusted_and_an_authoritys_key_is_not_a_hosts_key() {
    for name in ["h", "[h]:7227", "*"] {
        for text in [
            format!("@revoked {name} {0}\n[h]:7227 {0}\n", public(1)),
            format!("h {0}\n[h]:7227 {0}\n@revoked\t{name} {0}\n", public(1)),
        ] {
            assert!(matches!(verdict(&text, "h"), Verdict::Revoked { .. }), "{text}");
        }
    }
    // Another key's revocation is no news about this one.
    let text = format!("@revoked * {}\n[h]:7227 {}\n", public(2), public(1));
    assert!(matches!(verdict(&text, "h"), Verdict::Trusted { .. }));
    for authority in [public(1), public(2)] {
        let text = format!("@cert-authority * {authority}\n");
        assert_eq!(verdict(&text, "h"), Verdict::Unknown { others: vec![] });
    }
}

#[test]
fn a_revocation_in_one_file_wins_over_trust_in_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = [directory.path().join("one"), directory.path().join("two"), directory.path().join("absent")];
    write(&files[0], format!("[h]:7227 {}\n", public(1)), 0o600);
    write(&files[1], format!("@revoked h {}\n", public(1)), 0o600);
    match KnownHosts::load(&files).expect("loaded").lookup("h", 7227, &public(1)) {
        Verdict::Revoked { at } => assert_eq!(at.to_string(), format!("{}:1", files[1].display())),
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn malformed_lines_are_skipped_and_told_with_their_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    write(&file, format!("nonsense\n|1|a|b {0}\n@what h {0}\n\n[h]:7227 {0}\n\0", public(1)), 0o600);
    let known = load(&file);
    let places: Vec<_> = known.skipped().iter().map(|skipped| skipped.at.line).collect();
    assert_eq!(places, [1, 2, 3, 6]);
    assert!(matches!(known.lookup("h", 7227, &public(1)), Verdict::Trusted { at } if at.line == 5));
}

#[test]
fn a_malformed_line_with_a_marker_is_marked() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    write(&file, format!("nonsense\n@revoked h\n @revoke * {0}\n@revoked * {0}\n", public(1)), 0o600);
    let known = load(&file);
    let marked: Vec<_> = known.skipped().iter().map(|skipped| (skipped.at.line, skipped.marked)).collect();
    assert_eq!(marked, [(1, false), (2, true), (3, true)]);
}

#[test]
fn dev_null_is_an_empty_file_that_forgets() {
    let null = Path::new("/dev/null");
    assert_eq!(load(null).lookup("h", 7227, &public(1)), Verdict::Unknown { others: vec![] });
    KnownHosts::append(null, "h", 7227, &public(1)).expect("written");
    assert_eq!(load(null).lookup("h", 7227, &public(1)), Verdict::Unknown { others: vec![] });
    assert!(KnownHosts::load(["/dev/zero"]).is_err());
}

#[test]
fn a_file_that_is_there_and_cannot_be_read_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(matches!(KnownHosts::load([directory.path()]), Err(IdentityError::Io { .. })));
}

#[test]
fn appending_repairs_a_line_that_was_left_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    write(&file, format!("[a]:7227 {}", public(1)), 0o600);
    KnownHosts::append(&file, "b", 7227, &public(2)).expect("appended");
    KnownHosts::append(&file, "c", 7227, &public(3)).expect("appended");
    let text = std::fs::read_to_string(&file).expect("read");
    let expected = format!("[a]:7227 {}\n[b]:7227 {}\n[c]:7227 {}\n", public(1), public(2), public(3));
    assert_eq!(text, expected);
}

#[test]
fn clients_that_append_at_once_all_succeed() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("new/known_hosts");
    std::thread::scope(|scope| {
        for n in 0..16 {
            let file = &file;
            scope.spawn(move || KnownHosts::append(file, &format!("h{n}"), 7227, &public(n)).expect("appended"));
        }
    });
    let known = load(&file);
    for n in 0..16 {
        assert!(matches!(known.lookup(&format!("h{n}"), 7227, &public(n)), Verdict::Trusted { .. }));
    }
}

#[test]
fn a_name_that_would_mean_something_else_in_the_file_is_not_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("known_hosts");
    for host in ["", "*", "h,*", "h ssh-rsa", "h\n*", "!h", "[h]", "|1|a|b", "#h", "@revoked", "h?"] {
        let refused = KnownHosts::append(&file, host, 7227, &public(1));
        assert!(matches!(refused, Err(IdentityError::HostName { .. })), "{host:?}");
    }
    assert!(!file.exists());
}
