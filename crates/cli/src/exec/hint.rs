//! What a user may have meant by a program that doesn't exist: a line for the shell, which `-c` runs.

use std::ffi::OsStr;

use unglue::{Outcome, SpawnStep};

/// What only a shell understands, besides blanks.
const SHELL_SYNTAX: &[u8] = b"|&;<>()$`\\\"'*?[#~=%{}";
/// Commands that a shell has built in, and for which most systems have no program.
const BUILTINS: [&str; 14] = [
    "cd", "source", ".", "export", "alias", "ulimit", "umask", "eval", "exec", "set", "unset", "type", "history",
    "exit",
];

/// The hint, for the end of the complaint; empty where there is none.
pub(crate) fn shell_hint(program: Option<&OsStr>, outcome: &Outcome) -> String {
    let not_found = match outcome {
        Outcome::SpawnFailed(failed) => failed.step == SpawnStep::Program && failed.errno == "ENOENT",
        _ => false,
    };
    let Some(program) = program.filter(|_| not_found) else { return String::new() };
    match program.to_str() {
        Some("cd") => "; cd is a shell's own command: write --cwd DIR, or -c 'cd DIR && …'".into(),
        Some(name) if BUILTINS.contains(&name) => {
            format!("; {name} is a shell's own command: write -c '{name} …' to run it with a shell")
        }
        _ if program
            .as_encoded_bytes()
            .iter()
            .any(|byte| byte.is_ascii_whitespace() || SHELL_SYNTAX.contains(byte)) =>
        {
            "; this is the name of one program, since no shell splits it: write -c TEXT to run a line with a shell"
                .into()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue::SpawnFailed;

    fn hint(program: &str, errno: &str) -> String {
        let failed = SpawnFailed { errno: errno.into(), step: SpawnStep::Program, what: "no".into() };
        shell_hint(Some(program.as_ref()), &Outcome::SpawnFailed(failed))
    }

    #[test]
    fn what_a_shell_would_run_gets_a_hint() {
        assert!(hint("cd", "ENOENT").contains("--cwd DIR"));
        assert!(hint("export", "ENOENT").contains("-c 'export …'"));
        for line in ["ls -l", "~/bin/x", "a|b", "$HOME/x", "A=1"] {
            assert!(hint(line, "ENOENT").contains("write -c TEXT"), "{line}");
        }
        for program in ["lllll", "/opt/no-such", "a.out"] {
            assert_eq!(hint(program, "ENOENT"), "");
        }
        assert_eq!(hint("ls -l", "EACCES"), "");
    }
}
