//! What a node keeps of its identity: key, certificate and trusted roots, as one record, since none
//! of them is of use without the others and they are replaced together.

use serde::{Deserialize, Serialize};

use crate::certificate::{CertificateError, Certificates};
use crate::credential::{Credential, CredentialError, NodeKey};
use crate::secret::Secret;

/// Version of the stored record.
const VERSION: u32 = 1;

/// A node's credential and what it trusts.
pub struct Papers {
    /// Its key and certificate.
    pub credential: Credential,
    /// The roots that it trusts.
    pub roots: Certificates,
    /// Edition of the authority that these roots are of; zero when that is not known.
    pub edition: u64,
}

/// Why a record of papers was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum PapersError {
    /// It is malformed or of another version.
    #[error("read the node's papers: {0}")]
    Record(String),
    /// A certificate in it is malformed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its key is malformed or another certificate's.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

impl Papers {
    /// The record, key included, as JSON text, for the one place that stores it.
    ///
    /// # Errors
    ///
    /// [`PapersError::Record`] if it cannot be written.
    pub fn to_record(&self) -> Result<Secret<String>, PapersError> {
        let record = Record {
            version: VERSION,
            key: self.credential.key().pem().expose().clone(),
            chain: self.credential.chain().to_pem(),
            roots: self.roots.to_pem(),
            edition: self.edition,
        };
        let text = serde_json::to_string_pretty(&record);
        text.map(Secret::new).map_err(|error| PapersError::Record(error.to_string()))
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// It is malformed, of another version, or its parts do not fit together.
    pub fn from_record(text: &Secret<String>) -> Result<Self, PapersError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // Only the place of a fault is told: the text around it may be a key.
        let malformed = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            PapersError::Record(format!("malformed at line {line}, column {column}"))
        };
        let Versioned { version } = serde_json::from_str(text.expose()).map_err(malformed)?;
        if version != VERSION {
            let what = format!(
                "expected version {VERSION}, found {version}; start the program that wrote it"
            );
            return Err(PapersError::Record(what));
        }
        let mut record: Record = serde_json::from_str(text.expose()).map_err(malformed)?;
        let key = NodeKey::from_pem(&Secret::new(std::mem::take(&mut record.key)))?;
        let credential = Credential::new(key, Certificates::from_pem(&record.chain)?)?;
        let roots = Certificates::from_pem(&record.roots)?;
        Ok(Self { credential, roots, edition: record.edition })
    }
}

/// The stored form, version 1.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    key: String,
    chain: String,
    roots: String,
    edition: u64,
}

impl Drop for Record {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}
