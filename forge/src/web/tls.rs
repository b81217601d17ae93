//! TLS for the HTTP door, where the settings name a certificate. Its files are looked at again while the server runs, so that a
//! renewal takes no restart.
//!
//! Invariant: a certificate goes out only with the key that belongs to it; where a renewed pair is no pair (yet), the one
//! before is served on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::socket::Socket;

/// Longest file of a certificate or key.
/// Limit: file of a TLS certificate with its chain; of its key | {} bytes each
const LONGEST: u64 = 1 << 20;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Where a certificate and its key stand, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and the chain behind it.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a pair of files is not served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// What tells a renewed file from the one before.
type Stamp = [(SystemTime, u64); 2];

/// What connections are encrypted with.
pub struct Tls {
    files: Files,
    current: ArcSwap<ServerConfig>,
    looked: Mutex<(Instant, Stamp)>,
}

impl Tls {
    /// Reads the pair.
    pub fn open(files: Files) -> Result<Tls, TlsError> {
        let stamp = stamp(&files)?;
        let current = ArcSwap::from(read(&files)?);
        Ok(Tls { files, current, looked: Mutex::new((Instant::now(), stamp)) })
    }

    /// Shakes hands; the caller bounds how long that may take.
    pub async fn accept(&self, socket: Socket) -> io::Result<TlsStream<Socket>> {
        self.look();
        TlsAcceptor::from(self.current.load_full()).accept(socket).await
    }

    /// Takes a renewed pair. One that cannot be taken is said once, and looked at again when it changes.
    fn look(&self) {
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.0.elapsed() < LOOK {
            return;
        }
        looked.0 = Instant::now();
        let Ok(now) = stamp(&self.files) else { return };
        if now == looked.1 {
            return;
        }
        looked.1 = now;
        match read(&self.files) {
            Ok(renewed) => {
                self.current.store(renewed);
                tracing::info!(certificate = %self.files.certificate.display(), "the TLS certificate was renewed");
            }
            Err(why) => {
                tracing::warn!(%why, "the TLS certificate changed and is not taken; the one before is served on")
            }
        }
    }
}

fn stamp(files: &Files) -> Result<Stamp, TlsError> {
    let of = |path: &Path| {
        let fail = |source| TlsError::Io { path: path.to_owned(), source };
        let about = std::fs::metadata(path).map_err(fail)?;
        if about.len() > LONGEST {
            let why = format!("{} bytes, and {LONGEST} are read", about.len());
            return Err(TlsError::Content { path: path.to_owned(), why });
        }
        Ok((about.modified().map_err(fail)?, about.len()))
    };
    Ok([of(&files.certificate)?, of(&files.key)?])
}

fn read(files: &Files) -> Result<Arc<ServerConfig>, TlsError> {
    let bytes = |path: &Path| std::fs::read(path).map_err(|source| TlsError::Io { path: path.to_owned(), source });
    let content = |path: &Path, why: String| TlsError::Content { path: path.to_owned(), why };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(&files.certificate)?).collect();
    let chain = chain.map_err(|e| content(&files.certificate, format!("no certificate as PEM: {e}")))?;
    if chain.is_empty() {
        return Err(content(&files.certificate, "it holds no certificate as PEM".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?)
        .map_err(|e| content(&files.key, format!("no private key as PEM: {e}")))?;
    let pair = |why: String| content(&files.certificate, format!("it does not go with {}: {why}", files.key.display()));
    let versions = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| pair(e.to_string()))?;
    let mut config = versions.with_no_client_auth().with_single_cert(chain, key).map_err(|e| pair(e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
