//! Identity against OpenSSH's own tools, which are the oracle for every file and format that is shared with them.

mod agent;
mod authorized_keys;
mod authorized_keys_by_sshd;
mod certificates;
mod corpus;
mod key_advice;
mod key_file_variants;
mod key_files;
mod key_kinds;
mod known_hosts;
mod known_hosts_by_ssh;
mod own;
mod security_keys;
mod signatures;
mod ssh_config_by_ssh;

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use unglue_identity::PrivateKey;

/// A tool of OpenSSH, killed after 20 s, with nothing to read and nobody to ask.
fn tool<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("timeout");
    command.arg("20").arg(name).args(arguments).stdin(Stdio::null());
    command.env_remove("SSH_AUTH_SOCK").env_remove("DISPLAY").env_remove("SSH_ASKPASS");
    command
}

/// Runs `ssh-keygen`, which must succeed, and gives what it printed.
fn keygen<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let output = tool("ssh-keygen", arguments).output().expect("timeout(1) runs");
    assert!(output.status.success(), "{output:?}");
    printed(&output)
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether this machine has the tool; a test that lacks it says so and returns.
fn has(name: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(name).is_file()));
    if !found {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Writes a file with exactly this mode, whatever the umask is.
fn write(path: &Path, contents: impl AsRef<[u8]>, mode: u32) {
    std::fs::write(path, contents).expect("written");
    chmod(path, mode);
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

/// A key that is the same in every run.
fn key(seed: u32) -> PrivateKey {
    let mut bytes = [0x42; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    PrivateKey::from_seed(&bytes)
}
