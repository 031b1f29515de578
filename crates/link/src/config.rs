//! What an end may set for itself: deadlines, heartbeat, memory.

use std::time::Duration;

use unglue_proto::{limits, mux};

/// How long a TCP connection may take to open.
const CONNECT: Duration = Duration::from_secs(10);

/// The settings of a link. The default is [`unglue_proto::limits`]' own.
///
/// ```
/// use std::time::Duration;
/// use unglue_link::LinkConfig;
///
/// let config = LinkConfig::default().connect_timeout(Duration::from_secs(3));
/// assert_eq!(config.connect, Duration::from_secs(3));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LinkConfig {
    /// From the name's lookup to the open TCP connection; client only.
    pub connect: Duration,
    /// From the TCP connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From there to the first message, and for the lookup of a key.
    pub first_message: Duration,
    /// From the server's request for a signature to the signature; server only.
    pub signature: Duration,
    /// From the client's hello to the server's welcome; client only.
    pub welcome: Duration,
    /// Heartbeat, silence and memory.
    pub mux: mux::Config,
}

impl Default for LinkConfig {
    fn default() -> LinkConfig {
        LinkConfig {
            connect: CONNECT,
            handshake: limits::HANDSHAKE,
            first_message: limits::FIRST_MESSAGE,
            signature: limits::SIGNATURE,
            welcome: limits::WELCOME,
            mux: mux::Config::default(),
        }
    }
}

impl LinkConfig {
    /// How long the connection may take to open.
    pub fn connect_timeout(self, connect: Duration) -> LinkConfig {
        LinkConfig { connect, ..self }
    }

    /// What the link may hold in memory.
    pub fn memory(mut self, memory: mux::Memory) -> LinkConfig {
        self.mux.memory = memory;
        self
    }

    /// How often an idle link gives a sign of life, and after how long a silence it is lost.
    pub fn heartbeat(mut self, every: Duration, silence: Duration) -> LinkConfig {
        (self.mux.heartbeat, self.mux.silence) = (every, silence);
        self
    }
}
