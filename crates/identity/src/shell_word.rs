//! Paths in advice: a command that a person copies into a shell must mean the file that it names.

use std::fmt;
use std::path::Path;

/// The path as one word of a POSIX shell (sh(1), Quoting): as it is where that is safe, or else in single quotes.
pub(super) struct ShellWord<'a>(pub(super) &'a Path);

impl fmt::Display for ShellWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.to_string_lossy();
        // A program would take it for an option.
        let front = if path.starts_with('-') { "./" } else { "" };
        let safe = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
        match !path.is_empty() && path.chars().all(safe) {
            true => write!(f, "{front}{path}"),
            false => write!(f, "'{front}{}'", path.replace('\'', r"'\''")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_path_back() {
        for path in ["/root/.ssh/id_ed25519", "-f", "my keys/a", "it's", "$HOME;`x`", "naïve", "~/x", "a\"b", ""] {
            let script = format!("printf %s {}", ShellWord(Path::new(path)));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh runs");
            let read = String::from_utf8_lossy(&output.stdout);
            assert_eq!(read.strip_prefix("./").unwrap_or(&read), path, "{script}");
        }
    }
}
