//! Private keys of the firm CA at rest: AES-256-GCM under a key made from the firm's master key or from a passphrase.
//!
//! The file is JSON, so that an operator sees what it is and how it opens; the key inside is never there in the clear. The role is
//! authenticated: an issuing key put in the root key's place does not open.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::AuthorityError;
use crate::record::MasterKey;

/// What opens the keys.
#[derive(Clone)]
pub enum Lock {
    /// The firm's master key.
    Master(MasterKey),
    /// A passphrase, typed by somebody: argon2id.
    Passphrase(SecretString),
}

/// Which key a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Root,
    Issuing,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "muniment ca root key",
            Self::Issuing => "muniment ca issuing key",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "opens_with", rename_all = "snake_case")]
enum Opens {
    MasterKey,
    Passphrase { salt: String, memory_kib: u32, passes: u32 },
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    what: String,
    version: u32,
    #[serde(flatten)]
    opens: Opens,
    nonce: String,
    sealed: String,
}

/// OWASP's second choice for argon2id; a passphrase is typed once a start.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// A file cannot ask for more than this.
const MEMORY_LIMIT_KIB: u32 = 1024 * 1024;
const PASSES_LIMIT: u32 = 16;
const FILE_LIMIT: u64 = 64 * 1024;

impl Lock {
    fn fresh(&self) -> Result<Opens, AuthorityError> {
        Ok(match self {
            Self::Master(_) => Opens::MasterKey,
            Self::Passphrase(_) => {
                Opens::Passphrase { salt: STANDARD.encode(random::<16>()?), memory_kib: MEMORY_KIB, passes: PASSES }
            }
        })
    }

    fn key(&self, opens: &Opens, role: Role) -> Option<Zeroizing<[u8; 32]>> {
        let mut key = Zeroizing::new([0; 32]);
        match (self, opens) {
            (Self::Master(master), Opens::MasterKey) => {
                Hkdf::<Sha256>::new(None, master.as_bytes())
                    .expand(role.as_str().as_bytes(), key.as_mut_slice())
                    .ok()?;
            }
            (Self::Passphrase(passphrase), Opens::Passphrase { salt, memory_kib, passes }) => {
                if *memory_kib > MEMORY_LIMIT_KIB || *passes > PASSES_LIMIT {
                    return None;
                }
                let params = Params::new(*memory_kib, *passes, 1, Some(32)).ok()?;
                let salt = STANDARD.decode(salt).ok()?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.expose_secret().as_bytes(), &salt, key.as_mut_slice())
                    .ok()?;
            }
            _ => return None,
        }
        Some(key)
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_source| AuthorityError::NoRandomness)?;
    Ok(bytes)
}

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}

/// Seals a private key (PKCS #8) into a file.
pub(super) fn store(path: &Path, role: Role, lock: &Lock, private_key: &[u8]) -> Result<(), AuthorityError> {
    let opens = lock.fresh()?;
    let nonce = random::<12>()?;
    let mut sealed = private_key.to_vec();
    lock.key(&opens, role)
        .and_then(|key| cipher(&key))
        .and_then(|cipher| {
            let aad = Aad::from(role.as_str().as_bytes());
            cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()
        })
        .ok_or_else(|| AuthorityError::KeyDoesNotOpen { path: path.to_owned() })?;
    let file = Sealed {
        what: role.as_str().to_owned(),
        version: 1,
        opens,
        nonce: STANDARD.encode(nonce),
        sealed: STANDARD.encode(&sealed),
    };
    let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    replace(path, &text).map_err(|source| AuthorityError::File { path: path.to_owned(), source })
}

/// Opens a private key; none where there is no file.
pub(super) fn load(path: &Path, role: Role, lock: &Lock) -> Result<Option<Zeroizing<Vec<u8>>>, AuthorityError> {
    let refused = || AuthorityError::KeyDoesNotOpen { path: path.to_owned() };
    let Some(text) = read(path)? else { return Ok(None) };
    let file: Sealed = serde_json::from_slice(&text).map_err(|_source| refused())?;
    let key = (file.version == 1).then(|| lock.key(&file.opens, role)).flatten().ok_or_else(refused)?;
    let nonce =
        STANDARD.decode(&file.nonce).ok().and_then(|nonce| <[u8; 12]>::try_from(nonce).ok()).ok_or_else(refused)?;
    let mut bytes = Zeroizing::new(STANDARD.decode(&file.sealed).map_err(|_source| refused())?);
    let plain = cipher(&key)
        .and_then(|cipher| {
            let aad = Aad::from(role.as_str().as_bytes());
            let opened = cipher.open_in_place(Nonce::assume_unique_for_key(nonce), aad, bytes.as_mut_slice()).ok()?;
            Some(opened.len())
        })
        .ok_or_else(refused)?;
    bytes.truncate(plain);
    Ok(Some(bytes))
}

/// Reads a small file; none where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, AuthorityError> {
    let failed = |source| AuthorityError::File { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(metadata) if metadata.len() > FILE_LIMIT => Err(failed(io::ErrorKind::FileTooLarge.into())),
        Ok(_) => fs::read(path).map(Some).map_err(failed),
    }
}

/// Writes a file whole or not at all, readable by its owner only.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The name is durable only with its directory.
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_its_own_lock_in_its_own_role_and_never_lies_there_in_the_clear() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        let key = b"a private key in its DER form";
        let master = Lock::Master(MasterKey::new([7; 32]));
        let passphrase = Lock::Passphrase("correct horse".to_owned().into());
        for (lock, others) in [
            (&master, [Lock::Master(MasterKey::new([8; 32])), passphrase.clone()]),
            (&passphrase, [Lock::Passphrase("wrong horse".to_owned().into()), master.clone()]),
        ] {
            store(&path, Role::Root, lock, key).unwrap();
            let text = fs::read(&path).unwrap();
            assert!(memchr::memmem::find(&text, b"private key in").is_none());
            assert!(!String::from_utf8(text).unwrap().contains(&STANDARD.encode(key)));
            assert_eq!(load(&path, Role::Root, lock).unwrap().unwrap().as_slice(), key);
            assert!(load(&path, Role::Issuing, lock).is_err());
            for other in others {
                assert!(load(&path, Role::Root, &other).is_err());
            }
        }
    }
}
