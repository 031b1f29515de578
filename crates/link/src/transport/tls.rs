//! TLS 1.3 with SSH host keys: the server proves itself with a raw public key (RFC 7250), the client stays anonymous.
//!
//! No X.509, no session tickets, no early data, no TLS 1.2: each connection proves both ends anew.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, ServerConfig,
    ServerConnection, SignatureScheme,
};
use unglue_proto::{Blame, PROTOCOL};

use crate::error::LinkError;

use unglue_identity::proof::{EXPORTER_CONTEXT, EXPORTER_LABEL, EXPORTER_LEN};
use unglue_identity::{KeyKind, PrivateKey, PublicKey};

/// The algorithms, AES-128-GCM first: 5 to 7 GB/s a core where there are instructions for it, as there are everywhere
/// that unglue runs today.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

/// The time for TLS, which uses it for certificates alone, and there are none. rustls' own clock panics before 1970, where a
/// machine without a battery may be.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Some(UnixTime::since_unix_epoch(since.unwrap_or_default()))
    }
}

/// The TLS 1.3 scheme of each kind of host key. RSA and FIDO keys prove no host here.
pub(crate) fn scheme(kind: KeyKind) -> Option<SignatureScheme> {
    match kind {
        KeyKind::Ed25519 => Some(SignatureScheme::ED25519),
        KeyKind::EcdsaP256 => Some(SignatureScheme::ECDSA_NISTP256_SHA256),
        KeyKind::EcdsaP384 => Some(SignatureScheme::ECDSA_NISTP384_SHA384),
        KeyKind::EcdsaP521 => Some(SignatureScheme::ECDSA_NISTP521_SHA512),
        _ => None,
    }
}

/// The kinds of host keys, in the order in which a client that knows nothing asks for them.
const HOST_KINDS: [KeyKind; 4] = [KeyKind::Ed25519, KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521];

/// The server's settings, for the host keys that it proves itself with.
pub(crate) fn server_config(host_keys: &[PrivateKey]) -> Result<Arc<ServerConfig>, LinkError> {
    let refused = |error: rustls::Error| LinkError::tls("TLS does not take the host key", error);
    let mut keys = HostKeys(Vec::new());
    for host_key in host_keys {
        let kind = host_key.public_key().key_kind();
        let (Some(scheme), Some(der), Some(spki)) =
            (scheme(kind), host_key.to_pkcs8_der(), host_key.public_key().to_spki_der())
        else {
            return Err(LinkError::Tls {
                what: format!("a host key can't be of the kind {}", kind.name()),
                advice: "name an ed25519 or an ECDSA key",
                blame: Blame::User,
                source: None,
            });
        };
        let pkcs8 = PrivatePkcs8KeyDer::from(der.as_slice());
        let signing = aws_lc_rs::sign::any_supported_type(&pkcs8.into()).map_err(refused)?;
        keys.0.push((scheme, Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], signing))));
    }
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(Clock))
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(keys));
    config.alpn_protocols = vec![PROTOCOL.as_bytes().to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// The host keys, each with its scheme.
#[derive(Debug)]
struct HostKeys(Vec<(SignatureScheme, Arc<CertifiedKey>)>);

impl ResolvesServerCert for HostKeys {
    /// The key that the client asks for first.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.signature_schemes().iter();
        wanted
            .filter_map(|wanted| self.0.iter().find(|(scheme, _)| scheme == wanted))
            .map(|(_, key)| key.clone())
            .next()
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// A connection at the start of its handshake, for a server.
pub(crate) fn accept(config: Arc<ServerConfig>) -> Result<Connection, LinkError> {
    let mut tls = ServerConnection::new(config).map_err(|error| LinkError::tls("TLS did not start", error))?;
    tls.set_buffer_limit(None);
    Ok(tls.into())
}

/// A connection at the start of its handshake, for a client. The host key is checked after the handshake, by
/// [`host_key`] and the caller's known hosts; before that nothing but the handshake is sent. The kinds in `known` are asked
/// for before the others.
pub(crate) fn connect(known: &[KeyKind]) -> Result<Connection, LinkError> {
    let failed = |error: rustls::Error| LinkError::tls("TLS did not start", error);
    let provider = provider();
    let mut kinds = known.to_vec();
    kinds.extend(HOST_KINDS.iter().filter(|kind| !known.contains(kind)));
    let schemes = kinds.into_iter().filter_map(scheme).collect();
    let verifier = Arc::new(PossessionVerifier { provider: provider.clone(), schemes });
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Clock))
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.as_bytes().to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    // A name is asked for, and never sent: the host key identifies it.
    let name = ServerName::try_from("unglue").map_err(|error| LinkError::tls("TLS did not start", error))?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(failed)?;
    tls.set_buffer_limit(None);
    Ok(tls.into())
}

/// The key that the server has proved possession of.
pub(crate) fn host_key(tls: &Connection) -> Result<PublicKey, LinkError> {
    let untrusted = |what: &str| LinkError::Untrusted { what: what.into(), advice: "", blame: Blame::Peer };
    let spki = tls.peer_certificates().and_then(|keys| keys.first());
    let spki = spki.ok_or_else(|| untrusted("the server showed no host key"))?;
    PublicKey::from_spki_der(spki).map_err(|error| untrusted(&error.to_string()))
}

/// The bytes that only the two ends of this very connection share (RFC 8446 section 7.5).
pub(crate) fn exporter(tls: &Connection) -> Result<[u8; EXPORTER_LEN], LinkError> {
    tls.export_keying_material([0; EXPORTER_LEN], EXPORTER_LABEL, Some(EXPORTER_CONTEXT))
        .map_err(|error| LinkError::tls("TLS exports no keying material", error))
}

/// Fails unless both ends speak this version of the protocol.
pub(crate) fn check_alpn(tls: &Connection) -> Result<(), LinkError> {
    match tls.alpn_protocol() {
        Some(protocol) if protocol == PROTOCOL.as_bytes() => Ok(()),
        _ => Err(LinkError::Incompatible {
            what: format!("the peer speaks TLS 1.3, but not {PROTOCOL}"),
            advice: "check the port: is it an unglue server that listens there?",
        }),
    }
}

/// Checks that the server holds the private half of the key that it shows; whether the key is the right one is for the
/// known hosts to say.
#[derive(Debug)]
struct PossessionVerifier {
    provider: Arc<CryptoProvider>,
    /// In the order in which the client prefers them.
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for PossessionVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match PublicKey::from_spki_der(end_entity) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(_) => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
