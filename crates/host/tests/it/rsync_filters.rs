//! Rules for names, compared with rsync itself on generated cases.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use unglue_proto::tree::{Filter, Rule, Verdict};

/// A generator of numbers that gives the same ones in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const NAMES: [&str; 8] = ["a", "b", "ab", "c.o", "ab.o", "tmp", "a b", "[x]"];
const PARTS: [&str; 16] =
    ["a", "b", "ab", "*.o", "*", "?", "??", "tmp", "a*", "[ab]", "[!a]*", "**", "\\[x\\]", "*b*", "[a-c].o", "a b"];

fn pattern(numbers: &mut Numbers) -> String {
    let mut pattern = String::new();
    if numbers.below(3) == 0 {
        pattern.push('/');
    }
    for part in 0..1 + numbers.below(3) {
        if part > 0 {
            pattern.push('/');
        }
        pattern += numbers.pick(&PARTS);
    }
    match numbers.below(6) {
        0 => pattern.push('/'),
        1 => pattern += "/***",
        2 => pattern += "/**",
        _ => {}
    }
    pattern
}

/// What our rules take, as paths; directories end in a slash.
fn ours(top: &Path, at: &str, filter: &Filter, taken: &mut BTreeSet<String>) {
    for entry in fs::read_dir(top.join(at)).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("text");
        let path = if at.is_empty() { name } else { format!("{at}/{name}") };
        let is_directory = entry.file_type().expect("a type").is_dir();
        if filter.judge(path.as_bytes(), is_directory) == Verdict::Excluded {
            continue;
        }
        match is_directory {
            true => {
                taken.insert(format!("{path}/"));
                ours(top, &path, filter, taken);
            }
            false => _ = taken.insert(path),
        }
    }
}

/// What rsync takes.
fn rsyncs(top: &Path, rules: &[Rule]) -> BTreeSet<String> {
    let mut command = Command::new("rsync");
    command.args(["-rn", "--out-format=%n", "--8-bit-output"]);
    for rule in rules {
        let sign = if rule.include { "+" } else { "-" };
        command.arg(format!("--filter={sign} {}", String::from_utf8_lossy(rule.pattern.as_bytes())));
    }
    let output =
        command.arg(format!("{}/", top.display())).arg("/nonexistent-destination/").output().expect("rsync runs");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter(|line| *line != "./" && !line.starts_with("created directory")).map(str::to_owned).collect()
}

#[test]
fn rules_mean_what_they_mean_to_rsync() {
    if Command::new("rsync").arg("--version").output().is_err() {
        eprintln!("skipped: rsync is not installed");
        return;
    }
    let top = tempfile::tempdir().expect("a directory");
    for first in NAMES {
        let below = top.path().join(format!("d{first}"));
        fs::create_dir_all(below.join("tmp/a")).expect("made");
        fs::create_dir_all(below.join("ab")).expect("made");
        for name in NAMES {
            fs::write(top.path().join(name), "").expect("written");
            fs::write(below.join(format!("f{name}")), "").expect("written");
            fs::write(below.join("tmp/a").join(name), "").expect("written");
            fs::write(below.join("ab").join(name), "").expect("written");
        }
    }
    fs::create_dir_all(top.path().join("aa/a/b")).expect("made");
    let count = std::env::var("UNGLUE_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    let mut numbers = Numbers(20_261_126);
    let mut different = Vec::new();
    for case in 0..count {
        let rules: Vec<Rule> = (0..1 + numbers.below(4))
            .map(|_| Rule { include: numbers.below(3) == 0, ..Rule::exclude(pattern(&mut numbers).as_str()) })
            .collect();
        let mut taken = BTreeSet::new();
        ours(top.path(), "", &Filter::new(&rules), &mut taken);
        let theirs = rsyncs(top.path(), &rules);
        if taken != theirs {
            let more: Vec<_> = taken.symmetric_difference(&theirs).take(5).cloned().collect();
            different.push(format!("case {case}: {rules:?} differ in {more:?}"));
        }
    }
    assert!(different.is_empty(), "{} of {count}:\n{}", different.len(), different.join("\n"));
}
