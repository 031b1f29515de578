//! The guide to sticky packets is true: what its ```` ```console ```` blocks print is what comes when they are run.
//!
//! A block is one shell's session in a fresh directory. `$ ` begins a command and `> ` goes on with it; up to the next one stands what
//! it prints. A `…` alone on a line stands for any lines, elsewhere for any text. Behind `console` may stand what a block needs:
//! `python`, or `root`. A `python` block that begins with `# NAME.py` is there as a file of that name.

use std::env;
use std::fs;
use std::path::Path;

use super::run::{UNGLUE, clean, finish};

const GUIDE: &str = include_str!("../../../../docs/sticky-packets.md");
/// Stands between the outputs of two commands.
const MARK: &str = "\n----8<----\n";
/// Ends what a block has forgotten to end.
const SWEEP: &str = "jobs -p > left; while read -r job; do kill \"$job\" 2> /dev/null; done < left";
/// What the lab says where a user may not make networks.
const NO_NETWORK: &str = "has no network of its own";

/// A fenced block.
struct Block {
    /// Where its first line stands, from 1.
    line: usize,
    info: &'static str,
    lines: Vec<&'static str>,
}

/// A command, and the lines that it prints according to the guide.
struct Step {
    command: String,
    expected: Vec<&'static str>,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (index, line) in GUIDE.lines().enumerate() {
        match (open, line.strip_prefix("```")) {
            (false, Some(info)) => blocks.push(Block { line: index + 2, info, lines: Vec::new() }),
            (true, None) => blocks.last_mut().expect("it is open").lines.push(line),
            _ => {}
        }
        open ^= line.starts_with("```");
    }
    assert!(!open, "the last block has no end");
    blocks
}

impl Block {
    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for &line in &self.lines {
            match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
                (Some(command), _, _) => steps.push(Step { command: command.into(), expected: Vec::new() }),
                (None, Some(more), Some(step)) if step.expected.is_empty() => step.command += &format!("\n{more}"),
                (None, _, Some(step)) => step.expected.push(line.trim_end()),
                (None, _, None) => panic!("line {}: a console block begins with a command", self.line),
            }
        }
        steps
    }

    /// What each command printed, standard error included.
    fn play(&self, steps: &[Step]) -> Vec<String> {
        let directory = tempfile::tempdir().expect("a directory");
        furnish(directory.path());
        let outputs = tempfile::NamedTempFile::new().expect("a file");
        let commands: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
        let next = format!("\nprintf '{}'\n", MARK.escape_default());
        let script = format!("exec >>\"$OUTPUTS\" 2>&1\n{}\n{SWEEP}", commands.join(&next));
        let programs = Path::new(UNGLUE).parent().expect("a directory").display().to_string();
        let path = format!("{programs}:{}", env::var("PATH").unwrap_or_default());
        // It ends the shell's whole process group.
        let mut shell = clean("timeout");
        shell.args(["--kill-after=2", "25", "sh", "-c", &script]).current_dir(directory.path());
        let done = finish(shell.env("PATH", path).env("HOME", directory.path()).env("OUTPUTS", outputs.path()));
        assert_ne!(done.code, 124, "line {}: the block takes longer than 25 s", self.line);
        let printed = fs::read(outputs.path()).expect("it is ours");
        String::from_utf8_lossy(&printed).split(MARK).map(String::from).collect()
    }

    /// What is not as the guide says.
    fn wrong(&self) -> Vec<String> {
        let steps = self.steps();
        let printed = self.play(&steps);
        assert_eq!(printed.len(), steps.len(), "line {}: the shell broke off: {printed:?}", self.line);
        let pairs = steps.iter().zip(&printed);
        let wrong = pairs.filter(|(step, printed)| {
            let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
            !lines_match(&step.expected, &printed)
        });
        wrong.map(|(step, printed)| format!("line {}: `{}` prints:\n{printed}", self.line, step.command)).collect()
    }
}

/// What blocks may use: the guide's own programs, and the peers under the path that they have in the repository.
fn furnish(directory: &Path) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    std::os::unix::fs::symlink(tests, directory.join("tests")).expect("a link");
    for program in blocks().iter().filter(|block| block.info == "python") {
        if let Some(name) = program.lines.first().and_then(|line| line.strip_prefix("# ")) {
            fs::write(directory.join(name), program.lines.join("\n") + "\n").expect("a file");
        }
    }
}

fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match (expected, printed) {
        ([], _) => printed.is_empty(),
        (["…", rest @ ..], _) => (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..])),
        ([line, rest @ ..], [first, others @ ..]) => line_matches(line, first) && lines_match(rest, others),
        (_, []) => false,
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let Some((before, after)) = expected.split_once('…') else { return expected == printed };
    let Some(rest) = printed.strip_prefix(before) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_matches(after, &rest[at..]))
}

/// Runs the blocks that need this.
#[track_caller]
fn check(needs: &str) {
    let blocks: Vec<Block> = blocks().into_iter().filter(|block| block.info == needs).collect();
    assert!(!blocks.is_empty(), "the guide has no block `{needs}`");
    let wrong: Vec<String> = blocks.iter().flat_map(Block::wrong).collect();
    match wrong.iter().find_map(|wrong| wrong.lines().find(|line| line.contains(NO_NETWORK))) {
        Some(why) if needs == "console root" => eprintln!("skipped: {why}"),
        _ => assert!(wrong.is_empty(), "docs/sticky-packets.md is not true:\n{}", wrong.join("\n")),
    }
}

#[test]
fn what_the_guide_prints_is_what_comes() {
    check("console");
}

#[test]
fn what_it_prints_with_python_is_what_comes() {
    let version = "import sys; sys.exit(sys.version_info < (3, 11))";
    match std::process::Command::new("python3").args(["-c", version]).status() {
        Ok(status) if status.success() => check("console python"),
        _ => eprintln!("skipped: there is no Python 3.11 or newer"),
    }
}

#[test]
fn what_it_prints_on_a_network_of_its_own_is_what_comes() {
    check("console root");
}

#[test]
fn dots_stand_for_anything_and_nothing_else_does() {
    assert!(line_matches("a … c…", "a b c") && line_matches("…", "") && !line_matches("a … c", "a b d"));
    assert!(lines_match(&["a", "…", "d"], &["a", "b", "c", "d"]) && lines_match(&["…"], &[]));
    assert!(!lines_match(&["a", "…"], &["b"]) && !lines_match(&["a"], &["a", "b"]) && !lines_match(&["a"], &[]));
}

/// A link to a heading or a file that isn't there helps nobody.
#[test]
fn every_link_leads_somewhere() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let links = GUIDE.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    for link in links.filter(|link| !link.starts_with("https://")) {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let path = docs.join(if file.is_empty() { "sticky-packets.md" } else { file });
        assert!(path.exists(), "{link}: there is no such file");
        assert!(heading.is_empty() || has_heading(&path, heading), "{link}: there is no such heading");
    }
}

fn has_heading(document: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(document).expect("a document");
    text.lines().filter(|line| line.starts_with('#')).any(|heading| anchor_of(heading) == anchor)
}

/// The anchor that GitHub gives a heading.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
