//! Private keys at rest.
//!
//! ```text
//! -----BEGIN MUNIMENT SEALED KEY-----
//! base64( 01 ‖ lock ‖ salt (32) ‖ nonce (12) ‖ AES-256-GCM ciphertext of the key's DER ‖ tag (16) )
//! -----END MUNIMENT SEALED KEY-----
//! ```
//!
//! `lock` is 01 for the firm's master key, 02 for a passphrase (stretched by Argon2id over the salt: 64 MiB, 3 passes, 1 lane).
//! The sealing key is HKDF-SHA-256(salt, secret, `muniment ca key v1 ` ‖ purpose); the additional data is `01 ‖ lock ‖ purpose`.
//! Invariant: a key sealed for one purpose (`root`, `issuing`) does not open as another, and nothing opens after a change.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::AuthorityError;
use crate::record::MasterKey;

const BEGIN: &str = "-----BEGIN MUNIMENT SEALED KEY-----";
const END: &str = "-----END MUNIMENT SEALED KEY-----";
const VERSION: u8 = 1;
const MASTER: u8 = 1;
const PASSPHRASE: u8 = 2;
const SALT: usize = 32;
const NONCE: usize = 12;
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// What locks a key.
pub(super) enum Lock<'a> {
    Master(&'a [u8; 32]),
    Passphrase(&'a SecretString),
}

/// Why a sealed key does not open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// The text is no sealed key.
    Damaged,
    /// A passphrase is needed.
    PassphraseWanted,
    /// It does not open.
    Refused,
}

impl Lock<'_> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Master(_) => MASTER,
            Self::Passphrase(_) => PASSPHRASE,
        }
    }

    fn cipher(&self, salt: &[u8], purpose: &str) -> Option<LessSafeKey> {
        let mut secret = Zeroizing::new([0; 32]);
        match self {
            Self::Master(key) => secret.copy_from_slice(key.as_slice()),
            Self::Passphrase(text) => {
                let params = argon2::Params::new(MEMORY_KIB, PASSES, 1, Some(secret.len())).ok()?;
                let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
                argon.hash_password_into(text.expose_secret().as_bytes(), salt, secret.as_mut_slice()).ok()?;
            }
        }
        let mut key = Zeroizing::new([0; 32]);
        let info: [&[u8]; 2] = [b"muniment ca key v1 ", purpose.as_bytes()];
        Hkdf::<Sha256>::new(Some(salt), secret.as_slice()).expand_multi_info(&info, key.as_mut_slice()).ok()?;
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).ok()?))
    }

    /// Seals a key for a purpose.
    pub(super) fn seal(&self, purpose: &str, der: &[u8]) -> Result<String, AuthorityError> {
        let mut random = [0; SALT + NONCE];
        aws_lc_rs::rand::fill(&mut random).map_err(|_unspecified| AuthorityError::Library("give random bytes"))?;
        let (salt, nonce) = random.split_at(SALT);
        let failed = || AuthorityError::Library("seal a key");
        let cipher = self.cipher(salt, purpose).ok_or_else(failed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_unspecified| failed())?;
        let mut sealed = Zeroizing::new(der.to_vec());
        let aad = [&[VERSION, self.kind()], purpose.as_bytes()].concat();
        let tag = cipher
            .seal_in_place_separate_tag(nonce, Aad::from(aad), sealed.as_mut_slice())
            .map_err(|_unspecified| failed())?;
        let bytes = [&[VERSION, self.kind()], random.as_slice(), &sealed, tag.as_ref()].concat();
        Ok(format!("{BEGIN}\n{}{END}\n", lines(&bytes)))
    }
}

/// Opens the first sealed key of a text.
pub(super) fn unseal(
    text: &str,
    purpose: &str,
    master: &MasterKey,
    passphrase: Option<&SecretString>,
) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
    let (_before, rest) = text.split_once(BEGIN).ok_or(Unsealed::Damaged)?;
    let (body, _after) = rest.split_once(END).ok_or(Unsealed::Damaged)?;
    let body: String = body.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(body).map_err(|_source| Unsealed::Damaged)?;
    let (head, rest) = bytes.split_at_checked(2).ok_or(Unsealed::Damaged)?;
    let (salt, rest) = rest.split_at_checked(SALT).ok_or(Unsealed::Damaged)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(Unsealed::Damaged)?;
    let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_source| Unsealed::Damaged)?;
    let open = |lock: &Lock<'_>| {
        let cipher = lock.cipher(salt, purpose)?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let aad = [head, purpose.as_bytes()].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let size = cipher.open_in_place(nonce, Aad::from(aad), opened.as_mut_slice()).ok()?.len();
        opened.truncate(size);
        Some(opened)
    };
    let opened = match head {
        // It does not say which master key: the one of now, or one from before a rotation.
        [VERSION, MASTER] => master.every().iter().find_map(|key| open(&Lock::Master(key))),
        [VERSION, PASSPHRASE] => open(&Lock::Passphrase(passphrase.ok_or(Unsealed::PassphraseWanted)?)),
        _ => return Err(Unsealed::Damaged),
    };
    opened.ok_or(Unsealed::Refused)
}

/// The text with its first sealed key locked by the master key of now; none where it is already, or a passphrase locks it.
pub(super) fn reseal(
    text: &str,
    purpose: &str,
    master: &MasterKey,
) -> Result<Option<Zeroizing<String>>, AuthorityError> {
    let current = master.as_bytes();
    if unseal(text, purpose, &MasterKey::new(*current), None).is_ok() {
        return Ok(None);
    }
    let Ok(der) = unseal(text, purpose, master, None) else { return Ok(None) };
    let Some((before, rest)) = text.split_once(BEGIN) else { return Ok(None) };
    let Some((_sealed, after)) = rest.split_once(END) else { return Ok(None) };
    let sealed = Lock::Master(&current).seal(purpose, &der)?;
    Ok(Some(Zeroizing::new([before, sealed.trim_end(), after].concat())))
}

/// Base64 in lines of 64, as PEM has it.
pub(super) fn lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut cut = String::with_capacity(text.len() + text.len() / 64 + 1);
    let mut rest = text.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        cut.push_str(line);
        cut.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        cut.push_str(rest);
        cut.push('\n');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sealed_again_after_a_rotation_and_only_then() {
        let secret = |byte| Zeroizing::new([byte; 32]);
        let both = MasterKey::of(&crate::record::MasterSecrets { current: secret(8), former: vec![secret(7)] });
        let text = format!("# ours\n{}chain\n", Lock::Master(&[7; 32]).seal("root", b"secret key").unwrap());
        assert_eq!(*unseal(&text, "root", &both, None).unwrap(), b"secret key");
        let again = reseal(&text, "root", &both).unwrap().unwrap();
        assert!(again.starts_with("# ours\n") && again.ends_with("\nchain\n"), "what stands around it stays");
        assert_eq!(*unseal(&again, "root", &MasterKey::new([8; 32]), None).unwrap(), b"secret key");
        assert_eq!(unseal(&again, "root", &MasterKey::new([7; 32]), None).unwrap_err(), Unsealed::Refused);
        assert!(reseal(&again, "root", &both).unwrap().is_none(), "once is enough");
        let locked = Lock::Passphrase(&"p".to_owned().into()).seal("root", b"secret key").unwrap();
        assert!(reseal(&locked, "root", &both).unwrap().is_none(), "a passphrase is the operator's");
    }

    #[test]
    fn a_sealed_key_opens_for_its_purpose_with_its_secret_only() {
        let master = MasterKey::new([7; 32]);
        let other = MasterKey::new([8; 32]);
        let right: SecretString = "correct horse".into();
        let wrong: SecretString = "battery staple".into();
        let text = Lock::Master(&master.as_bytes()).seal("root", b"secret key").unwrap();
        assert_eq!(*unseal(&text, "root", &master, None).unwrap(), b"secret key");
        assert_eq!(unseal(&text, "issuing", &master, None).unwrap_err(), Unsealed::Refused);
        assert_eq!(unseal(&text, "root", &other, None).unwrap_err(), Unsealed::Refused);

        let text = Lock::Passphrase(&right).seal("root", b"secret key").unwrap();
        assert!(!text.contains("secret"));
        assert_eq!(*unseal(&text, "root", &other, Some(&right)).unwrap(), b"secret key");
        assert_eq!(unseal(&text, "root", &master, Some(&wrong)).unwrap_err(), Unsealed::Refused);
        assert_eq!(unseal(&text, "root", &master, None).unwrap_err(), Unsealed::PassphraseWanted);
    }

    proptest::proptest! {
        #[test]
        fn no_text_opens_by_chance(text in ".{0,200}", bytes in proptest::collection::vec(0_u8.., 0..200)) {
            let master = MasterKey::new([7; 32]);
            let head = format!("{BEGIN}{text}{END}");
            let body = format!("{BEGIN}\n{}{END}", lines(&[&[VERSION, MASTER], bytes.as_slice()].concat()));
            for text in [&text, &head, &body] {
                proptest::prop_assert!(unseal(text, "root", &master, None).is_err());
            }
        }
    }

    #[test]
    fn no_changed_sealed_key_opens() {
        let master = MasterKey::new([7; 32]);
        let text = Lock::Master(&master.as_bytes()).seal("root", b"secret key").unwrap();
        let body = text.replace(BEGIN, "").replace(END, "").replace('\n', "");
        let bytes = STANDARD.decode(body).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let text = format!("{BEGIN}\n{}{END}\n", lines(&changed));
            assert!(unseal(&text, "root", &master, None).is_err(), "byte {at}");
        }
        for text in ["", BEGIN, &format!("{BEGIN}\n{END}"), &format!("{BEGIN}\n!!\n{END}"), &format!("{END}\n{BEGIN}")]
        {
            assert_eq!(unseal(text, "root", &master, None).unwrap_err(), Unsealed::Damaged);
        }
    }
}
