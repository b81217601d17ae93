//! The directory `secrets/`: the host key, the signing key, the token secret, the secret of sealed parts and
//! the sessions of browsers.
//!
//! Invariant: nothing in here is ever in git, in a log or in an answer. The directory has mode 0700, its files 0600, and a
//! secret that was handed out is already on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand::TryRngCore as _;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use serde::Serialize;
use serde::de::DeserializeOwned;

const HOST_KEY: &str = "ssh_host_ed25519_key";
const SIGNING_KEY: &str = "signing_key";
const TOKEN_KEY: &str = "token.key";
const SEAL_KEY: &str = "seal.key";
const SESSIONS: &str = "sessions.json";

/// Why a secret could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is there but is not what its name says.
    #[error("{}: {why}; restore it, or move it away to have a new one made", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// The open directory.
#[derive(Debug, Clone)]
pub struct Secrets {
    dir: PathBuf,
}

impl Secrets {
    /// Opens or makes `<data>/secrets`, and closes it to other users where it was open.
    pub fn open(data: &Path) -> Result<Secrets, SecretError> {
        let dir = data.join("secrets");
        let fail = |source| SecretError::Io { path: dir.clone(), source };
        if !dir.is_dir() {
            fs::DirBuilder::new().mode(0o700).recursive(true).create(&dir).map_err(fail)?;
            sync_dir(data).map_err(fail)?;
        }
        tighten(&dir, 0o700).map_err(fail)?;
        Ok(Secrets { dir })
    }

    /// The key by which SSH clients know this server; made on first use.
    pub fn load_or_create_host_key(&self) -> Result<PrivateKey, SecretError> {
        Ok(self.key(HOST_KEY, "forge host key")?.0)
    }

    /// The key that signs ledger commits, and whether it is new: a new one opens a new signing epoch.
    pub fn load_or_create_signing_key(&self) -> Result<(PrivateKey, bool), SecretError> {
        self.key(SIGNING_KEY, "forge")
    }

    /// The secret that tokens are signed with; made on first use.
    pub fn load_or_create_token_key(&self) -> Result<[u8; 32], SecretError> {
        self.load_or_create(TOKEN_KEY)
    }

    /// The secret from which keys of sealed parts are derived; made when the first is sealed.
    pub fn load_or_create_seal_key(&self) -> Result<[u8; 32], SecretError> {
        self.load_or_create(SEAL_KEY)
    }

    /// The same, where it was made.
    pub fn seal_key(&self) -> Result<Option<[u8; 32]>, SecretError> {
        self.load(SEAL_KEY)
    }

    /// Sessions as they were kept last; none before the first.
    pub fn sessions<T: DeserializeOwned>(&self) -> Result<Option<T>, SecretError> {
        let path = self.dir.join(SESSIONS);
        let Some(bytes) = self.read(&path)? else { return Ok(None) };
        let damaged = |e: serde_json::Error| SecretError::Damaged { path, why: e.to_string() };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Keeps sessions in place of those that were kept before.
    pub fn keep_sessions<T: Serialize>(&self, sessions: &T) -> Result<(), SecretError> {
        let path = self.dir.join(SESSIONS);
        let unmade = |e: serde_json::Error| SecretError::Damaged { path: path.clone(), why: e.to_string() };
        self.write(&path, &serde_json::to_vec(sessions).map_err(unmade)?)
    }

    fn load_or_create(&self, name: &str) -> Result<[u8; 32], SecretError> {
        match self.load(name)? {
            Some(secret) => Ok(secret),
            None => {
                let secret = random()?;
                self.write(&self.dir.join(name), &secret)?;
                Ok(secret)
            }
        }
    }

    fn load(&self, name: &str) -> Result<Option<[u8; 32]>, SecretError> {
        let path = self.dir.join(name);
        let Some(bytes) = self.read(&path)? else { return Ok(None) };
        let damaged = |_| SecretError::Damaged { path, why: "it must hold 32 bytes".to_owned() };
        <[u8; 32]>::try_from(bytes.as_slice()).map(Some).map_err(damaged)
    }

    fn key(&self, name: &str, comment: &str) -> Result<(PrivateKey, bool), SecretError> {
        let path = self.dir.join(name);
        let damaged =
            |why: russh::keys::ssh_key::Error| SecretError::Damaged { path: path.clone(), why: why.to_string() };
        if let Some(bytes) = self.read(&path)? {
            let key = PrivateKey::from_openssh(&bytes).map_err(damaged)?;
            return Ok((key, false));
        }
        let key = new_key(comment)?.map_err(damaged)?;
        self.write(&path, key.to_openssh(LineEnding::LF).map_err(damaged)?.as_bytes())?;
        Ok((key, true))
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, SecretError> {
        let fail = |source| SecretError::Io { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(bytes) => {
                tighten(path, 0o600).map_err(fail)?;
                Ok(Some(bytes))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(fail(e)),
        }
    }

    /// Under a temporary name first, so that a crash leaves either no secret or a whole one.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), SecretError> {
        let fail = |source| SecretError::Io { path: path.to_owned(), source };
        let temporary = path.with_extension("tmp");
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(fail)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)?;
        fs::rename(&temporary, path).map_err(fail)?;
        sync_dir(&self.dir).map_err(fail)
    }
}

/// A host key that nobody keeps: clients see another one after the next start.
pub fn passing_host_key() -> Result<PrivateKey, SecretError> {
    let unmade = |e: russh::keys::ssh_key::Error| SecretError::Random(e.to_string());
    new_key("forge host key")?.map_err(unmade)
}

fn new_key(comment: &str) -> Result<russh::keys::ssh_key::Result<PrivateKey>, SecretError> {
    let pair = Ed25519Keypair::from_seed(&random()?);
    Ok(PrivateKey::new(KeypairData::Ed25519(pair), comment))
}

/// 32 random bytes.
pub fn random() -> Result<[u8; 32], SecretError> {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|e| SecretError::Random(e.to_string()))?;
    Ok(bytes)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn tighten(path: &Path, mode: u32) -> io::Result<()> {
    let found = fs::metadata(path)?.permissions().mode() & 0o777;
    if found & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "was open to other users (mode {found:o}); closed");
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_made_once_and_kept_private() {
        let data = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(data.path()).unwrap();
        let host = secrets.load_or_create_host_key().unwrap();
        let (signing, new) = secrets.load_or_create_signing_key().unwrap();
        let token = secrets.load_or_create_token_key().unwrap();
        assert!(new);
        assert_ne!(host.public_key(), signing.public_key());

        let again = Secrets::open(data.path()).unwrap();
        assert_eq!(again.load_or_create_host_key().unwrap().public_key(), host.public_key());
        let (key, new) = again.load_or_create_signing_key().unwrap();
        assert_eq!((key.public_key(), new), (signing.public_key(), false));
        assert_eq!(again.load_or_create_token_key().unwrap(), token);
        assert_eq!(mode(&data.path().join("secrets")), 0o700);
        for file in [HOST_KEY, SIGNING_KEY, TOKEN_KEY] {
            assert_eq!(mode(&data.path().join("secrets").join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn ssh_keygen_reads_the_signing_key() {
        let data = tempfile::tempdir().unwrap();
        let (key, _) = Secrets::open(data.path()).unwrap().load_or_create_signing_key().unwrap();
        let path = data.path().join("secrets").join(SIGNING_KEY);
        let out = std::process::Command::new("ssh-keygen").arg("-y").arg("-f").arg(path).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        assert_eq!(String::from_utf8(out.stdout).unwrap().trim(), key.public_key().to_openssh().unwrap());
    }

    #[test]
    fn an_open_file_is_closed_and_a_damaged_one_is_never_replaced() {
        let data = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(data.path()).unwrap();
        let path = data.path().join("secrets").join(TOKEN_KEY);
        fs::write(&path, [1; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(secrets.load_or_create_token_key().unwrap(), [1; 32]);
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, b"short").unwrap();
        assert!(matches!(secrets.load_or_create_token_key(), Err(SecretError::Damaged { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}
