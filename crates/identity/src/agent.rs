//! The ssh-agent's client: list the keys it holds, and have it sign (draft-ietf-sshm-ssh-agent).
//!
//! Every call has a deadline and every reply a limit. A signature may wait for a human (a confirmation, a touch),
//! so callers run these calls on a thread that nobody waits for.

use super::certificate::{Certificate, CertificateError};
use super::env::path_from_env;
use super::error::IdentityError;
use super::key::{KeyError, KeyKind, Material, PublicKey};
use super::signature;
use super::sshsig::Signer;
use super::wire::{Cursor, put_string};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the agent may take to list its keys: it knows them by heart.
const LIST_DEADLINE: Duration = Duration::from_secs(2);

/// How long it may take to sign: a human may have to touch or confirm.
const SIGN_DEADLINE: Duration = Duration::from_secs(60);

/// The longest reply that is read, as in OpenSSH.
const MAX_REPLY: usize = 256 * 1024;

/// How long to wait before asking a busy agent for a connection again.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

// Message numbers, draft-ietf-sshm-ssh-agent section 6.1.
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// The flag that asks for SHA-512 in an RSA signature (section 6.3 there).
const RSA_SHA512: u32 = 4;

/// An ssh-agent, known by its socket. Each call opens a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    socket: PathBuf,
}

impl Agent {
    /// The agent that listens at this socket.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The agent that `SSH_AUTH_SOCK` names, if it names one.
    pub fn from_env() -> Option<Self> {
        path_from_env("SSH_AUTH_SOCK").map(Self::at)
    }

    /// The agent's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The keys that the agent holds. Takes at most 2 s.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Agent`] if it can't be reached, refuses, is too slow or answers nonsense.
    pub fn keys(&self) -> Result<AgentKeys, IdentityError> {
        let reply = self.exchange(&[REQUEST_IDENTITIES], IDENTITIES_ANSWER, LIST_DEADLINE)?;
        AgentKeys::from_answer(self, &reply).ok_or_else(|| self.failed("sent a list of keys that is malformed"))
    }

    fn sign(&self, key: &AgentKey, data: &[u8]) -> Result<Vec<u8>, IdentityError> {
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, &key.listed());
        put_string(&mut request, data);
        let flags = if key.public_key.key_kind() == KeyKind::Rsa { RSA_SHA512 } else { 0 };
        request.extend_from_slice(&flags.to_be_bytes());
        let reply = self.exchange(&request, SIGN_RESPONSE, SIGN_DEADLINE)?;
        let mut cursor = Cursor::new(&reply);
        let signature = cursor.string().filter(|_| cursor.is_empty());
        let signature = signature.and_then(|signature| whole(&key.public_key, signature));
        let signature = signature.ok_or_else(|| self.failed("sent a signature that is malformed"))?;
        match signature::verify(&key.public_key, data, &signature) {
            Ok(_) => Ok(signature),
            Err(error) => Err(self.failed(format!("sent a signature that does not hold: {error}"))),
        }
    }

    /// Sends one request and gives the body of the reply, which must be of the kind `wanted`.
    fn exchange(&self, request: &[u8], wanted: u8, patience: Duration) -> Result<Vec<u8>, IdentityError> {
        let deadline = Deadline(Instant::now() + patience);
        let mut reply = talk(&self.socket, request, &deadline).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                self.failed(format!("did not answer within {} s", patience.as_secs()))
            }
            _ => self.failed(format!("could not be used: {error}")),
        })?;
        match reply.first() {
            Some(&kind) if kind == wanted => Ok(reply.split_off(1)),
            Some(&FAILURE) => Err(self.failed("refused (it is locked, a confirmation was denied, or the key is gone)")),
            kind => Err(self.failed(format!("answered with message {kind:?} where {wanted} was due"))),
        }
    }

    fn failed(&self, what: impl Into<String>) -> IdentityError {
        IdentityError::Agent { socket: self.socket.clone(), what: what.into() }
    }
}

/// What an agent holds, in its order.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AgentKeys {
    /// The keys that can be used. A key that has a certificate is there twice, as the agent lists it.
    pub usable: Vec<AgentKey>,
    /// The kinds and comments of the other keys.
    pub other_kinds: Vec<(String, String)>,
}

impl AgentKeys {
    /// Reads the body of an agent's identities answer (draft-ietf-sshm-ssh-agent section 3.4); `None` if it is malformed.
    pub fn from_answer(agent: &Agent, body: &[u8]) -> Option<Self> {
        let mut keys = Self::default();
        for (blob, comment) in parse_keys(body)? {
            let read = match Certificate::from_wire(blob) {
                Ok(certificate) => Ok((certificate.key().clone(), Some(certificate))),
                Err(CertificateError::Key(KeyError::Unsupported { .. })) => {
                    PublicKey::from_wire(blob).map(|key| (key, None)).map_err(CertificateError::from)
                }
                Err(error) => Err(error),
            };
            match read {
                Ok((public_key, certificate)) => {
                    keys.usable.push(AgentKey { agent: agent.clone(), public_key, certificate, comment });
                }
                Err(CertificateError::Key(KeyError::Unsupported { kind })) => keys.other_kinds.push((kind, comment)),
                Err(CertificateError::Key(KeyError::RsaSize { bits })) => {
                    keys.other_kinds.push((format!("ssh-rsa ({bits} bits)"), comment));
                }
                Err(error) => tracing::debug!(comment, "passed over a key of the ssh-agent: {error}"),
            }
        }
        Some(keys)
    }
}

/// An RSA signature as long as the modulus: some agents leave out leading zeros.
fn whole(key: &PublicKey, signature: &[u8]) -> Option<Vec<u8>> {
    let Material::Rsa { modulus, .. } = key.material() else { return Some(signature.to_vec()) };
    let mut cursor = Cursor::new(signature);
    let (algorithm, value) = (cursor.string()?, cursor.string()?);
    let missing = modulus.len().checked_sub(value.len()).filter(|_| cursor.is_empty())?;
    Some(signature::encode(std::str::from_utf8(algorithm).ok()?, &[&vec![0; missing], value].concat()))
}

/// A key that an agent holds.
#[derive(Debug, Clone)]
pub struct AgentKey {
    agent: Agent,
    public_key: PublicKey,
    certificate: Option<Certificate>,
    comment: String,
}

impl AgentKey {
    /// The comment that the agent keeps with the key, often the path it was loaded from.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// The agent that holds the key.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The certificate that the agent holds for the key, if this is that entry.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The entry that the agent lists, by which it is asked to sign.
    pub(super) fn listed(&self) -> Vec<u8> {
        match &self.certificate {
            Some(certificate) => certificate.to_wire(),
            None => self.public_key.to_wire(),
        }
    }
}

impl Signer for AgentKey {
    fn public_key(&self) -> PublicKey {
        self.public_key.clone()
    }

    /// Takes at most 60 s: a human may have to touch or confirm.
    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, IdentityError> {
        self.agent.sign(self, data)
    }
}

type Listed<'a> = (&'a [u8], String);

/// Reads the body of an identities answer (draft-ietf-sshm-ssh-agent section 3.4): a count, then as many keys with
/// comments. Memory grows with the keys that are there, never with the count that is announced.
fn parse_keys(body: &[u8]) -> Option<Vec<Listed<'_>>> {
    let mut cursor = Cursor::new(body);
    let count = cursor.uint32()?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let key = cursor.string()?;
        keys.push((key, String::from_utf8_lossy(cursor.string()?).into_owned()));
    }
    cursor.is_empty().then_some(keys)
}

/// A point in time that a whole exchange must end before.
struct Deadline(Instant);

impl Deadline {
    fn left(&self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// One request and its reply, each behind a `uint32` length (draft-ietf-sshm-ssh-agent section 3).
fn talk(socket: &Path, request: &[u8], deadline: &Deadline) -> io::Result<Vec<u8>> {
    let mut stream = connect(socket, deadline)?;
    let mut message = Vec::with_capacity(4 + request.len());
    put_string(&mut message, request);
    stream.set_write_timeout(Some(deadline.left()?))?;
    stream.write_all(&message)?;
    let mut length = [0; 4];
    read_exact(&mut stream, &mut length, deadline)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_REPLY {
        return Err(io::Error::other(format!("its reply of {length} bytes is longer than {MAX_REPLY}")));
    }
    read_reply(&mut stream, length, deadline)
}

/// Reads `length` bytes; memory grows with those that arrive.
fn read_reply(stream: &mut UnixStream, length: usize, deadline: &Deadline) -> io::Result<Vec<u8>> {
    const STEP: usize = 8 * 1024;
    let mut reply = Vec::new();
    while reply.len() < length {
        let start = reply.len();
        reply.resize(length.min(start + STEP), 0);
        read_exact(stream, &mut reply[start..], deadline)?;
    }
    Ok(reply)
}

/// Connects before the deadline. The standard library's `connect` waits without end while the queue of a stopped
/// agent is full.
fn connect(socket: &Path, deadline: &Deadline) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(socket)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    loop {
        match rustix::net::connect(&fd, &address) {
            Ok(()) => break,
            Err(Errno::AGAIN | Errno::INTR) => std::thread::sleep(BUSY_PAUSE.min(deadline.left()?)),
            Err(error) => return Err(error.into()),
        }
    }
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Fills `bytes`, with one deadline for all its reads: an agent that sends a byte a second is late too.
fn read_exact(stream: &mut UnixStream, mut bytes: &mut [u8], deadline: &Deadline) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_read_timeout(Some(deadline.left()?))?;
        match stream.read(bytes) {
            Ok(0) => return Err(io::Error::other("it closed the connection instead of answering")),
            Ok(count) => bytes = &mut bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_lists_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_keys(&bytes);
        }
    }

    #[test]
    fn a_list_must_hold_what_it_announces_and_nothing_more() {
        let key = PublicKey::from_ed25519([5; 32]);
        let mut body = vec![0, 0, 0, 1];
        put_string(&mut body, &key.to_wire());
        put_string(&mut body, b"note");
        assert_eq!(parse_keys(&body), Some(vec![(&key.to_wire()[..], "note".to_owned())]));
        body[3] = 2;
        assert_eq!(parse_keys(&body), None);
        body[3] = 0;
        assert_eq!(parse_keys(&body), None);
        assert_eq!(parse_keys(&[0xff; 4]), None);
    }
}
