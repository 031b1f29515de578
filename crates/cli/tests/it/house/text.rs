//! The workspace's Rust files, read and parsed once for each rule that wants them.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust source file of the workspace.
pub(super) struct RustFile {
    /// Relative to the workspace's root.
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) syntax: syn::File,
}

impl RustFile {
    /// Whether this is product code (`crates/*/src`), not a test, an example or a bench.
    pub(super) fn is_product(&self) -> bool {
        self.path.components().nth(2).is_some_and(|part| part.as_os_str() == "src")
            && !self.path.starts_with("crates/testkit")
            && self.path.file_stem().is_none_or(|stem| stem != "tests")
            && self.path.components().all(|part| part.as_os_str() != "tests")
    }

    /// Whether the file belongs to the crate in `crates/NAME`.
    pub(super) fn is_of(&self, name: &str) -> bool {
        self.path.starts_with(Path::new("crates").join(name))
    }
}

/// The workspace's root directory.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/cli lies two directories below the root")
}

/// Every `.rs` file below `crates/`, in order of path.
pub(super) fn rust_files() -> Vec<RustFile> {
    let mut paths = Vec::new();
    walk(&root().join("crates"), &mut paths);
    paths.sort();
    paths.into_iter().map(|path| read(&path)).collect()
}

/// The crates' manifests with their text.
pub(super) fn manifests() -> Vec<(PathBuf, String)> {
    let crates = fs::read_dir(root().join("crates")).expect("crates/");
    let manifests = crates.map(|entry| entry.expect("an entry of crates/").path().join("Cargo.toml"));
    manifests
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read_to_string(&path).expect("utf-8")))
        .collect()
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display())) {
        let path = entry.expect("a directory's entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> RustFile {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let syntax = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    RustFile { path: path.strip_prefix(root()).expect("below the root").to_owned(), text, syntax }
}
