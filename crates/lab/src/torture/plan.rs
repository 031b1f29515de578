//! What the proxy does to the bytes of a run.

use serde::{Deserialize, Serialize};

/// A direction of a connection, named by its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Towards {
    /// What the client sends.
    Server,
    /// What the server sends.
    Client,
}

impl Towards {
    /// Both directions.
    pub const BOTH: [Towards; 2] = [Towards::Server, Towards::Client];

    /// The opposite direction.
    #[must_use]
    pub fn other(self) -> Towards {
        match self {
            Towards::Server => Towards::Client,
            Towards::Client => Towards::Server,
        }
    }

    /// Who sends in this direction: `client` or `server`.
    pub fn sender(self) -> &'static str {
        match self {
            Towards::Server => "client",
            Towards::Client => "server",
        }
    }
}

/// One interference with the bytes of one direction of one connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// The connection, in the order of their acceptance, from 1.
    pub connection: usize,
    /// The direction.
    pub towards: Towards,
    /// How many bytes of that direction come before it.
    pub after: u64,
    /// What happens there.
    #[serde(flatten)]
    pub act: Act,
}

/// What a cut does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Act {
    /// The receiver has read the bytes before it when those behind it arrive.
    Split,
    /// As a split, and nothing comes for so many milliseconds.
    Stall {
        /// How long.
        ms: u64,
    },
    /// The bytes from here on are held until those before `until` have come, and arrive together; without `until` they
    /// arrive together with the sender's end.
    Join {
        /// The first byte behind them.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until: Option<u64>,
    },
    /// The sender finds little room: a small window, small segments, and a receiver that reads nothing at first.
    Narrow,
    /// The receiver sees the end here, though the sender has not ended.
    HalfClose,
}

/// All that is done to the bytes of a run. An empty plan is a clean run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan {
    /// The cuts, in the order of connection, direction and place.
    pub cuts: Vec<Cut>,
}

impl Plan {
    /// A plan of these cuts, each once, in order.
    pub fn of(cuts: impl IntoIterator<Item = Cut>) -> Plan {
        let mut cuts: Vec<Cut> = cuts.into_iter().collect();
        cuts.sort();
        cuts.dedup();
        Plan { cuts }
    }

    /// The cuts of one direction, with their place in the plan.
    pub(super) fn of_lane(&self, connection: usize, towards: Towards) -> impl Iterator<Item = (usize, &Cut)> {
        self.cuts.iter().enumerate().filter(move |(_, cut)| cut.connection == connection && cut.towards == towards)
    }

    /// Whether senders in this direction find little room.
    pub(super) fn is_narrow(&self, towards: Towards) -> bool {
        self.cuts.iter().any(|cut| cut.act == Act::Narrow && cut.towards == towards)
    }

    /// How long all stalls and pauses take together, at most, in milliseconds.
    pub(super) fn pauses(&self) -> u64 {
        let pause = |cut: &Cut| match cut.act {
            Act::Stall { ms } => ms,
            Act::Join { .. } => 1000,
            Act::Narrow => 1000,
            Act::Split | Act::HalfClose => 5,
        };
        self.cuts.iter().map(pause).sum()
    }
}
