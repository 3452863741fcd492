//! The certificate authority of a cluster: signs node certificates and its own successor.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use sha2::{Digest as _, Sha256};

use crate::certificate::{CertificateError, Certificates, RootDigest, cluster_of};
use crate::credential::key_pair;
use crate::identity::{ClusterId, NodeIdentity};
use crate::secret::Secret;

/// How far a new certificate reaches into the past, against clocks that are behind.
pub const BACK_DATE: Duration = Duration::from_secs(3600);

/// Life of a node certificate unless told otherwise.
pub const DEFAULT_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Shortest life of a node certificate.
pub const MIN_LIFE: Duration = Duration::from_secs(3600);

/// Life of an authority's certificate: rotation is a decision, not a deadline.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// Bytes of a certificate request that are looked at.
const MAX_REQUEST: usize = 8 * 1024;

/// Why the authority did not sign or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The request is malformed, too large, or not signed by the key in it.
    #[error("read the certificate request: {0}")]
    Request(String),
    /// The identity belongs to another cluster.
    #[error("issue a certificate for {identity}: this authority signs for cluster {cluster}")]
    OtherCluster {
        /// For whom.
        identity: NodeIdentity,
        /// The authority's cluster.
        cluster: ClusterId,
    },
    /// The life is below [`MIN_LIFE`].
    #[error("issue a certificate for {life:?}: expected at least {MIN_LIFE:?}")]
    Life {
        /// What was asked for.
        life: Duration,
    },
    /// The stored certificate is not an authority's.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Key and certificate do not belong together.
    #[error("open the authority: key and certificate do not belong together")]
    Mismatch,
    /// The key could not be made or used.
    #[error("use the key: {0}")]
    Key(#[from] rcgen::Error),
    /// The stored text is no key. Why not is not told: the reader of the text would quote it.
    #[error("read the authority's key: expected PKCS#8 in PEM form; restore a backup")]
    KeyText,
}

/// The certificate authority of a cluster: its key and its self-signed certificate.
pub struct Authority {
    cluster: ClusterId,
    certificate: CertificateDer<'static>,
    key: Secret<KeyPair>,
}

impl Authority {
    /// A new authority with a new key.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Key`] if the system gives no randomness.
    pub fn new(cluster: ClusterId, now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let params = authority_params(subject(cluster), 1, now);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { cluster, certificate, key: Secret::new(key) })
    }

    /// Opens a stored authority.
    ///
    /// # Errors
    ///
    /// If a text is malformed, the certificate is no authority's, or the key is not its key.
    pub fn from_pem(certificate: &str, key: &Secret<String>) -> Result<Self, AuthorityError> {
        let certificates = Certificates::from_pem(certificate)?;
        let der = certificates.iter().next().unwrap_or_default().to_vec();
        let cluster = cluster_of(&der)?;
        let key = key_pair(key).ok_or(AuthorityError::KeyText)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der)
            .map_err(|error| CertificateError::Form(error.to_string()))?;
        if parsed.public_key().raw != key.expose().subject_public_key_info() {
            return Err(AuthorityError::Mismatch);
        }
        Ok(Self { cluster, certificate: CertificateDer::from(der), key })
    }

    /// The cluster it signs for.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Its certificate in DER form.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its certificate as PEM text.
    pub fn certificate_pem(&self) -> String {
        Certificates::new([self.certificate.to_vec()]).to_pem()
    }

    /// Its key as PKCS#8 in a PEM text, for the one place that stores it.
    pub fn key_pem(&self) -> Secret<String> {
        Secret::new(self.key.expose().serialize_pem())
    }

    /// What join tokens pin.
    pub fn digest(&self) -> RootDigest {
        RootDigest::of(&self.certificate)
    }

    /// Signs a node's certificate for `[now - BACK_DATE, now + life]`.
    ///
    /// Of the request (PKCS#10, DER form) only the public key is used, after its signature proved
    /// that the requester holds the key; names and wishes in it are ignored.
    ///
    /// # Errors
    ///
    /// If the request is bad, the identity of another cluster, or the life too short.
    pub fn issue(
        &self,
        request: &[u8],
        identity: &NodeIdentity,
        now: SystemTime,
        life: Duration,
    ) -> Result<Vec<u8>, AuthorityError> {
        if identity.cluster != self.cluster {
            let (identity, cluster) = (*identity, self.cluster);
            return Err(AuthorityError::OtherCluster { identity, cluster });
        }
        if life < MIN_LIFE {
            return Err(AuthorityError::Life { life });
        }
        let request = read_request(request)?;
        let params = node_params(identity, now, life)?;
        Ok(params.signed_by(&request.public_key, &self.issuer()?)?.der().to_vec())
    }

    /// Signs the certificate of the next authority with this one's key, so that who trusts only
    /// this one accepts what the next one signs.
    ///
    /// # Errors
    ///
    /// If the next authority is of another cluster.
    pub fn cross_sign(&self, next: &Self, now: SystemTime) -> Result<Vec<u8>, AuthorityError> {
        if next.cluster != self.cluster {
            return Err(AuthorityError::Mismatch);
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(&next.certificate)
            .map_err(|error| CertificateError::Form(error.to_string()))?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, self.cluster.to_string());
        let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        subject.push(DnType::CommonName, name.unwrap_or_default());
        let params = authority_params(subject, 0, now);
        Ok(params.signed_by(next.key.expose(), &self.issuer()?)?.der().to_vec())
    }

    fn issuer(&self) -> Result<Issuer<'static, &KeyPair>, AuthorityError> {
        Ok(Issuer::from_ca_cert_der(&self.certificate, self.key.expose())?)
    }
}

/// The subject of an authority: the cluster, and a random part that tells successors apart.
fn subject(cluster: ClusterId) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, cluster.to_string());
    subject.push(DnType::CommonName, format!("regrow authority {:08x}", rand::random::<u32>()));
    subject
}

fn authority_params(subject: DistinguishedName, below: u8, now: SystemTime) -> CertificateParams {
    let mut params = valid(now, AUTHORITY_LIFE);
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn node_params(
    identity: &NodeIdentity,
    now: SystemTime,
    life: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = valid(now, life);
    params.distinguished_name = DistinguishedName::new();
    let name = format!("{} {}", identity.role, identity.node);
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![
        SanType::URI(Ia5String::try_from(identity.to_string())?),
        SanType::DnsName(Ia5String::try_from(identity.dns_name())?),
    ];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // A worker serves too (streams of blocks, for example); what it may serve is decided by the
    // role in its URI, which callers verify.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Parameters with dates and a random serial number; the rest is for the caller.
fn valid(now: SystemTime, life: Duration) -> CertificateParams {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + now.saturating_sub(BACK_DATE);
    params.not_after = epoch + now + life;
    let mut serial: [u8; 16] = rand::random();
    // Serial numbers are positive: the top bit is clear, and the first byte is not zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

/// SHA-256 of the public key in a certificate request, after its signature proved that the requester
/// holds the key: the same for every request made with that key.
///
/// # Errors
///
/// [`AuthorityError::Request`] if the request is malformed, too large or not signed by its key.
pub fn key_hash_of(request: &[u8]) -> Result<[u8; 32], AuthorityError> {
    let request = read_request(request)?;
    Ok(Sha256::digest(request.public_key.subject_public_key_info()).into())
}

fn read_request(der: &[u8]) -> Result<CertificateSigningRequestParams, AuthorityError> {
    if der.len() > MAX_REQUEST {
        let what = format!("it has {} bytes, expected at most {MAX_REQUEST}", der.len());
        return Err(AuthorityError::Request(what));
    }
    CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
        .map_err(|error| AuthorityError::Request(error.to_string()))
}
