//! The files of the firm CA. Certificates are PEM in the clear, keys are sealed; all are written whole or not at all.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::AuthorityError;
use super::inspect;
use super::sealed_key::{self, Lock, Role};

/// The directory.
pub(super) struct Files {
    directory: PathBuf,
}

/// An issuing certificate with its key.
pub(super) type IssuingFiles = (Vec<CertificateDer<'static>>, Zeroizing<Vec<u8>>);

impl Files {
    pub(super) fn new(directory: &Path) -> Result<Self, AuthorityError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| AuthorityError::File { path: directory.to_owned(), source })?;
        Ok(Self { directory: directory.to_owned() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), AuthorityError> {
        let path = self.path(name);
        sealed_key::replace(&path, bytes).map_err(|source| AuthorityError::File { path, source })
    }

    fn remove(&self, name: &str) -> Result<(), AuthorityError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(AuthorityError::File { path, source }),
            _ => Ok(()),
        }
    }

    fn certificates(&self, name: &str) -> Result<Option<Vec<CertificateDer<'static>>>, AuthorityError> {
        let path = self.path(name);
        let Some(text) = sealed_key::read(&path)? else { return Ok(None) };
        match inspect::from_pem(&text) {
            Some(certificates) if !certificates.is_empty() => Ok(Some(certificates)),
            _ => Err(AuthorityError::NoCertificate { path }),
        }
    }

    /// The signer of issuing certificates, then those above it.
    pub(super) fn root_certificates(&self) -> Result<Option<Vec<CertificateDer<'static>>>, AuthorityError> {
        self.certificates("root.pem")
    }

    pub(super) fn missing_root(&self) -> AuthorityError {
        AuthorityError::NoCertificate { path: self.path("root.pem") }
    }

    pub(super) fn root_key(&self, lock: &Lock) -> Result<Option<Zeroizing<Vec<u8>>>, AuthorityError> {
        sealed_key::load(&self.path("root.key"), Role::Root, lock)
    }

    pub(super) fn has_root_key(&self) -> bool {
        self.path("root.key").exists()
    }

    /// The issuing CA was brought by the firm and is not ours to make anew.
    pub(super) fn is_issuing_imported(&self) -> bool {
        self.path("issuing.imported").exists()
    }

    pub(super) fn issuing(&self, lock: &Lock) -> Result<Option<IssuingFiles>, AuthorityError> {
        let Some(certificates) = self.certificates("issuing.pem")? else { return Ok(None) };
        // Key first, certificate second: a certificate without its key is one whose writing was cut off.
        let key = sealed_key::load(&self.path("issuing.key"), Role::Issuing, lock)?;
        Ok(key.map(|key| (certificates, key)))
    }

    pub(super) fn store_root(
        &self,
        certificates: &[CertificateDer<'static>],
        key: Option<&[u8]>,
        lock: &Lock,
    ) -> Result<(), AuthorityError> {
        match key {
            Some(key) => sealed_key::store(&self.path("root.key"), Role::Root, lock, key)?,
            None => self.remove("root.key")?,
        }
        self.write("root.pem", inspect::to_pem(certificates).as_bytes())
    }

    /// Certificate and key are two files, so a crash can leave them unequal: the old certificate goes first, and one that is
    /// missing is made anew.
    pub(super) fn store_issuing(
        &self,
        certificates: &[CertificateDer<'static>],
        key: &[u8],
        lock: &Lock,
        imported: bool,
    ) -> Result<(), AuthorityError> {
        self.forget_issuing()?;
        sealed_key::store(&self.path("issuing.key"), Role::Issuing, lock, key)?;
        if imported {
            self.write("issuing.imported", b"brought by the firm; not made anew\n")?;
        }
        self.write("issuing.pem", inspect::to_pem(certificates).as_bytes())
    }

    pub(super) fn forget_issuing(&self) -> Result<(), AuthorityError> {
        self.remove("issuing.pem")?;
        self.remove("issuing.imported")
    }
}
