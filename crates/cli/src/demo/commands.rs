//! The first act: commands, each reply whole.

use unglue::{Client, Collected, Exec, Exit, Outcome, StreamReport};

use super::screen::{Screen, Tone, count, short};
use super::{COMMANDS, Stopped};

/// The longest reply that is kept: all of it, for every command of the demo.
const CAP: usize = 16 << 20;
/// A reply of more lines is shown by its beginning and its end.
const SHOWN: usize = 30;

/// Runs the commands and shows their replies.
pub(super) async fn act(client: &Client, screen: &mut Screen) -> Result<(), Stopped> {
    screen.title(1, "Commands: each reply is complete; both streams are counted and digested at both ends")?;
    for command in COMMANDS {
        screen.prompt(command)?;
        let done = client.exec(&Exec::shell(command)).await?.collect(CAP).await;
        screen.output(&lines(&done.stdout))?;
        screen.error_output(&lines(&done.stderr))?;
        remarks(&done, screen)?;
    }
    Ok(())
}

/// The lines of a reply; of a long one the first and the last few.
fn lines(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(reply);
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= SHOWN {
        return lines.into_iter().map(str::to_owned).collect();
    }
    let mut shown: Vec<String> = lines[..2].iter().map(|line| (*line).to_owned()).collect();
    shown.push(format!("… {} more lines arrived …", count(lines.len() as u64 - 4)));
    shown.extend(lines[lines.len() - 2..].iter().map(|line| (*line).to_owned()));
    shown
}

fn remarks(done: &Collected, screen: &mut Screen) -> Result<(), Stopped> {
    let milliseconds = done.report.wall_us as f64 / 1000.0;
    screen.remark(Tone::Faint, &format!("{} after {milliseconds:.1} ms", ended(&done.report.outcome)))?;
    for (name, sent, arrived) in
        [("stdout", &done.report.stdout, &done.stdout), ("stderr", &done.report.stderr, &done.stderr)]
    {
        let (tone, text) = compared(name, sent.as_ref(), arrived);
        screen.remark(tone, &text)?;
    }
    Ok(())
}

fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ended(Exit::Exited(exited)) => format!("exit status {exited}"),
        Outcome::Ended(Exit::Signalled(by)) => format!("ended by {}", by.signal),
        other => format!("{other:?}"),
    }
}

/// What the sender says that it sent, beside what is in our hands.
fn compared(name: &str, sent: Option<&StreamReport>, arrived: &[u8]) -> (Tone, String) {
    let digest = blake3::hash(arrived).to_hex().to_string();
    let (bytes, arrived_digest) = (arrived.len() as u64, short(&digest));
    match sent {
        Some(sent) if sent.tally.bytes == bytes && sent.tally.blake3 == digest => {
            (Tone::Good, format!("{name} {:>10} bytes  blake3 {arrived_digest}…  as sent", count(bytes)))
        }
        _ => (Tone::Bad, format!("{name} {:>10} bytes  blake3 {arrived_digest}…  not what was sent", count(bytes))),
    }
}
