//! The variables that a command gets of its client.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::Args;
use unglue::Exec;

/// Variables by name, and by pattern.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EnvironmentArgs {
    /// Set a variable of the command's environment; NAME alone copies the variable from this client. May be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,
    /// Copy the variables of this client whose names match (LC_*), as SendEnv does. May be repeated
    #[arg(long, value_name = "PATTERN")]
    send_env: Vec<String>,
}

impl EnvironmentArgs {
    /// The command with these variables.
    ///
    /// # Errors
    /// One of them makes no sense, or is not set here.
    pub(crate) fn apply(&self, exec: Exec) -> Result<Exec, String> {
        let mut exec = exec;
        for (name, value) in unglue::identity::ssh_config::matching_variables(&self.send_env) {
            exec = exec.env(name, value);
        }
        for pair in &self.env {
            let (name, value) = variable(pair, |name| std::env::var_os(name))?;
            exec = exec.env(name, value);
        }
        Ok(exec)
    }
}

/// Splits `NAME=VALUE`, bytes as they are, at the first equals sign; the value of a NAME alone is the one that it has here.
fn variable(pair: &OsStr, here: impl Fn(&OsStr) -> Option<OsString>) -> Result<(&OsStr, OsString), String> {
    let bytes = pair.as_bytes();
    match bytes.iter().position(|&byte| byte == b'=') {
        None if bytes.is_empty() => Err("--env needs a variable; write NAME=VALUE, or NAME".into()),
        None => here(pair).map(|value| (pair, value)).ok_or_else(|| {
            let name = pair.display();
            format!("--env {name}: {name} is not set here; write --env {name}=VALUE")
        }),
        Some(0) => Err(format!("--env {} has no name; write NAME=VALUE", pair.display())),
        Some(at) => Ok((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_split_at_the_first_equals_sign() {
        let here = |name: &OsStr| (name == "TERM").then(|| "xterm".into());
        assert_eq!(variable("A=b=c".as_ref(), here), Ok(("A".as_ref(), "b=c".into())));
        assert_eq!(variable("EMPTY=".as_ref(), here), Ok(("EMPTY".as_ref(), "".into())));
        assert_eq!(variable("TERM".as_ref(), here), Ok(("TERM".as_ref(), "xterm".into())));
        assert!(variable("TREM".as_ref(), here).expect_err("it is not set").contains("TREM is not set here"));
    }
}
