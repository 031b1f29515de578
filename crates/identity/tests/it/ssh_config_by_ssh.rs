//! The ssh configuration with `ssh -G` as the oracle: 1,000 generated files.

use super::known_hosts::Dice;
use super::{has, write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use unglue_identity::ssh_config::{AgentChoice, Asked, Files, Settings, Values};

/// How many files are compared.
const CASES: usize = 1000;

#[test]
fn a_thousand_generated_files_give_what_ssh_says() {
    if !has("ssh") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (next, refused, final_passes) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CASES {
                        break;
                    }
                    let case = Case::generate(number, directory.path());
                    final_passes.fetch_add(usize::from(case.text.contains("final")), Ordering::Relaxed);
                    refused.fetch_add(usize::from(!case.compare(directory.path())), Ordering::Relaxed);
                }
            });
        }
    });
    let (refused, final_passes) = (refused.into_inner(), final_passes.into_inner());
    eprintln!("{CASES} files, {refused} of them refused by both, {final_passes} with a final pass");
    assert!((20..CASES / 2).contains(&refused) && final_passes > 50);
}

struct Case {
    number: usize,
    text: String,
    included: String,
    host: &'static str,
    user: Option<&'static str>,
}

const HOSTS: [&str; 5] = ["build", "Build", "a.example.com", "10.0.0.1", "::1"];
const PATTERNS: [&str; 12] = [
    "build",
    "*",
    "b*",
    "*.example.com",
    "!build",
    "10.0.0.?",
    "a.example.com",
    "other",
    "BUILD",
    "\"build\"",
    "*:*",
    "x.example",
];

impl Case {
    fn generate(number: usize, directory: &Path) -> Self {
        let mut dice = Dice(number as u64 * 6007 + 17);
        let _ = (0..8).map(|_| dice.below(2)).sum::<usize>();
        let include = directory.join(format!("inc{number}"));
        let include = include.to_str().expect("UTF-8");
        let count = 1 + dice.below(14);
        let text = (0..count).map(|_| line(&mut dice, include)).collect();
        let included = (0..dice.below(5)).map(|_| line(&mut dice, "/nonexistent/*")).collect();
        let host = HOSTS[dice.below(HOSTS.len())];
        Self { number, text, included, host, user: [None, None, Some("eve")][dice.below(3)] }
    }

    /// Whether both read the files.
    fn compare(&self, directory: &Path) -> bool {
        let path = directory.join(format!("config{}", self.number));
        write(&path, &self.text, 0o600);
        write(&directory.join(format!("inc{}", self.number)), &self.included, 0o600);
        let theirs = ask_ssh(&path, self.host, self.user);
        let mut asked = Asked::from_env(self.host, self.user);
        asked.local_user = local_user();
        let ours = Files::only(&path).values(&asked);
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => {
                let settings = Files::only(&path).settings(&asked).expect("every value can be expanded");
                let ours = lines(&ours, &settings, &asked);
                assert_eq!(ours, theirs, "{}\n--\n{}\nfor {}", self.text, self.included, self.host);
                true
            }
            (Err(_), Err(_)) => false,
            (theirs, ours) => panic!("{theirs:?}\n{ours:?}\n{}\n--\n{}\nfor {}", self.text, self.included, self.host),
        }
    }
}

fn line(dice: &mut Dice, include: &str) -> String {
    let pattern = |dice: &mut Dice| (*dice.pick(&PATTERNS)).to_owned();
    let body = match dice.below(30) {
        0..=4 => {
            let count = 1 + dice.below(3);
            let patterns: Vec<String> = (0..count).map(|_| pattern(dice)).collect();
            format!("Host {}", patterns.join(" "))
        }
        5..=8 => {
            let condition = |dice: &mut Dice| match dice.below(9) {
                0 => format!("host {}", pattern(dice)),
                1 => format!("originalhost {},{}", pattern(dice), pattern(dice)),
                2 => format!("user {}", dice.pick(&["ada", "eve", "root,!ada", "*"])),
                3 => format!("localuser {}", dice.pick(&["root", "nobody-else", "*"])),
                4 => "final".to_owned(),
                5 => format!("exec {}", dice.pick(&["true", "false", "\"test %h = build\"", "\"test %n = build\""])),
                6 => format!("!host {}", pattern(dice)),
                7 => "canonical".to_owned(),
                _ => format!("host={}", pattern(dice)),
            };
            match dice.below(6) {
                0 => "Match all".to_owned(),
                1 | 2 => format!("Match {} {}", condition(dice), condition(dice)),
                _ => format!("Match {}", condition(dice)),
            }
        }
        9 | 10 => format!("HostName {}", dice.pick(&["%h.example.com", "10.0.0.1", "host%%x", "real.example", "a b"])),
        11 | 12 => format!("User {}", dice.pick(&["ada", "ci", "\"quoted user\"", "x # comment"])),
        13..=15 => format!(
            "IdentityFile {}",
            dice.pick(&["~/.ssh/id_a", "/keys/%h-%r", "\"/a key\"", "none", "~/.ssh/id_a", "/k/'x y'", "${HOME}/k"])
        ),
        16 => format!("IdentitiesOnly {}", dice.pick(&["yes", "no", "maybe"])),
        17 => format!("IdentityAgent {}", dice.pick(&["none", "SSH_AUTH_SOCK", "$SOCK", "~/agent", "/run/%u"])),
        18 => format!("UserKnownHostsFile {}", dice.pick(&["~/kh", "/a /b", "none", "/dev/null", "\"/x y\" /z"])),
        19 => format!("HostKeyAlias {}", dice.pick(&["alias", "Other.Example"])),
        20 | 21 => format!(
            "StrictHostKeyChecking {}",
            dice.pick(&["yes", "no", "ask", "accept-new", "off", "true", "Ask", "sometimes"])
        ),
        22..=24 => format!("SendEnv {}", dice.pick(&["LANG LC_*", "FOO", "-LC_*", "A B C", "-*", "A=B", "LANG"])),
        25 => format!("ConnectTimeout {}", dice.pick(&["10", "1m", "1h30m", "none", "0", "x", "90s"])),
        26 => format!("Include {include}"),
        27 => {
            (*dice.pick(&["Port 2222", "ProxyJump jump", "Compression yes", "UpdateHostKeys no", "Port 0"])).to_owned()
        }
        28 => (*dice.pick(&["# a comment", "", "   ", "User", "Host", "HostName", "Match"])).to_owned(),
        _ => (*dice.pick(&[
            "User=ada",
            "User = ada",
            "USER ada extra",
            "IdentityFile \"open",
            "hostname\tx.example",
            "\"User\" q",
        ]))
        .to_owned(),
    };
    let front = dice.pick(&["", "", " ", "\t", "    "]);
    let end = dice.pick(&["", "", "", " ", "\t", "\r"]);
    format!("{front}{body}{end}\n")
}

/// `ssh` takes the local user's name from the user database.
fn local_user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id(1) runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn ask_ssh(config: &Path, host: &str, user: Option<&str>) -> Result<Vec<String>, String> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-G").arg("-F").arg(config);
    if let Some(user) = user {
        ssh.args(["-l", user]);
    }
    let output = ssh.arg("--").arg(host).stdin(Stdio::null()).env("SHELL", "/bin/sh").output().expect("ssh runs");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ours = [
        "hostname",
        "user",
        "identityfile",
        "identitiesonly",
        "identityagent",
        "userknownhostsfile",
        "hostkeyalias",
        "stricthostkeychecking",
        "sendenv",
        "connecttimeout",
    ];
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| ours.contains(&line.split(' ').next().unwrap_or_default()))
        .map(|line| match line.starts_with("userknownhostsfile ") && line.ends_with("/.ssh/known_hosts2") {
            // Its default is printed with the home in it.
            true => "userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2".to_owned(),
            false => line.to_owned(),
        })
        .collect();
    lines.sort();
    Ok(lines)
}

/// The values as `ssh -G` prints them, its defaults included.
fn lines(values: &Values, settings: &Settings, asked: &Asked) -> Vec<String> {
    let mut lines = Vec::new();
    let host = values.host_name.clone().unwrap_or_else(|| asked.host.clone());
    lines.push(format!("hostname {}", host.replace("%h", &asked.host).replace("%%", "%").to_lowercase()));
    let user = asked.user.clone().or(values.user.clone()).unwrap_or_else(|| asked.local_user.clone());
    lines.push(format!("user {user}"));
    let default = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa"];
    match values.identity_files.is_empty() {
        true => lines.extend(default.map(|name| format!("identityfile ~/.ssh/{name}"))),
        false => lines.extend(values.identity_files.iter().map(|file| format!("identityfile {file}"))),
    }
    lines.push(format!("identitiesonly {}", if values.identities_only == Some(true) { "yes" } else { "no" }));
    // These two are printed with `~` and tokens replaced.
    lines.extend(values.identity_agent.iter().map(|agent| match &settings.identity_agent {
        AgentChoice::At(path) if !agent.starts_with('$') => format!("identityagent {}", path.display()),
        _ => format!("identityagent {agent}"),
    }));
    match &settings.known_hosts {
        None => lines.push("userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2".into()),
        Some(files) if files.is_empty() => lines.push("userknownhostsfile none".into()),
        Some(files) => {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            lines.push(format!("userknownhostsfile {}", files.join(" ")));
        }
    }
    lines.extend(values.host_key_alias.iter().map(|alias| format!("hostkeyalias {}", alias.to_lowercase())));
    let checking = match values.checking {
        Some("yes") => "true",
        Some("no") => "false",
        Some(other) => other,
        None => "ask",
    };
    lines.push(format!("stricthostkeychecking {checking}"));
    lines.extend(values.send_env.iter().map(|name| format!("sendenv {name}")));
    lines.push(match values.connect_timeout.flatten() {
        Some(limit) => format!("connecttimeout {limit}"),
        None => "connecttimeout none".into(),
    });
    lines.sort();
    lines
}
