//! How servers are trusted that checks ask.

use std::sync::Arc;

use regrow_pki::AnyServer;
use rustls::client::danger::ServerCertVerifier;
use rustls::{ClientConfig, Error, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Settings that verify by the certificates that this system trusts; or that take any, as
/// `TLSSkipVerify` asks.
pub(super) fn config(verify: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let verifier: Arc<dyn ServerCertVerifier> = if !verify {
        Arc::new(AnyServer::new(provider))
    } else {
        match Verifier::new(provider) {
            Ok(verifier) => Arc::new(verifier),
            Err(error) => {
                tracing::warn!(%error, "no certificate is trusted: checks over TLS will fail");
                let roots = builder.with_root_certificates(RootCertStore::empty());
                return Ok(roots.with_no_client_auth());
            }
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(builder.with_no_client_auth())
}
