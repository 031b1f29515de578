//! Why a link was not set up, or how it ended.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use unglue_identity::IdentityError;
use unglue_proto::{Blame, Code, Fault};

use crate::threads::ThreadError;

/// Why a link was not set up, or how it ended. Becomes a [`Fault`] where it is shown or sent.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// This end closed the link in order.
    #[error("the link was closed")]
    Closed,
    /// The other end closed the link in order, and gave a reason if it had one.
    #[error("the other end closed the link{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    ClosedByPeer {
        /// Its own words.
        reason: Option<String>,
    },
    /// The connection ended without TLS's close_notify: anybody may have cut it.
    #[error("the connection ended without a close: the other end or the network broke off")]
    Truncated,
    /// The connection failed.
    #[error("the connection failed: {source}")]
    Io {
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// No connection could be opened.
    #[error("can't connect to {target}: {source}")]
    Unreachable {
        /// Where to.
        target: String,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// The connection was opened, and came to nothing before there was a link.
    #[error("{target}: {source}")]
    Handshake {
        /// The other end.
        target: String,
        /// What happened.
        source: Arc<LinkError>,
    },
    /// The link was lost while this process did not run: it was stopped, or the machine slept.
    #[error(
        "the link was lost while this process did not run: it was stopped for {} s, and the other end treats a link as lost after {} s of silence",
        paused.as_secs(), silence.as_secs()
    )]
    Paused {
        /// How long the process did not run.
        paused: Duration,
        /// The silence after which a link is lost.
        silence: Duration,
        /// What the link's end looked like.
        source: Arc<LinkError>,
    },
    /// A stage took too long.
    #[error("{what} took longer than {} s", limit.as_secs_f64())]
    TimedOut {
        /// The stage.
        what: String,
        /// How long it may take.
        limit: Duration,
        /// Whose turn it was.
        blame: Blame,
    },
    /// TLS did not hold, or could not be set up.
    #[error("{what}")]
    Tls {
        /// What happened.
        what: String,
        /// What to do; may be empty.
        advice: &'static str,
        /// Whether it is about the bytes of the other end.
        blame: Blame,
        /// TLS's error.
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// A key of our own, or a file about keys, can't be used.
    #[error("{source}")]
    Identity {
        /// What is wrong with it.
        source: Arc<IdentityError>,
    },
    /// Work that needs a thread could not be done.
    #[error("{what}: {source}")]
    Thread {
        /// The work.
        what: &'static str,
        /// Why.
        source: Arc<ThreadError>,
    },
    /// A rule of the protocol was broken, the login was denied, or the other end reported a failure.
    #[error("{}", .0.what)]
    Fault(Fault),
}

impl LinkError {
    /// TLS refused something of our own.
    pub(crate) fn tls(what: &str, source: impl Error + Send + Sync + 'static) -> LinkError {
        let source: Arc<dyn Error + Send + Sync> = Arc::new(source);
        LinkError::Tls { what: format!("{what}: {source}"), advice: "", blame: Blame::Us, source: Some(source) }
    }

    pub(crate) fn late(what: impl Into<String>, limit: Duration) -> LinkError {
        LinkError::TimedOut { what: what.into(), limit, blame: Blame::Peer }
    }

    /// The kind of failure, as programs see it.
    pub fn code(&self) -> Code {
        match self {
            LinkError::Closed => Code::Cancelled,
            LinkError::Unreachable { .. } => Code::Unreachable,
            LinkError::TimedOut { .. } => Code::TimedOut,
            LinkError::Tls { blame: Blame::Us, .. } => Code::Internal,
            LinkError::Tls { .. } => Code::BadFrame,
            LinkError::Identity { .. } => Code::Denied,
            LinkError::Thread { .. } => Code::System,
            LinkError::Fault(fault) => fault.code,
            LinkError::Handshake { source, .. } => source.code(),
            _ => Code::LinkLost,
        }
    }

    /// Whether the connection is gone, so that nothing more can be sent.
    pub(crate) fn is_broken(&self) -> bool {
        self.code() == Code::LinkLost
    }

    fn blame(&self) -> Blame {
        match self {
            LinkError::Closed | LinkError::Identity { .. } => Blame::User,
            LinkError::TimedOut { blame, .. } | LinkError::Tls { blame, .. } => *blame,
            LinkError::Fault(fault) => fault.blame,
            LinkError::Handshake { source, .. } => source.blame(),
            _ => Blame::System,
        }
    }

    fn advice(&self) -> &str {
        match self {
            LinkError::Unreachable { .. } => "check the host and the port, and that unglue serve runs there",
            LinkError::Paused { .. } => "a command ends with its link: don't stop the client for so long",
            LinkError::TimedOut { blame: Blame::System, .. } => {
                "check the address, the network and a firewall in between"
            }
            LinkError::Tls { advice, .. } => advice,
            LinkError::Fault(fault) => &fault.advice,
            LinkError::Handshake { source, .. } => source.advice(),
            LinkError::Thread { .. } => "raise the limit of processes and threads (ulimit -u, TasksMax=), or end some",
            _ => "",
        }
    }
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Fault {
        let (code, blame, advice) = (error.code(), error.blame(), error.advice().to_owned());
        let what = error.to_string();
        let fault = match error {
            LinkError::Fault(fault) => return fault,
            LinkError::Tls { blame: Blame::Us, .. } => return Fault::us(what),
            _ => Fault { blame, ..Fault::system(code, what) },
        };
        fault.advise(advice)
    }
}

impl From<Fault> for LinkError {
    fn from(fault: Fault) -> LinkError {
        LinkError::Fault(fault)
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> LinkError {
        LinkError::Io { source: Arc::new(error) }
    }
}

impl From<IdentityError> for LinkError {
    fn from(error: IdentityError) -> LinkError {
        LinkError::Identity { source: Arc::new(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_source_and_becomes_a_fault_with_advice() {
        let refused = io::Error::from_raw_os_error(111);
        let error = LinkError::Unreachable { target: "host:7227".into(), source: Arc::new(refused) };
        assert!(error.source().is_some_and(|source| source.to_string().contains("refused")), "{error}");
        let fault = Fault::from(error);
        assert!(fault.what.contains("host:7227") && fault.advice.contains("unglue serve"), "{fault}");
        assert_eq!(Fault::from(LinkError::Closed).code, Code::Cancelled);
    }

    #[test]
    fn advice_is_given_once() {
        let source = LinkError::Fault(Fault::peer(Code::LinkLost, "it ended").advise("read its log"));
        let fault = Fault::from(LinkError::Handshake { target: "host:7227".into(), source: Arc::new(source) });
        assert_eq!(fault.to_string(), "host:7227: it ended; read its log");
    }
}
