//! `--explain`: what a transfer has waited for, in two or three plain lines on standard error.

use unglue::{Bottleneck, Explained, Fault, Watch};

use crate::complaint::{remark, say};
use crate::trees::amount;

/// What stands at both ends of what moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    Files,
    /// A tree, and whether something was deleted for it.
    Tree {
        deleted: bool,
    },
    /// What a command printed, or read.
    Streams,
}

/// The figures of what has moved since the watch began; nothing, and a line that says why, if they can't be had.
pub(crate) async fn end(watch: Option<Watch>, (bytes, sent): (u64, bool)) -> Option<Explained> {
    let explained = match (watch?, sent) {
        (watch, true) => watch.sent(bytes).await,
        (watch, false) => watch.received(bytes).await,
    };
    explained.map_err(|fault: Fault| say(&format!("what it waited for is not known: {fault}"))).ok()
}

/// Tells them.
pub(crate) fn tell(explained: &Explained, moved: Moved) {
    lines(explained, moved).iter().for_each(|line| remark(line));
}

fn lines(explained: &Explained, moved: Moved) -> Vec<String> {
    let seconds = explained.seconds;
    let rate = if seconds > 0.0 { explained.bytes as f64 / seconds } else { 0.0 };
    let first = format!(
        "{} in {} ({}/s). {}",
        amount(explained.bytes),
        time(seconds),
        amount(rate as u64),
        verdict(explained, moved)
    );
    let stages: Vec<String> =
        explained.held.stages().iter().map(|(stage, seconds)| format!("{} {}", name(*stage), time(*seconds))).collect();
    let mut trip = format!("Round trip: {} before", time(explained.round_trip));
    if let Some(loaded) = explained.round_trip_loaded {
        trip += &format!(", {} meanwhile", time(loaded));
    }
    let mut lines = vec![first, format!("Time by stage, which overlap: {}. {trip}.", stages.join(", "))];
    if explained.there.is_none() {
        lines.push("The server's version does not count its waits: these are this end's alone.".into());
    }
    lines
}

fn name(stage: Bottleneck) -> &'static str {
    match stage {
        Bottleneck::Source => "source",
        Bottleneck::Old => "old file",
        Bottleneck::Limit => "limit",
        Bottleneck::Compression => "compression",
        Bottleneck::SenderCpu => "sending",
        Bottleneck::Window => "window",
        Bottleneck::Link => "link",
        Bottleneck::ReceiverCpu => "receiving",
        Bottleneck::Destination => "destination",
        Bottleneck::Syncing => "syncing",
        _ => "nothing",
    }
}

/// The bottleneck, and what may help.
fn verdict(explained: &Explained, moved: Moved) -> String {
    let held = time(explained.held.of(explained.bottleneck));
    match (explained.bottleneck, moved) {
        (Bottleneck::Source, Moved::Files | Moved::Tree { .. }) => {
            format!("The source was the bottleneck: the sender waited {held} for it to be read and digested.")
        }
        (Bottleneck::Source, Moved::Streams) => {
            format!("The source was the bottleneck: for {held} it had written nothing that could be sent.")
        }
        (Bottleneck::Old, _) => format!(
            "The old file was the bottleneck: for {held} the destination had not yet read and digested what it has. --whole-file doesn't wait for that."
        ),
        (Bottleneck::Limit, _) => format!("The limit was the bottleneck: --limit kept bytes back for {held}."),
        (Bottleneck::Compression, Moved::Streams) => {
            format!("Compression was the bottleneck: the link waited {held} for it. Without -C it may be faster.")
        }
        (Bottleneck::Compression, _) => {
            format!("Compression was the bottleneck: the link waited {held} for it. A lower level may be faster.")
        }
        (Bottleneck::SenderCpu, _) => {
            format!("The sender's processor was the bottleneck: encrypting and sending took it {held}.")
        }
        (Bottleneck::Window, _) => format!(
            "The window was the bottleneck: for {held} the receiver had not yet allowed more bytes to be sent, and the link had room."
        ),
        (Bottleneck::Link, _) => {
            format!("The link was the bottleneck: the sender waited {held} for it. --compress auto may help.")
        }
        (Bottleneck::ReceiverCpu, _) => {
            format!("The receiver's processor was the bottleneck: receiving and decrypting took it {held}.")
        }
        (Bottleneck::Destination, Moved::Files | Moved::Tree { .. }) => format!(
            "The destination was the bottleneck: for {held} bytes had arrived that it had not yet digested and written."
        ),
        (Bottleneck::Destination, Moved::Streams) => {
            format!("The destination was the bottleneck: for {held} bytes had arrived that it had not yet taken.")
        }
        (Bottleneck::Syncing, Moved::Tree { deleted: true }) => format!(
            "Syncing was the bottleneck: after all bytes had arrived, the destination took {held} to sync the files, put them in place, and delete others."
        ),
        (Bottleneck::Syncing, _) => format!(
            "Syncing was the bottleneck: after all bytes had arrived, the destination took {held} to sync them and put them in place."
        ),
        _ => "No stage held it up for a quarter of that time: it waited for answers.".into(),
    }
}

/// A time for people.
fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds >= 99.95 => format!("{seconds:.0} s"),
        _ if seconds >= 0.995 => format!("{seconds:.1} s"),
        _ if seconds >= 0.0995 => format!("{seconds:.2} s"),
        _ => format!("{:.1} ms", seconds * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_precise_enough() {
        let shown = [0.000_04, 0.0123, 0.5, 0.999, 3.24, 123.4].map(time);
        assert_eq!(shown, ["0.0 ms", "12.3 ms", "0.50 s", "1.0 s", "3.2 s", "123 s"]);
    }
}
