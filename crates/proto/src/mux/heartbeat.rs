//! Signs of life, and questions after them.

use std::time::{Duration, Instant};

use super::frame::{FrameWriter, Kind};
use super::{Config, Mux, Output, StreamId};
use crate::{Code, Fault};

/// When each end was last known to be alive, and which pings wait for an answer.
pub(super) struct Heartbeat {
    every: Duration,
    silence: Duration,
    last_received: Instant,
    sent: Instant,
    due: bool,
    /// The number of our last ping that asks for an answer; 0 before the first.
    asked: u64,
    ask_due: bool,
    /// The number up to which the peer has answered.
    answered: u64,
    /// The peer's last ping, while it is owed an answer.
    pong_due: Option<u64>,
}

impl Heartbeat {
    pub(super) fn new(now: Instant, config: &Config) -> Heartbeat {
        Heartbeat {
            every: config.heartbeat,
            silence: config.silence,
            last_received: now,
            sent: now,
            due: false,
            asked: 0,
            ask_due: false,
            answered: 0,
            pong_due: None,
        }
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// The peer has sent a ping; one with a number wants an answer. The last one answers for all before it.
    pub(super) fn pinged(&mut self, number: Option<u64>) {
        self.pong_due = number.or(self.pong_due);
    }

    pub(super) fn has_asked(&self, number: u64) -> bool {
        (1..=self.asked).contains(&number)
    }

    /// Returns whether that is news.
    pub(super) fn answered(&mut self, number: u64) -> bool {
        let news = number > self.answered;
        self.answered = self.answered.max(number);
        news
    }

    pub(super) fn has_output(&self) -> bool {
        self.due || self.ask_due || self.pong_due.is_some()
    }

    pub(super) fn emit(&mut self, writer: &FrameWriter, out: &mut impl Output) {
        if let Some(number) = self.pong_due.take() {
            writer.write(Kind::Pong, StreamId(0), &number.to_be_bytes(), out);
        }
        match (std::mem::take(&mut self.ask_due), std::mem::take(&mut self.due)) {
            (true, _) => writer.write(Kind::Ping, StreamId(0), &self.asked.to_be_bytes(), out),
            (false, true) => writer.write(Kind::Ping, StreamId(0), &[], out),
            (false, false) => {}
        }
    }
}

/// Time.
impl Mux {
    /// Asks the peer for a sign of life: [`super::Event::Pong`] brings the number back. Pings that were not yet sent are
    /// sent as one.
    pub fn ping(&mut self) -> u64 {
        self.heartbeat.ask_due = true;
        self.heartbeat.asked += 1;
        self.heartbeat.asked
    }

    /// When [`Mux::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        let heartbeat = &self.heartbeat;
        let silence = heartbeat.last_received + heartbeat.silence;
        if heartbeat.due { silence } else { silence.min(heartbeat.sent + heartbeat.every) }
    }

    /// Sends a heartbeat where one is due.
    ///
    /// # Errors
    /// [`Code::LinkLost`] if the peer has been silent for [`Config::silence`]. It is sent the reason, should it come back.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Fault> {
        let heartbeat = &mut self.heartbeat;
        if now >= heartbeat.last_received + heartbeat.silence {
            let silence = now.duration_since(heartbeat.last_received).as_secs();
            self.prepare_go_away(Code::LinkLost, &format!("nothing had arrived from you for {silence} s"));
            return Err(Fault::system(Code::LinkLost, format!("nothing has arrived for {silence} s"))
                .advise("the network or the other end is down"));
        }
        if now >= heartbeat.sent + heartbeat.every {
            heartbeat.due = true;
        }
        Ok(())
    }
}
