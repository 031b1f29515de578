//! The command line: ssh's words, and the script for the other side.

use std::ffi::OsString;
use std::process::Command;

use super::Ssh;

/// The script that every login shell is given. It has no newline when it is sent, and no `'`, `!` or backslash: within single quotes,
/// the shells of the csh and fish families read all other characters as sh does.
const START: &str = include_str!("start.sh");

/// The options that every session of unglue has, unless the user's own say something else: no terminal, nothing forwarded, as
/// scp(1) has them.
const OPTIONS: [&str; 5] =
    ["RequestTTY=no", "RemoteCommand=none", "ClearAllForwardings=yes", "PermitLocalCommand=no", "ForwardAgent=no"];

/// How the script is started on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// By its path, which needs no `PATH`.
    ByPath,
    /// By its name: a restricted shell (rbash) allows no path.
    ByName,
}

/// A random marker in two parts. The command line has the parts as two words, so that a login script that prints the command
/// does not print the marker.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    parts: [String; 2],
    whole: String,
}

impl Marker {
    pub(super) fn new() -> Marker {
        let id = crate::ops::new_id();
        let (first, second) = id.split_at(id.len() / 2);
        Marker { parts: [format!("unglue-{first}"), second.to_owned()], whole: format!("unglue-{id}") }
    }

    /// What each line of the other side starts with.
    pub(super) fn whole(&self) -> &str {
        &self.whole
    }

    /// Unique on the other side, too: a part of a temporary file's name.
    pub(super) fn part(&self) -> &str {
        &self.parts[1]
    }
}

/// What the script runs at once if it is there: `MACHINE/VERSION-DIGEST`, for each machine that there is a program for.
pub(super) fn remote_command(start: Start, marker: &Marker, again: bool, candidates: &[String]) -> String {
    let shell = match start {
        Start::ByPath => "/bin/sh",
        Start::ByName => "sh",
    };
    let script = START.trim_end().replace('\n', " ");
    let [first, second] = &marker.parts;
    format!("{shell} -c '{script}' unglue {first} {second} {} {}", u8::from(again), candidates.join(" "))
}

/// The whole command.
pub(super) fn ssh_command(ssh: &Ssh, remote: &str) -> Command {
    let options = &ssh.options;
    let (program, words) =
        options.command.split_first().map_or((OsString::from("ssh"), &[][..]), |(p, w)| (p.clone(), w));
    let mut command = Command::new(program);
    command.args(words);
    if let Some(file) = &options.config {
        command.arg("-F").arg(file);
    }
    for option in &options.options {
        command.arg("-o").arg(option);
    }
    if let (Some(limit), false) = (options.limit, options.interactive) {
        command.arg("-o").arg(format!("ConnectTimeout={}", limit.as_secs().max(1)));
    }
    command.arg("-x");
    for option in OPTIONS {
        command.arg(format!("-o{option}"));
    }
    if let Some(user) = &ssh.user {
        command.arg("-l").arg(user);
    }
    command.arg(&ssh.host).arg(remote);
    command
}

#[cfg(test)]
mod tests {
    use super::super::SshOptions;
    use super::*;

    #[test]
    fn the_script_is_one_line_that_every_login_shell_quotes_alike() {
        let marker = Marker::new();
        let command = remote_command(Start::ByPath, &marker, false, &["x86_64/0.1.0-00".into()]);
        let script = command.split('\'').nth(1).expect("a script in quotes");
        assert!(!script.contains(['\n', '\'', '!', '\\']), "{script}");
        assert_eq!(command.matches('\'').count(), 2, "{command}");
        // A login script that prints the command doesn't print the marker.
        assert!(!command.contains(marker.whole()), "{command}");
        // The longest word that old shells of the csh family take has 1,024 bytes.
        assert!(script.len() < 1024, "{}", script.len());
    }

    #[test]
    fn the_users_own_options_come_first_and_the_users_name_is_no_option() {
        let options = SshOptions::default().command(["ssh", "-p", "2222"]).option("ForwardAgent=yes");
        let ssh = Ssh::new("alias", Some("ada".into()), options);
        let command = ssh_command(&ssh, "true");
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words[..4], ["-p", "2222", "-o", "ForwardAgent=yes"]);
        assert_eq!(words[words.len() - 4..], ["-l", "ada", "alias", "true"]);
    }
}
