//! The servers that a known-hosts file trusts, for people to read.

use std::io;
use std::path::Path;

use unglue::identity::PublicKey;

use crate::complaint::{Complaint, printable};

/// A line for each entry of the file; nothing for a file that isn't there.
///
/// # Errors
/// The file can't be read.
pub(super) fn list(file: &Path) -> Result<String, Complaint> {
    let shown = printable(&file.display().to_string());
    match std::fs::read(file) {
        Ok(text) => {
            let entries: String = text.split(|&byte| byte == b'\n').filter_map(entry).collect();
            Ok(format!("known servers in {shown}:\n{}", if entries.is_empty() { "  none\n" } else { &entries }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Complaint::new(format!("{shown} can't be read: {error}"))),
    }
}

/// `[@marker] hosts kind base64 [comment]` (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) as fingerprint and hosts; `None` for
/// comments and for what isn't an entry.
fn entry(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace().peekable();
    let marker = words.next_if(|word| word.starts_with('@'));
    let hosts = words.next().filter(|hosts| !hosts.starts_with('#'))?;
    let (kind, base64) = (words.next()?, words.next()?);
    // Other kinds of keys are ssh's; unglue doesn't use them, and says so.
    let key = match PublicKey::from_openssh(&format!("{kind} {base64}")) {
        Ok(key) => key.fingerprint().to_string(),
        Err(_) => format!("(not used: {kind})"),
    };
    let hosts = if hosts.starts_with("|1|") { "(hashed name)" } else { hosts };
    let marker = marker.map(|marker| format!(" {marker}")).unwrap_or_default();
    Some(format!("  {} {}{}\n", printable(&key), printable(hosts), printable(&marker)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn entries_are_told_and_comments_are_not() {
        let told = entry(format!("[h]:7227 {KEY} note").as_bytes()).expect("an entry");
        assert!(told.starts_with("  SHA256:") && told.ends_with(" [h]:7227\n"), "{told:?}");
        assert!(entry(format!("@revoked h {KEY}").as_bytes()).expect("an entry").ends_with("h @revoked\n"));
        assert!(entry(format!("|1|a|b {KEY}").as_bytes()).expect("an entry").contains("(hashed name)"));
        assert!(entry(b"h ssh-rsa AAAA").expect("an entry").contains("not used"));
        for line in ["", "# h", "h", "h ssh-ed25519"] {
            assert_eq!(entry(line.as_bytes()), None);
        }
    }
}
