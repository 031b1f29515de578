//! A client that finishes the TLS handshake and then says whatever it likes.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use unglue_identity::{EXPORTER_CONTEXT, EXPORTER_LABEL, EXPORTER_LEN};
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::AUTH_MESSAGE;
use unglue_proto::message::auth::FromServer;
use unglue_proto::{Fault, PROTOCOL};

/// Takes any server for the right one: it is the server that is tried here.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// A TLS connection to a server that doesn't know yet who is there.
pub(crate) struct Raw {
    tcp: TcpStream,
    tls: ClientConnection,
    inbox: Inbox,
}

impl Raw {
    pub(crate) async fn connect(server: SocketAddr) -> Raw {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.into()];
        let name = ServerName::try_from("unglue").expect("a name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        let tcp = TcpStream::connect(server).await.expect("it connects");
        let mut raw = Raw { tcp, tls, inbox: Inbox::new(AUTH_MESSAGE) };
        while raw.tls.is_handshaking() {
            raw.flush().await.expect("it is sent");
            if raw.tls.is_handshaking() {
                assert!(raw.receive().await.expect("no error"), "the server ended the handshake");
            }
        }
        raw.flush().await.expect("it is sent");
        raw
    }

    /// Where the server sees it.
    pub(crate) fn address(&self) -> String {
        self.tcp.local_addr().expect("an address").to_string()
    }

    /// The bytes that only this connection's ends share.
    pub(crate) fn exporter(&self) -> [u8; EXPORTER_LEN] {
        let exported = self.tls.export_keying_material([0; EXPORTER_LEN], EXPORTER_LABEL, Some(EXPORTER_CONTEXT));
        exported.expect("a finished handshake")
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(bytes)?;
        self.flush().await
    }

    pub(crate) async fn say<T: serde::Serialize>(&mut self, message: &T) -> io::Result<()> {
        let mut wire = Vec::new();
        encode(message, &mut wire).expect("it is short");
        self.send(&wire).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut sealed = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut sealed)?;
        }
        self.tcp.write_all(&sealed).await
    }

    /// Takes what has come; `false` at the end.
    async fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let len = self.tcp.read(&mut buffer).await?;
        let mut sealed = &buffer[..len];
        while !sealed.is_empty() {
            self.tls.read_tls(&mut sealed)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
        Ok(len > 0)
    }

    /// The server's next message; `None` if it ends the connection.
    pub(crate) async fn hear(&mut self) -> Option<FromServer> {
        loop {
            let mut plain = Vec::new();
            // WouldBlock only says that there is no more for now.
            let _ = self.tls.reader().read_to_end(&mut plain);
            self.inbox.feed(&plain);
            if let Some(message) = self.inbox.next().expect("a message") {
                return Some(message);
            }
            if !self.receive().await.unwrap_or(false) {
                return None;
            }
        }
    }

    /// The fault with which the server denies, and then ends the connection.
    pub(crate) async fn denied(mut self) -> Fault {
        match self.hear().await {
            Some(FromServer::Denied(fault)) => {
                assert!(self.hear().await.is_none(), "more than a denial came");
                fault
            }
            other => panic!("expected a denial, got {other:?}"),
        }
    }
}
