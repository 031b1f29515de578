//! What the key that a client logged in with makes of its command: `command=` and `environment=` in `authorized_keys`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use unglue_identity::Policy;
use unglue_proto::message::exec::Exec;
use unglue_proto::{Code, Fault, Octets};

/// Holds the command that the client asked for, as one line for a shell (sshd(8)).
const ORIGINAL: &str = "SSH_ORIGINAL_COMMAND";

/// The command that runs: the client's, or the one that its key forces, by the user's shell. The variables of the key
/// replace the client's, as in sshd; a key that forces a command takes only the variables of a locale
/// from the client, because others can make the command do something else.
///
/// # Errors
/// The client asks for what the key doesn't allow.
pub(crate) fn grant(policy: &Policy, shell: &Path, mut exec: Exec) -> Result<Exec, Fault> {
    if exec.terminal.is_some() && !policy.pty {
        return Err(no_terminal());
    }
    let own = policy.environment.iter().map(|(name, value)| (Octets::from(name.clone()), Octets::from(value.clone())));
    let Some(command) = &policy.command else {
        exec.env.extend(own);
        return Ok(exec);
    };
    if exec.cwd.is_some() {
        return Err(Fault::user(Code::NotAllowed, "the key runs one command only (command=), in its own directory")
            .advise("leave the working directory out"));
    }
    // The login shell has no words.
    let asked = (!exec.argv.is_empty()).then(|| quoted(&exec.argv));
    exec.argv = vec![Octets::from(shell.as_os_str().as_bytes().to_vec()), "-c".into(), Octets::from(command.clone())];
    let sent = exec.env.len();
    exec.env.retain(|(name, _)| is_of_a_locale(name));
    if exec.env.len() < sent {
        tracing::info!(event = "variables_left_out", id = %Octets::from(exec.id.as_str()), count = sent - exec.env.len());
    }
    exec.env.extend(own);
    exec.env.extend(asked.map(|asked| (ORIGINAL.into(), asked)));
    Ok(exec)
}

/// The key may not have a terminal.
pub(crate) fn no_terminal() -> Fault {
    Fault::user(Code::NotAllowed, "your key allows no terminal (no-pty, restrict)")
        .advise("run the command without one, or have the option pty added to the key")
}

/// `LANG` and `LC_*`, which sshd takes from clients on most systems.
fn is_of_a_locale(name: &Octets) -> bool {
    let name = name.as_bytes();
    name == b"LANG" || name.starts_with(b"LC_")
}

/// The words as a POSIX shell would read them back, each in single quotes where it needs them.
fn quoted(argv: &[Octets]) -> Octets {
    let mut line = Vec::new();
    for word in argv {
        if !line.is_empty() {
            line.push(b' ');
        }
        let word = word.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(byte);
        if !word.is_empty() && word.iter().all(plain) {
            line.extend_from_slice(word);
            continue;
        }
        line.push(b'\'');
        for &byte in word {
            match byte {
                b'\'' => line.extend_from_slice(br"'\''"),
                byte => line.push(byte),
            }
        }
        line.push(b'\'');
    }
    Octets::from(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue_proto::message::exec::TerminalSize;

    fn exec(argv: &[&str], env: &[(&str, &str)]) -> Exec {
        let mut exec: Exec = serde_json::from_value(serde_json::json!({ "id": "x", "argv": argv })).expect("a request");
        exec.env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        exec
    }

    fn policy(command: Option<&str>) -> Policy {
        let mut policy = Policy::everything();
        policy.command = command.map(|command| command.as_bytes().to_vec());
        policy.environment = vec![(b"A".to_vec(), b"key's".to_vec())];
        policy
    }

    #[test]
    fn a_command_that_is_not_forced_runs_with_the_keys_variables_last() {
        let granted = grant(&policy(None), Path::new("/bin/sh"), exec(&["ls"], &[("A", "own")])).expect("granted");
        assert_eq!(granted.argv, [Octets::from("ls")]);
        assert_eq!(granted.env, [("A".into(), "own".into()), ("A".into(), "key's".into())]);
    }

    #[test]
    fn a_forced_command_replaces_it_and_learns_of_it() {
        let sent = [
            ("LD_PRELOAD", "x.so"),
            ("PATH", "/evil"),
            ("LANG", "C"),
            ("SSH_ORIGINAL_COMMAND", "lie"),
            ("LC_ALL", "C"),
        ];
        let granted = grant(&policy(Some("backup")), Path::new("/bin/sh"), exec(&["rm", "a b", "it's", ""], &sent));
        let granted = granted.expect("granted");
        assert_eq!(granted.argv, ["/bin/sh", "-c", "backup"].map(Octets::from));
        let names: Vec<_> = granted.env.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, ["LANG", "LC_ALL", "A", "SSH_ORIGINAL_COMMAND"].map(Octets::from));
        assert_eq!(granted.env[3].1, Octets::from(r"rm 'a b' 'it'\''s' ''"));
    }

    #[test]
    fn a_key_without_terminals_gets_none_and_a_forced_command_replaces_the_login_shell() {
        let shell = || Exec { terminal: Some(TerminalSize::new(24, 80)), ..exec(&[], &[]) };
        let mut no_pty = policy(None);
        no_pty.pty = false;
        let fault = grant(&no_pty, Path::new("/bin/sh"), shell()).expect_err("refused");
        assert_eq!(fault.code, Code::NotAllowed);
        assert!(grant(&policy(None), Path::new("/bin/sh"), shell()).expect("granted").argv.is_empty());
        let forced = grant(&policy(Some("menu")), Path::new("/bin/sh"), shell()).expect("granted");
        assert_eq!(forced.argv, ["/bin/sh", "-c", "menu"].map(Octets::from));
        assert!(forced.env.iter().all(|(name, _)| *name != Octets::from(ORIGINAL)), "{:?}", forced.env);
    }

    #[test]
    fn a_forced_command_has_its_own_directory() {
        let mut asked = exec(&["ls"], &[]);
        asked.cwd = Some("/elsewhere".into());
        let fault = grant(&policy(Some("backup")), Path::new("/bin/sh"), asked).expect_err("refused");
        assert_eq!(fault.code, Code::NotAllowed);
    }
}
