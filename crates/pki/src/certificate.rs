//! Certificates as they travel and lie on disk: chains, sets of trusted roots, and the strict
//! reading of a node's identity.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::identity::{ClusterId, IdentityError, NodeIdentity};

/// Certificates that one text or message may hold; a chain has two, a bundle two.
const MAX_CERTIFICATES: usize = 8;

/// Why a certificate is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are not one certificate.
    #[error("read the certificate: {0}")]
    Form(String),
    /// The text holds no certificate, too many, or something else.
    #[error("read certificates in PEM form: {0}")]
    Pem(String),
    /// It is an authority's certificate where a node's was expected.
    #[error("read the node's identity: the certificate is an authority's")]
    Authority,
    /// It is no authority's certificate where one was expected.
    #[error("read the authority's certificate: {0}")]
    NotAuthority(String),
    /// Its names are not one identity URI and DNS names.
    #[error("read the node's identity: expected one URI and DNS names only, found {0}")]
    Names(String),
    /// The URI is no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// SHA-256 of a root certificate in DER form; prints as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootDigest(pub [u8; 32]);

impl RootDigest {
    /// The digest of a certificate in DER form.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl std::fmt::Display for RootDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl std::fmt::Debug for RootDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// From when to when a certificate holds, whole seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: SystemTime,
    /// Last moment.
    pub not_after: SystemTime,
}

/// Certificates in DER form with a bound on their number: a chain, node's certificate first, or a
/// set of roots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Certificates(Vec<Vec<u8>>);

impl Certificates {
    /// Wraps certificates in DER form; more than eight are cut off.
    pub fn new(certificates: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(certificates.into_iter().take(MAX_CERTIFICATES).collect())
    }

    /// Reads a PEM text.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Pem`] if it holds none, more than eight, or is malformed.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes())
            .take(MAX_CERTIFICATES + 1)
            .map(|found| found.map(|der| der.to_vec()))
            .collect();
        match found {
            Ok(found) if found.is_empty() => {
                Err(CertificateError::Pem("expected a certificate, found none".to_owned()))
            }
            Ok(found) if found.len() > MAX_CERTIFICATES => Err(CertificateError::Pem(format!(
                "expected at most {MAX_CERTIFICATES} certificates, found more"
            ))),
            Ok(found) => Ok(Self(found)),
            Err(error) => Err(CertificateError::Pem(error.to_string())),
        }
    }

    /// The PEM text, one block for each certificate.
    pub fn to_pem(&self) -> String {
        self.0.iter().map(|der| pem(der)).collect()
    }

    /// The certificates in DER form.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn pem(der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(CertificateError::Form(format!("{} bytes after its end", rest.len()))),
        Err(error) => Err(CertificateError::Form(error.to_string())),
    }
}

/// Whom a node's certificate speaks for. Signatures and time are not looked at.
///
/// # Errors
///
/// Anything but a certificate of a node with exactly one URI, which is an identity.
pub fn identity_of(der: &[u8]) -> Result<NodeIdentity, CertificateError> {
    let certificate = parse(der)?;
    if certificate.is_ca() {
        return Err(CertificateError::Authority);
    }
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| CertificateError::Names(error.to_string()))?
        .ok_or_else(|| CertificateError::Names("no names".to_owned()))?;
    let mut uris = Vec::new();
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(_) => {}
            _ => return Err(CertificateError::Names("a name of another kind".to_owned())),
        }
    }
    match uris[..] {
        [uri] => Ok(uri.parse()?),
        _ => Err(CertificateError::Names(format!("{} URIs", uris.len()))),
    }
}

/// From when to when a certificate holds.
///
/// # Errors
///
/// [`CertificateError::Form`] if it cannot be read.
pub fn validity_of(der: &[u8]) -> Result<Validity, CertificateError> {
    let validity = parse(der)?.validity().clone();
    Ok(Validity {
        not_before: at(validity.not_before.timestamp()),
        not_after: at(validity.not_after.timestamp()),
    })
}

/// Seconds since 1970 as a time; times before 1970 count as 1970.
fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
}

/// The cluster that an authority's certificate belongs to.
///
/// # Errors
///
/// [`CertificateError::NotAuthority`] if it may not sign or names no cluster.
pub fn cluster_of(der: &[u8]) -> Result<ClusterId, CertificateError> {
    let certificate = parse(der)?;
    if !certificate.is_ca() {
        return Err(CertificateError::NotAuthority("it may not sign".to_owned()));
    }
    let mut names = certificate.subject().iter_organization();
    let name = names.next().and_then(|name| name.as_str().ok());
    match name {
        Some(name) => Ok(name.parse()?),
        None => Err(CertificateError::NotAuthority("its subject names no cluster".to_owned())),
    }
}
