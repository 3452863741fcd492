//! What a node holds: its own key, and the certificate that the authority gave for it.

use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::certificate::{CertificateError, Certificates, Validity, identity_of, validity_of};
use crate::identity::NodeIdentity;
use crate::secret::Secret;

/// Why key and certificate do not make a credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The certificate is not a node's.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The key could not be made or used.
    #[error("use the node's key: {0}")]
    Key(#[from] rcgen::Error),
    /// The stored text is no key. Why not is not told.
    #[error("read the node's key: expected PKCS#8 in PEM form; restore it, or join again")]
    KeyText,
    /// The certificate was issued for another key.
    #[error("open the node's credential: the certificate was issued for another key")]
    Mismatch,
}

/// The key in a PEM text. The reader's own error is dropped: it quotes the text, and where a dash is
/// missing that is the key.
pub(crate) fn key_pair(text: &Secret<String>) -> Option<Secret<KeyPair>> {
    KeyPair::from_pem(text.expose()).ok().map(Secret::new)
}

/// A node's own key. It never leaves the node.
pub struct NodeKey(Secret<KeyPair>);

impl NodeKey {
    /// A new key (ECDSA on P-256).
    ///
    /// # Errors
    ///
    /// If the system gives no randomness.
    pub fn generate() -> Result<Self, CredentialError> {
        Ok(Self(Secret::new(KeyPair::generate()?)))
    }

    /// Reads a stored key, PKCS#8 in a PEM text.
    ///
    /// # Errors
    ///
    /// If the text is malformed.
    pub fn from_pem(text: &Secret<String>) -> Result<Self, CredentialError> {
        key_pair(text).map(Self).ok_or(CredentialError::KeyText)
    }

    /// The key as PKCS#8 in a PEM text, for the one place that stores it.
    pub fn pem(&self) -> Secret<String> {
        Secret::new(self.0.expose().serialize_pem())
    }

    /// A request (PKCS#10, DER form) that proves possession of the key and names nobody.
    ///
    /// # Errors
    ///
    /// If the key cannot sign.
    pub fn request(&self) -> Result<Vec<u8>, CredentialError> {
        let request = CertificateParams::default().serialize_request(self.0.expose())?;
        Ok(request.der().to_vec())
    }
}

/// A node's key with its certificate, and the cross certificate during a rotation.
pub struct Credential {
    identity: NodeIdentity,
    validity: Validity,
    chain: Certificates,
    key: NodeKey,
}

impl Credential {
    /// Joins key and chain (the node's certificate first).
    ///
    /// # Errors
    ///
    /// If the first certificate is not a node's, or was issued for another key.
    pub fn new(key: NodeKey, chain: Certificates) -> Result<Self, CredentialError> {
        let leaf = chain.iter().next().unwrap_or_default();
        let identity = identity_of(leaf)?;
        let validity = validity_of(leaf)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
            .map_err(|error| CertificateError::Form(error.to_string()))?;
        if parsed.public_key().raw != key.0.expose().subject_public_key_info() {
            return Err(CredentialError::Mismatch);
        }
        Ok(Self { identity, validity, chain, key })
    }

    /// Who the node is.
    pub fn identity(&self) -> &NodeIdentity {
        &self.identity
    }

    /// From when to when the certificate holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The node's certificate and what leads to a root.
    pub fn chain(&self) -> &Certificates {
        &self.chain
    }

    /// The node's key.
    pub fn key(&self) -> &NodeKey {
        &self.key
    }

    /// What the node shows: its chain, then the roots, so that a newcomer who knows only a root's
    /// digest finds it.
    pub(crate) fn shown(&self, roots: &Certificates) -> Vec<CertificateDer<'static>> {
        let all = self.chain.iter().chain(roots.iter());
        all.map(|der| CertificateDer::from(der.to_vec())).collect()
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.0.expose().serialize_der()).into()
    }
}
