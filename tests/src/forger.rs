//! Callers and called ones whose handshake is not in order: another's key without its secret half, another protocol,
//! none, no key at all. And a caller in order, who says what a test tells it.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use chatd::identity::Identity;
use chatd::link::{Incoming, LinkError, Outgoing, connect, split};
use proto::ids::Key;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection,
    SignatureScheme, StreamOwned,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::DEADLINE;

/// What stands before an Ed25519 key in its `SubjectPublicKeyInfo`.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Shows a key whose secret half it does not have: it signs with one of its own.
fn stolen(shown: Key) -> Arc<CertifiedKey> {
    let dir = tempfile::tempdir().expect("a folder");
    Identity::load_or_create(dir.path()).expect("a key");
    let own = std::fs::read(dir.path().join("key")).expect("a key");
    let own = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own));
    let signer = default_provider().key_provider.load_private_key(own).expect("a key");
    let shown = CertificateDer::from([&SPKI[..], &shown.0].concat());
    Arc::new(CertifiedKey::new(vec![shown], signer))
}

/// Calls with somebody's key, or with none; offers these protocols. Says `words` and gives what comes back.
///
/// # Errors
///
/// Where the other side ends the handshake, or the link at the first word.
pub fn call(addr: SocketAddr, shown: Option<Key>, alpn: &[&[u8]], words: &[u8]) -> io::Result<Vec<u8>> {
    let resolver: Arc<dyn ResolvesClientCert> = match shown {
        Some(key) => Arc::new(AlwaysResolvesClientRawPublicKeys::new(stolen(key))),
        None => Arc::new(NoKey),
    };
    let mut config = ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::from(Ipv4Addr::UNSPECIFIED);
    let tls = ClientConnection::new(config.into(), name).expect("a connection");
    let mut stream = StreamOwned::new(tls, dial(addr)?);
    stream.write_all(words)?;
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => Ok(heard),
        // What was said before the end counts.
        Err(_) if !heard.is_empty() => Ok(heard),
        Err(error) => Err(error),
    }
}

/// Says bytes without TLS, and gives what comes back until the other side has enough.
pub fn call_plain(addr: SocketAddr, words: &[u8]) -> Vec<u8> {
    let mut stream = dial(addr).expect("it listens");
    let mut heard = Vec::new();
    if stream.write_all(words).is_ok() {
        drop(stream.shutdown(std::net::Shutdown::Write));
        drop(stream.read_to_end(&mut heard));
    }
    heard
}

fn dial(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Poses as the owner of a key at an address of its own; tells of each call what it could read on it.
pub fn pose(shown: Key, alpn: &'static [u8]) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let addr = listener.local_addr().expect("bound");
    let mut config = ServerConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(Arc::new(Anybody))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(stolen(shown))));
    config.alpn_protocols = vec![alpn.to_vec()];
    let config = Arc::new(config);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tls = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut heard = Vec::new();
            drop(StreamOwned::new(tls, stream).read_to_end(&mut heard));
            if tell.send(heard).is_err() {
                return;
            }
        }
    });
    (addr, told)
}

/// A caller whose handshake is in order.
pub struct Caller<In> {
    incoming: Incoming<In>,
    outgoing: Outgoing,
    runtime: Runtime,
}

impl<In: DeserializeOwned> Caller<In> {
    /// Calls `addr`, where `expect` must answer.
    ///
    /// # Errors
    ///
    /// Where the handshake fails at this side.
    pub fn call(
        addr: SocketAddr,
        identity: &Identity,
        alpn: &'static [u8],
        expect: Key,
    ) -> Result<Self, LinkError> {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (incoming, outgoing) = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(addr).await.map_err(LinkError::Io)?;
            let (stream, _) = connect(stream, identity, alpn, Some(expect)).await?;
            Ok::<_, LinkError>(split(stream))
        })?;
        Ok(Self { incoming, outgoing, runtime })
    }

    /// Says something.
    ///
    /// # Errors
    ///
    /// Where the link has ended.
    pub fn say<Out: Serialize>(&mut self, message: &Out) -> Result<(), LinkError> {
        self.runtime.block_on(self.outgoing.send(message))
    }

    /// The next word of the other side.
    ///
    /// # Errors
    ///
    /// Where the link has ended.
    pub fn hear(&mut self) -> Result<In, LinkError> {
        let heard = self.runtime.block_on(async { timeout(DEADLINE, self.incoming.next()).await });
        let message = heard.expect("an answer, or the end")?;
        self.incoming.accept_hello();
        Ok(message)
    }
}

#[derive(Debug)]
struct NoKey;

impl ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// What both of rustls' traits demand beside the look at the key.
macro_rules! takes_any_signature {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

/// Takes whatever the other side shows.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    takes_any_signature!();
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    takes_any_signature!();
}
