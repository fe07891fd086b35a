//! Certificates for HTTPS: the server's own, and those that a device's is checked with.

use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Most certificates in one file.
const MAX_CERTIFICATES: usize = 64;

/// Why HTTPS is not possible with what was given.
#[derive(Debug, Error)]
pub enum TlsError {
    /// No certificates in PEM.
    #[error("no certificate in PEM, or more than {MAX_CERTIFICATES}")]
    Certificate,
    /// No private key in PEM.
    #[error("no private key in PEM")]
    Key,
    /// Certificate and key that do not go together, or of a kind that cannot be used.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(String),
}

impl TlsError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Certificate => "tls-certificate",
            Self::Key => "tls-key",
            Self::Unusable(_) => "tls-unusable",
        }
    }
}

fn unusable(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable(error.to_string())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem)
        .take(MAX_CERTIFICATES + 1)
        .collect();
    certificates
        .ok()
        .filter(|certificates| (1..=MAX_CERTIFICATES).contains(&certificates.len()))
        .ok_or(TlsError::Certificate)
}

/// A server with this chain of certificates and the key of the first.
///
/// # Errors
/// When they are none, or do not go together.
pub fn server_tls(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    Ok(Arc::new(config))
}

/// A client that takes servers whose certificate comes from one of these.
///
/// # Errors
/// When they are none.
pub fn client_tls(roots: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(roots)? {
        store.add(certificate).map_err(unusable)?;
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
