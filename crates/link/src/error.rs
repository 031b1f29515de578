//! Why a link was not set up, or how it ended.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use unglue_identity::IdentityError;
use unglue_proto::{Blame, Code, Fault};

use crate::auth::LoginError;
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
    /// No connection was opened in time.
    #[error("the TCP connection with {target} took longer than {} s", limit.as_secs_f64())]
    Unanswered {
        /// Where to.
        target: String,
        /// How long it might have taken.
        limit: Duration,
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
    /// The other end closed the connection before there was a link.
    #[error("the other end closed the connection before it was set up")]
    ClosedEarly,
    /// The other end ended the TLS handshake with an alert.
    #[error("the peer ended the TLS handshake: {alert}")]
    Alert {
        /// The alert's name (RFC 8446 section 6).
        alert: String,
    },
    /// The other end has sent nothing for too long.
    #[error("nothing has arrived for {} s", silence.as_secs())]
    Silent {
        /// The silence after which a link is lost.
        silence: Duration,
    },
    /// The future that moves this link's bytes was dropped.
    #[error("the link's driver was dropped")]
    Dropped,
    /// The other end speaks another protocol, or another version of it.
    #[error("{what}")]
    Incompatible {
        /// What it speaks.
        what: String,
        /// What to do; may be empty.
        advice: &'static str,
    },
    /// The server's host key is not the one that is known, or can't be checked.
    #[error("{what}")]
    Untrusted {
        /// What is wrong with it.
        what: String,
        /// What to do; may be empty.
        advice: &'static str,
        /// Whether it is about the other end or about this end's files.
        blame: Blame,
    },
    /// This client has no key.
    #[error("there is no key to log in with")]
    NoKey,
    /// This server refuses the login.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// This server has too many connections that wait to authenticate, and evicts this one.
    #[error("too many connections wait to authenticate, and this one had made the least progress")]
    Crowded,
    /// The server refused the login, and this is what it sent.
    #[error("{}", fault.what)]
    Refused {
        /// The server's own words.
        fault: Fault,
    },
    /// A message breaks a rule of the protocol: one that came, or one of this end's own that is too long.
    #[error("{}", fault.what)]
    Protocol {
        /// The rule, as the protocol's own layer puts it.
        fault: Fault,
    },
}

impl LinkError {
    /// TLS refused something of our own.
    pub(crate) fn tls(what: &str, source: impl Error + Send + Sync + 'static) -> LinkError {
        let source: Arc<dyn Error + Send + Sync> = Arc::new(source);
        LinkError::Tls { what: format!("{what}: {source}"), advice: "", blame: Blame::Us, source: Some(source) }
    }

    /// The other end sent a message that doesn't belong here.
    pub(crate) fn misplaced(what: &str) -> LinkError {
        LinkError::Protocol { fault: Fault::peer(Code::BadMessage, what) }
    }

    pub(crate) fn late(what: impl Into<String>, limit: Duration) -> LinkError {
        LinkError::TimedOut { what: what.into(), limit, blame: Blame::Peer }
    }

    /// The kind of failure, as programs see it.
    pub fn code(&self) -> Code {
        match self {
            LinkError::Closed => Code::Cancelled,
            LinkError::Unreachable { .. } => Code::Unreachable,
            LinkError::TimedOut { .. } | LinkError::Unanswered { .. } => Code::TimedOut,
            LinkError::Tls { blame: Blame::Us, .. } => Code::Internal,
            LinkError::Tls { .. } => Code::BadFrame,
            LinkError::Identity { .. } => Code::Denied,
            LinkError::Thread { .. } => Code::System,
            LinkError::Incompatible { .. } => Code::Unsupported,
            LinkError::Untrusted { .. } => Code::UntrustedHost,
            LinkError::NoKey => Code::Denied,
            LinkError::Login(error) => error.code(),
            LinkError::Crowded => Code::LimitExceeded,
            LinkError::Refused { fault } | LinkError::Protocol { fault } => fault.code,
            LinkError::Handshake { source, .. } => source.code(),
            LinkError::ClosedByPeer { .. }
            | LinkError::Truncated
            | LinkError::Io { .. }
            | LinkError::Paused { .. }
            | LinkError::ClosedEarly
            | LinkError::Alert { .. }
            | LinkError::Silent { .. }
            | LinkError::Dropped => Code::LinkLost,
        }
    }

    /// Whether there was no TCP connection at all: the other end refused or didn't answer, or its name has no address. Another
    /// transport may reach it.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, LinkError::Unreachable { .. } | LinkError::Unanswered { .. })
    }

    /// Whether another try may bring a link: what failed is the connection, the other machine or a limit, and not who the two ends
    /// are or what they speak.
    pub fn is_passing(&self) -> bool {
        match self {
            error if error.is_broken() => true,
            LinkError::Closed
            | LinkError::Unreachable { .. }
            | LinkError::Unanswered { .. }
            | LinkError::TimedOut { .. }
            | LinkError::Thread { .. } => true,
            LinkError::Handshake { source, .. } => source.is_passing(),
            // The server's words: its code is all there is to decide by.
            LinkError::Refused { fault } => {
                matches!(fault.code, Code::GoingAway | Code::Busy | Code::System | Code::TimedOut | Code::LinkLost)
            }
            _ => false,
        }
    }

    /// Whether the connection is gone, so that nothing more can be sent.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            LinkError::Handshake { source, .. } => source.is_broken(),
            LinkError::ClosedByPeer { .. }
            | LinkError::Truncated
            | LinkError::Io { .. }
            | LinkError::Paused { .. }
            | LinkError::ClosedEarly
            | LinkError::Alert { .. }
            | LinkError::Silent { .. }
            | LinkError::Dropped => true,
            _ => false,
        }
    }

    /// Whether the server accepts none of the keys that it was shown.
    pub(crate) fn is_denial(&self) -> bool {
        matches!(self, LinkError::Refused { fault } if fault.code == Code::Denied)
    }

    fn blame(&self) -> Blame {
        match self {
            LinkError::Closed | LinkError::Identity { .. } | LinkError::NoKey => Blame::User,
            LinkError::TimedOut { blame, .. } | LinkError::Tls { blame, .. } | LinkError::Untrusted { blame, .. } => {
                *blame
            }
            LinkError::Alert { .. } | LinkError::Incompatible { .. } | LinkError::Crowded => Blame::Peer,
            LinkError::Login(error) => error.blame(),
            LinkError::Refused { fault } | LinkError::Protocol { fault } => fault.blame,
            LinkError::Handshake { source, .. } => source.blame(),
            _ => Blame::System,
        }
    }

    fn advice(&self) -> &str {
        match self {
            LinkError::Unreachable { .. } => "check the host and the port, and that unglue serve runs there",
            LinkError::Paused { .. } => "a command ends with its link: don't stop the client for so long",
            LinkError::TimedOut { blame: Blame::System, .. } | LinkError::Unanswered { .. } => {
                "check the address, the network and a firewall in between"
            }
            LinkError::Tls { advice, .. }
            | LinkError::Incompatible { advice, .. }
            | LinkError::Untrusted { advice, .. } => advice,
            LinkError::Alert { .. } => "its log says why",
            LinkError::Silent { .. } => "the network or the other end is down",
            LinkError::NoKey => "run: unglue key init",
            LinkError::Login(error) => error.advice(),
            LinkError::Refused { fault } | LinkError::Protocol { fault } => &fault.advice,
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
            LinkError::Refused { fault } | LinkError::Protocol { fault } => return fault,
            LinkError::Tls { blame: Blame::Us, .. } => return Fault::us(what),
            _ => Fault { blame, ..Fault::system(code, what) },
        };
        fault.advise(advice)
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
        let source = Arc::new(LinkError::Alert { alert: "DecodeError".into() });
        let fault = Fault::from(LinkError::Handshake { target: "host:7227".into(), source });
        assert_eq!(fault.to_string(), "host:7227: the peer ended the TLS handshake: DecodeError; its log says why");
        assert_eq!((fault.code, fault.blame), (Code::LinkLost, Blame::Peer));
    }
}
