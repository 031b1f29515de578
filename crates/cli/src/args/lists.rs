//! Lists that stand in files, or come on standard input: paths, and rules.

use std::path::Path;

use unglue::{Octets, Rule};

/// The paths in a file, one a line.
pub(super) fn paths_in(file: &Path) -> Result<Vec<Octets>, String> {
    let text = read(file)?;
    let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(lines.filter(|line| !line.is_empty() && line[0] != b'#').map(|line| Octets::from(line.to_vec())).collect())
}

/// The rules of a file.
pub(super) fn rules_in(file: &Path) -> Result<Vec<Rule>, String> {
    read(file).map(|text| Rule::lines(&text))
}

/// A file's content, or what standard input has.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let read = match file == Path::new("-") {
        true => {
            let mut text = Vec::new();
            crate::standard::stdin()
                .and_then(|mut stdin| std::io::Read::read_to_end(&mut stdin, &mut text))
                .map(|_| text)
        }
        false => std::fs::read(file),
    };
    read.map_err(|error| format!("{} can't be read: {error}", file.display()))
}
