//! What a transfer waits for: `waits`, both ends, and which of the figures is the bottleneck.
//!
//! Both ends of a link count how long its streams of data wait, and for what. A [`Watch`] takes the figures of both ends before
//! a transfer and after it, and measures the round trip meanwhile. Then it names the bottleneck.
//!
//! The stages of a transfer form a line: source, compression, encryption, link, decryption, destination. The one that the others
//! wait for is the bottleneck. Where the destination is slow, the receiver is busy with it all the time, and the sender waits for
//! credit; so credit that lacks while the receiver has data counts as the destination's. Where the link is slow, the receiver
//! waits for data, and the sender for its socket. Where neither socket nor credit nor destination is waited for all
//! the time, the processors are, or the source is.

mod judge;

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinHandle;
use unglue_link::Link;
use unglue_proto::message::Request;
use unglue_proto::message::waits::{Ask, FromServer, Waits};
use unglue_proto::{Code, Fault, Side};

use crate::ops::pace::Pace;
use crate::ops::{Control, ControlError};
pub use judge::{Bottleneck, Held};
use judge::{Seen, judge};

/// How often the round trip is measured.
const EVERY: Duration = Duration::from_millis(100);

/// Reports how long this end has waited.
///
/// # Errors
/// The client has gone.
pub(crate) async fn serve(link: &Link, control: Control) -> Result<(), ControlError> {
    let Control { sender, receiver: _listener } = control;
    sender.send_final(&FromServer::Waits(link.waits())).await
}

/// How long the server has waited; nothing if it is of a version that doesn't count.
async fn ask(link: &Link) -> Result<Option<Waits>, Fault> {
    let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    sender.send(&Request::Waits(Ask {})).await?;
    sender.finish();
    loop {
        match receiver.expect().await? {
            FromServer::Waits(waits) => return Ok(Some(waits)),
            FromServer::Refused(fault) if fault.code == Code::Unsupported => return Ok(None),
            FromServer::Refused(fault) => return Err(fault.on(Side::Server)),
            FromServer::Unknown(unknown) => tracing::debug!(kind = unknown.kind, "an unknown event is ignored"),
        }
    }
}

/// Watches what a link waits for, from [`Client::watch`](crate::Client::watch) on. One transfer or command at a time, since the
/// figures are of the link as a whole.
///
/// ```no_run
/// # async fn example(client: unglue::Client, store: unglue::Store) -> Result<(), unglue::Fault> {
/// use std::path::Path;
/// use unglue::{TransferOptions, Upload};
///
/// let watch = client.watch().await?;
/// let sent = client.put(Upload::file(&store, Path::new("a.iso")), "a.iso", TransferOptions::default()).await?;
/// let explained = watch.sent(sent.bytes).await?;
/// println!("{:?}: {} s", explained.bottleneck, explained.held.of(explained.bottleneck));
/// # Ok(())
/// # }
/// ```
pub struct Watch {
    link: Link,
    began: Instant,
    here: Waits,
    there: Option<Waits>,
    idle: Duration,
    pinging: Pinging,
    /// A limit that what moves keeps to, and how long it had been waited for before.
    pace: Pace,
    paced: Duration,
}

/// Measures round trips until it is dropped.
struct Pinging(JoinHandle<()>, std::sync::mpsc::Receiver<Duration>);

impl Drop for Pinging {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pinging {
    fn start(link: Link) -> Pinging {
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Ok(took) = link.ping().await else { return };
                if sender.send(took).is_err() {
                    return;
                }
            }
        });
        Pinging(task, receiver)
    }

    /// The median of what was measured.
    fn median(self) -> Option<Duration> {
        let mut trips: Vec<Duration> = self.1.try_iter().collect();
        trips.sort();
        trips.get(trips.len() / 2).copied()
    }
}

/// What a transfer has waited for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explained {
    /// What held it up the longest.
    pub bottleneck: Bottleneck,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Its bytes, before compression.
    pub bytes: u64,
    /// How long each stage held it up, in seconds. They overlap.
    pub held: Held,
    /// A round trip before it began, in seconds.
    pub round_trip: f64,
    /// A round trip while it went on, in seconds: the median. Nothing if it was too short to measure one.
    pub round_trip_loaded: Option<f64>,
    /// Whether this end was the sender.
    pub sent: bool,
    /// What this end counted.
    pub here: Waits,
    /// What the server counted; nothing if its version doesn't.
    pub there: Option<Waits>,
}

impl Watch {
    pub(crate) async fn begin(link: &Link) -> Result<Watch, Fault> {
        let there = ask(link).await?;
        let idle = link.ping().await?;
        let pinging = Pinging::start(link.clone());
        Ok(Watch {
            link: link.clone(),
            began: Instant::now(),
            here: link.waits(),
            there,
            idle,
            pinging,
            pace: Pace::default(),
            paced: Duration::ZERO,
        })
    }

    /// What moves keeps to this limit on the rate.
    pub fn limited(self, pace: &Pace) -> Watch {
        Watch { pace: pace.clone(), paced: pace.waited(), ..self }
    }

    /// What was sent meanwhile, so many bytes, has waited for this. Dropped, it changes nothing.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn sent(self, bytes: u64) -> Result<Explained, Fault> {
        self.end(bytes, true).await
    }

    /// What was received meanwhile, so many bytes, has waited for this. Dropped, it changes nothing.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn received(self, bytes: u64) -> Result<Explained, Fault> {
        self.end(bytes, false).await
    }

    async fn end(self, bytes: u64, sent: bool) -> Result<Explained, Fault> {
        let (lasted, limited) = (self.began.elapsed(), self.pace.waited().saturating_sub(self.paced));
        let here = self.link.waits().since(&self.here);
        let loaded = self.pinging.median();
        let there = match &self.there {
            Some(before) => ask(&self.link).await?.map(|after| after.since(before)),
            None => None,
        };
        let (sender, receiver) = if sent { (Some(here), there) } else { (there, Some(here)) };
        let (bottleneck, held) = judge(&Seen { lasted, sender, receiver, idle: self.idle, loaded, limited, sent });
        Ok(Explained {
            bottleneck,
            seconds: lasted.as_secs_f64(),
            bytes,
            held,
            round_trip: self.idle.as_secs_f64(),
            round_trip_loaded: loaded.map(|loaded| loaded.as_secs_f64()),
            sent,
            here,
            there,
        })
    }
}
