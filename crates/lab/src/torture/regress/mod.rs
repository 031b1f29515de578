//! A finding as a regression test: the program under test, and its other end played from a recording. It needs no unglue.

use std::fmt::Write as _;
use std::path::Path;

use super::plan::{Act, Cut, Towards};
use super::transcript::{Conversation, Stream};
use super::{Exit, Finding, Settings, Target};
use crate::LabError;

/// What pieces are apart, in milliseconds: enough for a program on a busy machine to read one.
const APART: u64 = 150;
/// How long a pause is that a program shouldn't take for an end.
const LEAST_STALL: u64 = 50;
/// The longest recording, in bytes.
const LONGEST: usize = 512 << 10;

/// A language that a test can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// With the standard library's test harness.
    Rust,
    /// With unittest.
    Python,
    /// With the package testing.
    Go,
    /// With node:test.
    JavaScript,
}

impl Language {
    /// The language that a file's name says: `.rs`, `.py`, `.go`, `.js` or `.cjs`.
    ///
    /// # Errors
    /// [`LabError::Misuse`] for any other.
    pub fn of(path: &Path) -> Result<Language, LabError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => Ok(Language::Rust),
            Some("py") => Ok(Language::Python),
            Some("go") => Ok(Language::Go),
            Some("js" | "cjs") => Ok(Language::JavaScript),
            _ => Err(LabError::misuse(
                format!("{} doesn't say in which language a test is", path.display()),
                "name it .rs, .py, .go or .js",
            )),
        }
    }

    fn template(self) -> &'static str {
        match self {
            Language::Rust => include_str!("rust.txt"),
            Language::Python => include_str!("python.txt"),
            Language::Go => include_str!("go.txt"),
            Language::JavaScript => include_str!("javascript.txt"),
        }
    }

    /// A text in double quotes. JSON's escapes mean the same in all four languages but for control characters, which no
    /// command line of ours should have.
    fn quoted(self, text: &str) -> String {
        let escaped = text.chars().map(|c| match c {
            '"' => "\\\"".into(),
            '\\' => "\\\\".into(),
            '\n' => "\\n".into(),
            '\t' => "\\t".into(),
            c => String::from(c),
        });
        format!("\"{}\"", escaped.collect::<String>())
    }

    fn step(self, step: &Step) -> String {
        let (kind, bytes, number) = match step {
            Step::Send(bytes) => ("send", hex(bytes), None),
            Step::Pause(ms) => ("pause", String::new(), Some(*ms)),
            Step::Expect(bytes) => ("expect", String::new(), Some(*bytes)),
            Step::End => ("end", String::new(), Some(0)),
        };
        let value = number.map_or_else(|| format!("\"{bytes}\""), |number| number.to_string());
        match self {
            Language::Rust => format!("(\"{kind}\", \"{bytes}\", {})", number.unwrap_or(0)),
            Language::Python => format!("(\"{kind}\", {value})"),
            Language::Go => format!("{{\"{kind}\", \"{bytes}\", {}}}", number.unwrap_or(0)),
            Language::JavaScript => format!("['{kind}', {}]", value.replace('"', "'")),
        }
    }

    fn boolean(self, value: bool) -> &'static str {
        match (self, value) {
            (Language::Python, true) => "True",
            (Language::Python, false) => "False",
            (_, true) => "true",
            (_, false) => "false",
        }
    }
}

/// What the played end does.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Send(Vec<u8>),
    Pause(u64),
    /// Waits until so many bytes have come in all.
    Expect(u64),
    End,
}

/// Writes the test's text; `path` is the file that it is meant for.
///
/// # Errors
/// [`LabError::Misuse`]: the finding can't be played from a recording, for the reason told.
pub fn regression_test(settings: &Settings, finding: &Finding, path: &Path) -> Result<String, LabError> {
    let language = Language::of(path)?;
    let refused = |what: &str| {
        Err(LabError::misuse(format!("no test can be written: {what}"), "the replay file holds the finding"))
    };
    let cuts: Vec<&Cut> = finding.cuts.iter().map(|told| &told.cut).collect();
    let Some(tested) = under_test(&cuts) else {
        return refused("the cuts concern both programs, and a recording can stand in for one of them only");
    };
    let [conversation] = &finding.clean.conversations[..] else {
        return refused("the programs use more than one connection");
    };
    if !finding.steady {
        return refused("what the programs send differs in each run, so a recording can't stand in for one of them");
    }
    if !conversation.to_server.is_whole() || !conversation.to_client.is_whole() || length(conversation) > LONGEST {
        return refused(&format!("they send more than {LONGEST} bytes"));
    }
    let narrow = cuts.iter().any(|cut| cut.act == Act::Narrow);
    if narrow && matches!(language, Language::Rust | Language::JavaScript) {
        return refused("its standard library can't make a narrow path; a .py or .go file can");
    }
    let (command, exit, expected) = match (tested, &settings.target) {
        (Towards::Client, _) => {
            let Exit::Code(code) = finding.expected.exit else {
                return refused("a clean run doesn't exit with a code");
            };
            let words = settings.client.iter().map(|word| word.to_str().map(String::from)).collect::<Option<Vec<_>>>();
            (words, code, &finding.expected.stdout)
        }
        (Towards::Server, Target::Command { command, .. }) => {
            // `exec`, so that what the test ends is the server and not its shell.
            let shell = command.to_str().map(|command| {
                let command = command.strip_prefix("exec ").unwrap_or(command);
                vec!["/bin/sh".into(), "-c".into(), format!("exec {command}")]
            });
            (shell, 0, &conversation.to_client.bytes)
        }
        (Towards::Server, Target::Address(_)) => {
            return refused("the server is under test, and only --server says how to start it");
        }
    };
    let Some(command) = command else { return refused("a word of the command is not text") };
    let steps = steps(conversation, tested.other(), &cuts);
    let list = |items: Vec<String>| items.join(", ");
    let title = finding
        .cuts
        .iter()
        .map(|told| told.says.clone())
        .collect::<Vec<_>>()
        .join("; ")
        .replace(['\n', '\r', '"'], " ");
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let role = if tested == Towards::Client { "client" } else { "server" };
    let filled = language
        .template()
        .replace("@TITLE@", &format!("A {role} must come out the same with this: {title}."))
        .replace("@FILE@", &file)
        .replace("@ROLE@", role)
        .replace("@COMMAND@", &list(command.iter().map(|word| language.quoted(word)).collect()))
        .replace("@STEPS@", &list(steps.iter().map(|step| language.step(step)).collect()))
        .replace("@NARROW@", language.boolean(narrow))
        .replace("@EXIT@", &exit.to_string())
        .replace("@EXPECTED@", &hex(expected));
    Ok(filled)
}

fn length(conversation: &Conversation) -> usize {
    conversation.to_server.bytes.len() + conversation.to_client.bytes.len()
}

/// Which end the cuts concern: who reads behind a cut, and who writes into a narrow path. `None` if they concern both.
fn under_test(cuts: &[&Cut]) -> Option<Towards> {
    let of = |cut: &&Cut| if cut.act == Act::Narrow { cut.towards.other() } else { cut.towards };
    let first = of(cuts.first()?);
    cuts.iter().all(|cut| of(cut) == first).then_some(first)
}

/// What the end that receives in this direction does, to play its part of a clean run with these cuts.
fn steps(conversation: &Conversation, receives: Towards, cuts: &[&Cut]) -> Vec<Step> {
    let (mine, theirs) = (conversation.stream(receives.other()), conversation.stream(receives));
    let mut steps: Vec<Step> = Vec::new();
    let mut events: Vec<(u64, bool, u64)> = mine.reads.iter().map(|read| (read.order, true, read.at)).collect();
    events.extend(theirs.reads.iter().map(|read| (read.order, false, read.at)));
    events.sort();
    let held = |at: u64| {
        let joins = cuts.iter().filter_map(|cut| match cut.act {
            Act::Join { until } => Some((cut.after, until.unwrap_or(mine.total))),
            _ => None,
        });
        joins.filter(|(from, until)| (*from..*until).contains(&at.saturating_sub(1)) && at < *until).count() > 0
    };
    let early_end = cuts.iter().any(|cut| matches!(cut.act, Act::Join { until: None } | Act::HalfClose));
    let (mut sent, mut holding) = (0, false);
    for (_, is_mine, at) in events {
        match (is_mine, steps.last_mut()) {
            // What is held goes with what follows, and nothing is waited for in between.
            (true, _) if held(at) => holding = true,
            (true, _) => {
                holding = false;
                send(&mut steps, mine, sent, at, cuts);
                sent = at;
                if sent == mine.total && early_end {
                    // Right behind the last bytes.
                    steps.pop_if(|step| matches!(step, Step::Pause(_)));
                    steps.push(Step::End);
                }
            }
            (false, Some(Step::Expect(before))) => *before = at,
            (false, _) if holding => {}
            (false, _) => steps.push(Step::Expect(at)),
        }
    }
    let last = theirs.reads.last().map_or(0, |read| read.order);
    if mine.ended.is_some_and(|ended| ended < last) && !steps.contains(&Step::End) {
        steps.push(Step::End);
    }
    if theirs.total > 0 && !matches!(steps.last(), Some(Step::Expect(total)) if *total == theirs.total) {
        steps.push(Step::Expect(theirs.total));
    }
    steps
}

/// Sends bytes of a stream, in the pieces that the cuts make of them.
fn send(steps: &mut Vec<Step>, mine: &Stream, from: u64, to: u64, cuts: &[&Cut]) {
    let bytes = |from: u64, to: u64| mine.bytes[from as usize..to as usize].to_vec();
    let inside = cuts.iter().filter(|cut| from < cut.after && cut.after <= to);
    let mut at = from;
    for cut in inside {
        let pause = match cut.act {
            Act::Split => APART,
            Act::Stall { ms } => ms.max(LEAST_STALL),
            _ => continue,
        };
        if cut.after > at {
            steps.push(Step::Send(bytes(at, cut.after)));
            at = cut.after;
        }
        steps.push(Step::Pause(pause));
    }
    if at < to {
        steps.push(Step::Send(bytes(at, to)));
        // The next write must not arrive together with this one, unless that is the point.
        steps.push(Step::Pause(20));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation() -> Conversation {
        let mut conversation = Conversation::default();
        conversation.to_server.add(b"ask", 1);
        conversation.to_client.add(b"one", 2);
        conversation.to_client.add(b"two", 3);
        conversation.to_server.add(b"bye", 4);
        conversation.to_server.ended = Some(5);
        conversation
    }

    fn cut(towards: Towards, after: u64, act: Act) -> Cut {
        Cut { connection: 1, towards, after, act }
    }

    #[test]
    fn a_cut_becomes_two_sends() {
        let cut = cut(Towards::Client, 2, Act::Split);
        let steps = steps(&conversation(), Towards::Server, &[&cut]);
        let wanted = [
            Step::Expect(3),
            Step::Send(b"on".into()),
            Step::Pause(APART),
            Step::Send(b"e".into()),
            Step::Pause(20),
            Step::Send(b"two".into()),
            Step::Pause(20),
            Step::Expect(6),
        ];
        assert_eq!(steps, wanted);
    }

    #[test]
    fn joined_messages_become_one_send() {
        let join = cut(Towards::Client, 0, Act::Join { until: Some(6) });
        let played = steps(&conversation(), Towards::Server, &[&join]);
        assert_eq!(played, [Step::Expect(3), Step::Send(b"onetwo".into()), Step::Pause(20), Step::Expect(6)]);
        let join = cut(Towards::Server, 0, Act::Join { until: Some(6) });
        let played = steps(&conversation(), Towards::Client, &[&join]);
        assert_eq!(played.last(), Some(&Step::Expect(6)));
        assert!(played.contains(&Step::Send(b"askbye".into())), "{played:?}");
    }

    #[test]
    fn cuts_of_both_directions_need_both_programs() {
        let (a, b) = (cut(Towards::Client, 1, Act::Split), cut(Towards::Server, 1, Act::Split));
        assert_eq!(under_test(&[&a, &b]), None);
        let narrow = cut(Towards::Server, 0, Act::Narrow);
        assert_eq!(under_test(&[&a, &narrow]), Some(Towards::Client));
    }
}
