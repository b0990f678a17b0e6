//! TLS 1.3 with raw public keys (RFC 7250) on both sides: no certificates, no dates, no tickets, no early data.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use proto::ids::Key;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, OtherError,
    PeerIncompatible, ServerConfig, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{HANDSHAKE_TIMEOUT, LinkError};
use crate::identity::Identity;

/// An encrypted stream, whichever side began it.
pub type TlsStream<S> = tokio_rustls::TlsStream<S>;

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Begins TLS on a stream that this side dialled. Returns the other side's key as well, proven by its signature.
///
/// With `expect` any other key ends the handshake, before the other side learns ours.
///
/// An `Ok` is not yet the other side's yes to *our* key: its no comes with the first read.
pub async fn connect<S>(
    stream: S,
    identity: &Identity,
    alpn: &'static [u8],
    expect: Option<Key>,
) -> Result<(TlsStream<S>, Key), LinkError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connector = TlsConnector::from(Arc::new(identity.configs().client(alpn, expect)));
    // A name must be given; it is neither sent nor checked.
    let name = ServerName::from(Ipv4Addr::UNSPECIFIED);
    let handshake = timeout(HANDSHAKE_TIMEOUT, connector.connect(name, stream));
    let stream = handshake.await.map_err(|_| LinkError::HandshakeTimeout)?.map_err(handshake_error)?;
    let key = check(stream.get_ref().1, alpn)?;
    Ok((stream.into(), key))
}

/// Begins TLS on a stream that the other side dialled. Returns the other side's key as well, proven by its signature.
pub async fn accept<S>(
    stream: S,
    identity: &Identity,
    alpn: &'static [u8],
) -> Result<(TlsStream<S>, Key), LinkError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let acceptor = TlsAcceptor::from(Arc::new(identity.configs().server(alpn)));
    let handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
    let stream = handshake.await.map_err(|_| LinkError::HandshakeTimeout)?.map_err(handshake_error)?;
    let key = check(stream.get_ref().1, alpn)?;
    Ok((stream.into(), key))
}

/// The other side's key. Also refuses a side that named no protocol at all, which TLS lets pass.
fn check(state: &CommonState, alpn: &[u8]) -> Result<Key, LinkError> {
    if state.alpn_protocol() != Some(alpn) {
        return Err(LinkError::Alpn);
    }
    let found = state.peer_certificates().and_then(|certificates| key_of(certificates.first()?));
    found.ok_or_else(|| LinkError::Handshake(io::Error::other("the other side showed no key")))
}

fn handshake_error(error: io::Error) -> LinkError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
            match other.downcast_ref::<WrongKey>() {
                Some(&WrongKey { expected, found }) => LinkError::WrongKey { expected, found },
                None => LinkError::Handshake(error),
            }
        }
        Some(rustls::Error::NoApplicationProtocol) => LinkError::Alpn,
        _ => LinkError::Handshake(error),
    }
}

/// The key in a `SubjectPublicKeyInfo`; `None` where it is not an Ed25519 key.
fn key_of(spki: &CertificateDer<'_>) -> Option<Key> {
    Key::from_slice(spki.strip_prefix(&SPKI_PREFIX)?)
}

/// The TLS settings of one identity, made once; a connection copies a handful of pointers.
pub(crate) struct Configs {
    client: ClientConfig,
    server: ServerConfig,
    verifier: Verifier,
}

impl Configs {
    /// The settings of a key pair in PKCS#8, and its public key.
    pub(crate) fn new(pkcs8: &[u8]) -> Result<(Key, Self), rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let pkcs8 = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8)).clone_key();
        let pair = provider.key_provider.load_private_key(pkcs8)?;
        let spki = pair.public_key().ok_or(rustls::Error::General("a key without a public half".into()))?;
        let spki = CertificateDer::from(spki.to_vec());
        let key = key_of(&spki).ok_or(rustls::Error::General("not an Ed25519 key".into()))?;
        let certified = Arc::new(CertifiedKey::new(vec![spki], pair));
        let verifier = Verifier { expect: None, algorithms: provider.signature_verification_algorithms };
        let client = client_config(&provider, &certified, &verifier)?;
        let server = server_config(&provider, &certified, &verifier)?;
        Ok((key, Self { client, server, verifier }))
    }

    fn client(&self, alpn: &[u8], expect: Option<Key>) -> ClientConfig {
        let mut config = self.client.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        config.dangerous().set_certificate_verifier(Arc::new(Verifier { expect, ..self.verifier.clone() }));
        config
    }

    fn server(&self, alpn: &[u8]) -> ServerConfig {
        let mut config = self.server.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        config
    }
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    certified: &Arc<CertifiedKey>,
    verifier: &Verifier,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier.clone()))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified.clone())));
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    certified: &Arc<CertifiedKey>,
    verifier: &Verifier,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier.clone()))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified.clone())));
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The other side has another key than the one asked for; travels inside the error of TLS.
#[derive(Debug, thiserror::Error)]
#[error("the other side has another key")]
struct WrongKey {
    expected: Key,
    found: Key,
}

/// Takes any Ed25519 key whose owner signs for it, or exactly the expected one.
#[derive(Debug, Clone)]
struct Verifier {
    expect: Option<Key>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn check(&self, end_entity: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let found = key_of(end_entity).ok_or(CertificateError::BadEncoding)?;
        match self.expect {
            Some(expected) if expected != found => {
                let other = OtherError(Arc::new(WrongKey { expected, found }));
                Err(CertificateError::Other(other).into())
            }
            _ => Ok(()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let spki = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, dss, &self.algorithms)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const ALPN: &[u8] = b"chat-test/1";

    fn pair() -> (Identity, Identity) {
        (Identity::ephemeral().expect("key"), Identity::ephemeral().expect("key"))
    }

    #[tokio::test]
    async fn both_sides_learn_each_others_key() {
        let (anna, bobby) = pair();
        // Seven bytes at a time: every TLS record is cut.
        let (near, far) = duplex(7);
        let (near, far) =
            tokio::join!(connect(near, &anna, ALPN, Some(bobby.key())), accept(far, &bobby, ALPN));
        let ((mut near, found), (mut far, caller)) = (near.expect("connects"), far.expect("accepts"));
        assert_eq!((found, caller), (bobby.key(), anna.key()));
        let mut words = String::new();
        let talk = async {
            near.write_all(b"hello").await?;
            near.shutdown().await
        };
        let (sent, read) = tokio::join!(talk, far.read_to_string(&mut words));
        sent.expect("sent");
        read.expect("an orderly end");
        assert_eq!(words, "hello");
    }

    #[tokio::test]
    async fn another_key_than_the_expected_one_ends_the_handshake() {
        let (anna, bobby) = pair();
        let (near, far) = duplex(4096);
        let (near, far) =
            tokio::join!(connect(near, &anna, ALPN, Some(anna.key())), accept(far, &bobby, ALPN));
        let (anna, bobby) = (anna.key(), bobby.key());
        match near.expect_err("refused") {
            LinkError::WrongKey { expected, found } => assert_eq!((expected, found), (anna, bobby)),
            other => panic!("{other}"),
        }
        assert!(matches!(far, Err(LinkError::Handshake(_))), "the server is told");
    }

    #[tokio::test]
    async fn another_protocol_is_refused_on_both_sides() {
        let (anna, bobby) = pair();
        let (near, far) = duplex(4096);
        let (near, far) =
            tokio::join!(connect(near, &anna, b"chat-other/1", None), accept(far, &bobby, ALPN));
        assert!(matches!(near, Err(LinkError::Alpn | LinkError::Handshake(_))));
        assert!(matches!(far, Err(LinkError::Alpn)));
    }

    #[tokio::test]
    async fn a_caller_that_names_no_protocol_is_refused() {
        let (anna, bobby) = pair();
        let (near, far) = duplex(4096);
        let mut config = anna.configs().client(ALPN, None);
        config.alpn_protocols.clear();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::from(Ipv4Addr::UNSPECIFIED);
        let (_near, far) = tokio::join!(connector.connect(name, near), accept(far, &bobby, ALPN));
        assert!(matches!(far, Err(LinkError::Alpn)));
    }

    #[tokio::test]
    async fn a_caller_without_a_key_is_refused() {
        let (anna, bobby) = pair();
        let (near, far): (DuplexStream, DuplexStream) = duplex(4096);
        let mut config = anna.configs().client(ALPN, None);
        config.client_auth_cert_resolver = Arc::new(NoKey);
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::from(Ipv4Addr::UNSPECIFIED);
        let (_near, far) = tokio::join!(connector.connect(name, near), accept(far, &bobby, ALPN));
        assert!(matches!(far, Err(LinkError::Handshake(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_never_goes_on_is_given_up() {
        let (_, bobby) = pair();
        let (_near, far) = duplex(4096);
        assert!(matches!(accept(far, &bobby, ALPN).await, Err(LinkError::HandshakeTimeout)));
    }

    #[derive(Debug)]
    struct NoKey;

    impl rustls::client::ResolvesClientCert for NoKey {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }

        fn has_certs(&self) -> bool {
            false
        }
    }
}
