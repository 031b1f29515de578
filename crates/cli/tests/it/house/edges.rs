//! The crates' edges, read from `cargo metadata`: imports go down only.

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

use super::assert_none;

/// The picture in `ARCHITECTURE.md`: each crate, and the crates of ours that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("unglue-derive", &[]),
    ("unglue-frame", &["unglue-derive"]),
    ("unglue-struct", &["unglue-derive"]),
    ("unglue-proto", &["unglue-frame"]),
    ("unglue-identity", &["unglue-proto"]),
    ("unglue-link", &["unglue-proto", "unglue-identity"]),
    ("unglue-host", &["unglue-proto"]),
    ("unglue-jobs", &["unglue-proto", "unglue-host"]),
    ("unglue", &["unglue-proto", "unglue-identity", "unglue-link", "unglue-host", "unglue-jobs"]),
    ("unglue-lab", &["unglue-frame", "unglue-struct"]),
    ("unglue-cli", &["unglue", "unglue-lab", "unglue-frame", "unglue-struct"]),
    ("unglue-testkit", &["unglue-frame", "unglue-proto"]),
];

/// Crates that reach for the machine: sockets, files, clocks, random bytes. The sans-IO crates take none of them.
const MACHINE: &[&str] =
    &["tokio", "mio", "socket2", "rustix", "libc", "cap-std", "rustls", "rand", "getrandom", "time", "chrono"];

/// Crates that draw on a terminal or read its arguments. Only the command has one.
const TERMINAL: &[&str] = &["anstream", "anstyle", "clap", "indicatif", "rpassword", "rustyline"];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(super::text::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata")
}

/// What a crate's users are built with: normal and build dependencies.
fn shipped(package: &Package) -> impl Iterator<Item = &Dependency> {
    package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development)
}

fn is_ours(metadata: &Metadata, name: &str) -> bool {
    metadata.packages.iter().any(|package| package.name == name)
}

#[test]
fn imports_go_down_only() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in &metadata.packages {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| package.name == *name) else {
            broken.push(format!("{} has no line in MAY_IMPORT", package.name));
            continue;
        };
        let wrong = shipped(package).filter(|dependency| is_ours(&metadata, &dependency.name));
        let wrong = wrong.filter(|dependency| !allowed.contains(&dependency.name.as_str()));
        broken.extend(wrong.map(|dependency| format!("{} imports {}", package.name, dependency.name)));
    }
    assert_none(&broken, "Move the shared part down, or pass it in as an argument.");
}

#[test]
fn the_sans_io_crates_never_see_the_machine() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in metadata.packages.iter().filter(|p| p.name == "unglue-frame" || p.name == "unglue-proto") {
        // unglue-frame's adapters for tokio are a feature that nobody gets unasked.
        let adapters = package.name == "unglue-frame";
        let wrong = shipped(package).filter(|dependency| MACHINE.contains(&dependency.name.as_str()));
        let wrong = wrong.filter(|dependency| !(adapters && dependency.optional && dependency.name == "tokio"));
        broken.extend(wrong.map(|dependency| format!("{} imports {}", package.name, dependency.name)));
    }
    assert_none(&broken, "Time, random bytes and IO are arguments of the sans-IO crates.");
}

#[test]
fn the_framing_library_has_no_dependency_by_default() {
    let metadata = metadata();
    let frame = metadata.packages.iter().find(|package| package.name == "unglue-frame").expect("unglue-frame");
    let broken: Vec<String> = shipped(frame)
        .filter(|dependency| !dependency.optional)
        .map(|dependency| format!("unglue-frame always imports {}", dependency.name))
        .collect();
    assert_none(&broken, "Make it optional, behind a named feature.");
    let on = frame.features.get("default").map_or(&[][..], Vec::as_slice);
    let heavy: Vec<&String> = on.iter().filter(|feature| *feature != "std" && *feature != "alloc").collect();
    assert!(heavy.is_empty(), "unglue-frame turns on {heavy:?} unasked: leave `default` without dependencies");
}

#[test]
fn the_test_kit_is_never_shipped() {
    let metadata = metadata();
    let kit = metadata.packages.iter().find(|package| package.name == "unglue-testkit").expect("unglue-testkit");
    assert_eq!(kit.publish.as_deref(), Some(&[][..]), "unglue-testkit must say `publish = false`");
}

#[test]
fn terminals_are_the_commands_alone() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in metadata.packages.iter().filter(|package| package.name != "unglue-cli") {
        let wrong = shipped(package).filter(|dependency| TERMINAL.contains(&dependency.name.as_str()));
        broken.extend(wrong.map(|dependency| format!("{} imports {}", package.name, dependency.name)));
    }
    assert_none(&broken, "Operations and scenes emit values; crates/cli prints them.");
}

#[test]
fn settings_are_the_workspaces() {
    let broken: Vec<String> = super::text::manifests()
        .into_iter()
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(path, _)| format!("{} doesn't take the workspace's lints", path.display()))
        .collect();
    assert_none(&broken, "Add `[lints]` with `workspace = true`.");
}
