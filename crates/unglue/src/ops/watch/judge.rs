//! Which stage holds a transfer up: a pure function of what both ends have counted.

use std::time::Duration;

use serde::Serialize;
use unglue_proto::message::waits::Waits;

/// A stage holds a transfer up if it does so for this share of its time.
const SHARE: f64 = 0.25;

/// A round trip under way takes so much longer than one before, if bytes are queued on the link.
const QUEUED: f64 = 1.5;
/// What round trips differ by anyway, in seconds.
const NOISE: f64 = 0.003;

/// What was measured.
pub(super) struct Seen {
    pub(super) lasted: Duration,
    pub(super) sender: Option<Waits>,
    pub(super) receiver: Option<Waits>,
    pub(super) idle: Duration,
    pub(super) loaded: Option<Duration>,
    /// How long this end kept to a limit, and whether it was the sender.
    pub(super) limited: Duration,
    pub(super) sent: bool,
}

/// What a transfer waits for the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bottleneck {
    /// What is sent was not there yet: the sender's disk, its digest, or a command that printed nothing.
    Source,
    /// What the destination has of the file was not known yet: its disk, its digest. Unless the sender is of a version that counts it as
    /// the source's.
    Old,
    /// The limit on the rate.
    Limit,
    /// Compressing, at the sender.
    Compression,
    /// Encrypting and writing to the socket, at the sender.
    SenderCpu,
    /// The credit for what may be on its way: the link could have carried more.
    Window,
    /// The network.
    Link,
    /// Reading from the socket and decrypting, at the receiver.
    ReceiverCpu,
    /// What was received was not yet taken: the receiver's disk, its digest, or a command that read nothing. Without the last
    /// sync, unless the receiver is of a version that doesn't count it.
    Destination,
    /// Everything had been received, and was synced and put in place. For a tree, deleting what the source doesn't have is a
    /// part of it.
    Syncing,
    /// Nothing for as much as a quarter of the time: a short transfer mostly waits for answers.
    Nothing,
}

/// How long each stage held a transfer up, in seconds. They overlap. A stage of an end that counts nothing has 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Held {
    /// See [`Bottleneck::Source`].
    pub source: f64,
    /// See [`Bottleneck::Old`].
    pub old: f64,
    /// See [`Bottleneck::Limit`].
    pub limit: f64,
    /// See [`Bottleneck::Compression`].
    pub compression: f64,
    /// See [`Bottleneck::SenderCpu`].
    pub sender_cpu: f64,
    /// See [`Bottleneck::Window`].
    pub window: f64,
    /// See [`Bottleneck::Link`].
    pub link: f64,
    /// See [`Bottleneck::ReceiverCpu`].
    pub receiver_cpu: f64,
    /// See [`Bottleneck::Destination`].
    pub destination: f64,
    /// See [`Bottleneck::Syncing`].
    pub syncing: f64,
}

impl Held {
    /// The stages in the order in which the bytes pass them.
    pub fn stages(&self) -> [(Bottleneck, f64); 10] {
        [
            (Bottleneck::Source, self.source),
            (Bottleneck::Old, self.old),
            (Bottleneck::Limit, self.limit),
            (Bottleneck::Compression, self.compression),
            (Bottleneck::SenderCpu, self.sender_cpu),
            (Bottleneck::Window, self.window),
            (Bottleneck::Link, self.link),
            (Bottleneck::ReceiverCpu, self.receiver_cpu),
            (Bottleneck::Destination, self.destination),
            (Bottleneck::Syncing, self.syncing),
        ]
    }

    /// The seconds of one stage; 0 for [`Bottleneck::Nothing`].
    pub fn of(&self, bottleneck: Bottleneck) -> f64 {
        self.stages().into_iter().find(|(stage, _)| *stage == bottleneck).map_or(0.0, |(_, seconds)| seconds)
    }
}

/// How long each stage held the transfer up, and which one the longest.
pub(super) fn judge(seen: &Seen) -> (Bottleneck, Held) {
    let held = held(seen);
    let lasted = seen.lasted.as_secs_f64();
    let (stage, longest) = held
        .stages()
        .into_iter()
        .fold((Bottleneck::Nothing, 0.0), |most, next| if next.1 > most.1 { next } else { most });
    match longest >= lasted * SHARE && longest > 0.0 {
        true => (stage, held),
        false => (Bottleneck::Nothing, held),
    }
}

fn held(seen: &Seen) -> Held {
    let lasted = seen.lasted.as_secs_f64();
    let seconds = |micros: u64| (micros as f64 / 1e6).min(lasted);
    let mut held = Held { limit: seen.limited.as_secs_f64().min(lasted), ..Held::default() };
    if let Some(receiver) = &seen.receiver {
        held.syncing = seconds(receiver.sync_us);
        held.destination = seconds(receiver.sink_us.saturating_sub(receiver.sync_us));
        held.receiver_cpu = seconds(receiver.busy_us);
    }
    let Some(sender) = &seen.sender else { return without_limit(held, seen.sent) };
    held.old = seconds(sender.old_us);
    held.source = seconds(sender.source_us.saturating_sub(sender.old_us));
    held.compression = seconds(sender.compression_us);
    held.sender_cpu = seconds(sender.busy_us);
    // A slow destination takes the credit with it; a receiver that can't read fast enough fills the socket.
    let credit = (seconds(sender.credit_us) - held.destination).max(0.0);
    let socket = (seconds(sender.socket_us) - held.receiver_cpu.max(held.destination)).max(0.0);
    // Bytes that queue on the link make its round trip longer: then a larger window would only make the queue longer.
    match seen.loaded.is_some_and(|loaded| is_queued(seen.idle, loaded)) {
        true => held.link = socket + credit,
        false => (held.link, held.window) = (socket, credit),
    }
    without_limit(held, seen.sent)
}

/// While an end keeps to a limit, it neither sends nor takes anything.
fn without_limit(held: Held, sent: bool) -> Held {
    match sent {
        true => Held { source: (held.source - held.limit).max(0.0), ..held },
        false => Held { destination: (held.destination - held.limit).max(0.0), ..held },
    }
}

fn is_queued(idle: Duration, loaded: Duration) -> bool {
    loaded.as_secs_f64() > idle.as_secs_f64() * QUEUED + NOISE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(sender: Waits, receiver: Waits, loaded_ms: u64) -> Bottleneck {
        let loaded = Some(Duration::from_millis(loaded_ms));
        judge(&Seen { sender: Some(sender), receiver: Some(receiver), loaded, ..seen() }).0
    }

    /// A transfer of a second.
    fn seen() -> Seen {
        let ms = Duration::from_millis;
        let (lasted, idle) = (ms(1000), ms(20));
        Seen { lasted, sender: None, receiver: None, idle, loaded: None, limited: Duration::ZERO, sent: true }
    }

    #[test]
    fn a_limit_is_neither_the_sources_nor_the_destinations_fault() {
        let limited = Duration::from_millis(900);
        let sender = Some(Waits { source_us: 980_000, ..Waits::default() });
        let receiver = Some(Waits { data_us: 950_000, ..Waits::default() });
        let (stage, held) = judge(&Seen { sender, receiver, limited, ..seen() });
        assert_eq!((stage, held.limit, (held.source * 1000.0).round()), (Bottleneck::Limit, 0.9, 80.0));
        let sender = Some(Waits { credit_us: 950_000, ..Waits::default() });
        let receiver = Some(Waits { sink_us: 980_000, ..Waits::default() });
        let (stage, held) = judge(&Seen { sender, receiver, limited, sent: false, ..seen() });
        assert_eq!((stage, (held.destination * 1000.0).round()), (Bottleneck::Limit, 80.0));
    }

    #[test]
    fn what_the_destination_has_is_told_from_the_source() {
        let sender = |old_us| Waits { source_us: 980_000, old_us, ..Waits::default() };
        assert_eq!(judged(sender(700_000), Waits::default(), 22), Bottleneck::Old);
        assert_eq!(judged(sender(200_000), Waits::default(), 22), Bottleneck::Source);
    }

    #[test]
    fn a_slow_destination_takes_credit_and_socket_with_it() {
        let sender = Waits { room_us: 950_000, credit_us: 700_000, socket_us: 200_000, ..Waits::default() };
        let receiver = Waits { sink_us: 900_000, data_us: 50_000, ..Waits::default() };
        assert_eq!(judged(sender, receiver, 500), Bottleneck::Destination);
    }

    #[test]
    fn the_last_sync_is_told_from_writing() {
        let sender = Waits { source_us: 200_000, ..Waits::default() };
        let receiver = |sync_us| Waits { sink_us: 900_000, data_us: 50_000, sync_us, ..Waits::default() };
        assert_eq!(judged(sender, receiver(600_000), 22), Bottleneck::Syncing);
        assert_eq!(judged(sender, receiver(300_000), 22), Bottleneck::Destination);
    }

    #[test]
    fn lacking_credit_is_the_windows_fault_only_where_the_link_is_free() {
        let sender = Waits { room_us: 950_000, credit_us: 900_000, ..Waits::default() };
        let receiver = Waits { data_us: 950_000, ..Waits::default() };
        assert_eq!(judged(sender, receiver, 22), Bottleneck::Window);
        assert_eq!(judged(sender, receiver, 400), Bottleneck::Link);
    }

    #[test]
    fn a_socket_is_full_since_the_link_is_slow_or_the_receiver_busy() {
        let sender = Waits { socket_us: 900_000, ..Waits::default() };
        let receiver = |busy_us| Waits { data_us: 950_000, busy_us, ..Waits::default() };
        assert_eq!(judged(sender, receiver(100_000), 22), Bottleneck::Link);
        assert_eq!(judged(sender, receiver(930_000), 22), Bottleneck::ReceiverCpu);
    }

    #[test]
    fn what_the_sender_lacks_is_named() {
        let receiver = Waits { data_us: 950_000, ..Waits::default() };
        let compresses = Waits { compression_us: 800_000, source_us: 10_000, ..Waits::default() };
        assert_eq!(judged(compresses, receiver, 22), Bottleneck::Compression);
        assert_eq!(judged(Waits { source_us: 900_000, ..Waits::default() }, receiver, 22), Bottleneck::Source);
        assert_eq!(judged(Waits { busy_us: 900_000, ..Waits::default() }, receiver, 22), Bottleneck::SenderCpu);
        assert_eq!(judged(Waits { source_us: 200_000, ..Waits::default() }, receiver, 22), Bottleneck::Nothing);
    }

    #[test]
    fn an_end_that_does_not_count_leaves_the_others_figures() {
        let here = Waits { sink_us: 800_000, ..Waits::default() };
        let seen = Seen { receiver: Some(here), ..seen() };
        assert_eq!(judge(&seen).0, Bottleneck::Destination);
    }
}
