//! Who is asking: the messages before everything else.
//!
//! ```text
//! client                                          server
//!   certificates (only where the host key is   ─▶
//!          not known, but an authority is)     ◀─  certificates, or denied
//!   offer (only where there are several keys,  ─▶
//!          or a signature costs a touch)       ◀─  sign, or denied
//!   hello (with the proof) and the requests    ─▶
//!                                              ◀─  welcome, or denied
//! ```
//!
//! Each is a control message (`u32be` length, JSON) directly on the link. What follows the hello is the mux's
//! ([`crate::mux`]), in both directions; so the first request travels in the hello's flight. A server reads nothing
//! behind the hello until the proof holds.

use serde::{Deserialize, Serialize};

use crate::Fault;

/// In `accepts`: the end takes compressed blocks, frames of the kind zstd.
pub const ZSTD: &str = "zstd";

/// From the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromClient {
    /// Which authorities have signed your host key?
    Certificates(CertificatesWanted),
    /// Which of these keys is authorised?
    Offer(Offer),
    /// Here I am.
    Hello(Hello),
}

/// From the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromServer {
    /// The certificates of the host key.
    Certificates(HostCertificates),
    /// This key of the offer is authorised: sign with it.
    Sign(Sign),
    /// You are in.
    Welcome(Welcome),
    /// You are not; the link ends.
    Denied(Fault),
}

/// The client doesn't know the host key that it was shown, but authorities of this host. At most once, before all other
/// messages. It says nothing about the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CertificatesWanted {
    /// The protocol's version ([`crate::PROTOCOL`]).
    pub protocol: String,
}

/// The certificates of the host key that was shown in the TLS handshake. The client waits for them before it sends anything
/// else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostCertificates {
    /// OpenSSH certificates in the one-line form, without comments; may be none.
    pub certificates: Vec<String>,
}

/// Keys to choose from, before a signature is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The protocol's version ([`crate::PROTOCOL`]).
    pub protocol: String,
    /// The user to become; the server's own where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Public keys, or certificates, in OpenSSH's one-line form, without a comment; at most [`crate::limits::AUTH_TRIES`].
    pub keys: Vec<String>,
}

/// The key that the server would accept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sign {
    /// One of the offer's keys.
    pub key: String,
}

/// The client's first words and its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's version ([`crate::PROTOCOL`]).
    pub protocol: String,
    /// The program at the other end, for the log.
    pub agent: String,
    /// The user to become; the server's own where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Left out on transports that authenticate by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What this end takes beyond the first version's frames: [`ZSTD`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepts: Vec<String>,
}

/// A signature over this very connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The public key, or a certificate for it, in OpenSSH's one-line form, without a comment.
    pub key: String,
    /// The SSHSIG blob (OpenSSH PROTOCOL.sshsig) by the key itself, in base64.
    pub signature: String,
}

/// What the server is and allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol's version ([`crate::PROTOCOL`]).
    pub protocol: String,
    /// The program at the other end.
    pub agent: String,
    /// The user that the operations run as.
    pub user: String,
    /// The operations that the server's settings allow: `exec`, `files`.
    pub allow: Vec<String>,
    /// The name of the journal in which this server records the ids of commands; left out where it records none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// What the server takes beyond the first version's frames: [`ZSTD`]. Set by the link, not by the gatekeeper.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepts: Vec<String>,
}
