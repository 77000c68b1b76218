//! Certificates that the firm brings: checked before anything of ours is replaced.
//!
//! Invariant: what was in use stays in use when an import is refused. What an import replaces is kept beside, sealed as it was
//! (`replaced-<fingerprint>.pem` and `.key`): devices may still trust it. An import that was cut off is run again.

use std::path::PathBuf;

use rustls::pki_types::CertificateDer;

use super::certificate::Facts;
use super::error::{AuthorityError, ImportError};
use super::key::CaKey;
use super::names::PermittedNames;
use super::root::{Root, is_signed_by};
use super::sealed::Lock;
use super::store::{ISSUING, ROOT, ROOT_KEY};
use super::{Authority, BY_FIRM, PURPOSE, pem};
use crate::record::{Digest, Timestamp};

/// A chain and the key of its first certificate.
struct Brought {
    chain: Vec<CertificateDer<'static>>,
    facts: Vec<Facts>,
    key: CaKey,
}

impl Brought {
    /// `below`: how many authorities will stand below the first certificate.
    fn read(certificates: &str, key: &str, below: usize, now: Timestamp) -> Result<Self, ImportError> {
        let chain = pem::certificates(certificates)?;
        let facts = chain.iter().map(Facts::read).collect::<Result<Vec<_>, _>>()?;
        let key = pem::key(key)?;
        let first = facts.first().ok_or(ImportError::NoCertificate)?;
        if key.public() != first.public {
            return Err(ImportError::OtherKey);
        }
        for (place, facts) in facts.iter().enumerate() {
            if !facts.is_authority {
                return Err(if place == 0 { ImportError::NotAuthority } else { ImportError::NoChain });
            }
            if !facts.may_sign {
                return Err(ImportError::MayNotSign);
            }
            if !facts.for_servers {
                return Err(ImportError::NotForServers);
            }
            let room = facts.path_length.is_none_or(|length| length as usize >= place + below);
            if !room {
                return Err(ImportError::NoAuthorityBelow);
            }
            facts.check_time(now)?;
        }
        if !chain.iter().zip(chain.iter().skip(1)).all(|(below, above)| is_signed_by(below, above)) {
            return Err(ImportError::NoChain);
        }
        if !facts.last().is_some_and(|last| last.self_signed) {
            return Err(ImportError::NoRoot);
        }
        Ok(Self { chain, facts, key })
    }
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Whether it is an issuing CA, which only the firm renews; otherwise issuing certificates are made under it.
    pub issuing: bool,
    /// Where the old root certificate is kept, unless it is the same.
    pub kept: Option<PathBuf>,
}

impl Authority {
    /// Uses the firm's own CA from now on. `certificates` is PEM: the CA whose key is given, then what leads to the root that devices
    /// have, that root last. A CA with path length 0, or below a root and constrained as ours are, is an issuing CA; under any
    /// other the issuing CA is made, with its constraints, at once.
    ///
    /// # Errors
    /// [`AuthorityError::Import`], and whatever keeps leaves for these hosts from being minted; nothing is changed then.
    pub fn import(&self, certificates: &str, key: &str, hosts: &[String]) -> Result<Imported, AuthorityError> {
        let chain = pem::certificates(certificates)?;
        let first = Facts::read(chain.first().ok_or(ImportError::NoCertificate)?)?;
        let issuing =
            first.is_authority && (first.path_length == Some(0) || (!first.self_signed && first.names.is_some()));
        let kept = if issuing {
            self.import_issuing(certificates, key, hosts)
        } else {
            self.import_root(certificates, key, hosts)
        };
        kept.map(|kept| Imported { issuing, kept })
    }

    fn import_root(&self, certificates: &str, key: &str, hosts: &[String]) -> Result<Option<PathBuf>, AuthorityError> {
        let (names, now) = (&PermittedNames::new(hosts), self.now());
        let brought = Brought::read(certificates, key, 1, now)?;
        let root = Root::new(brought.chain).ok_or(ImportError::Unreadable)?;
        let held = self.store.hold()?;
        let issuing = self.make(&root, &brought.key, names, now)?;
        let kept = self.keep_replaced(&root)?;
        root.keep(&self.store, &self.setup, &brought.key)?;
        self.store.write(ISSUING, &issuing)?;
        self.reload()?;
        drop(held);
        Ok(kept)
    }

    /// It must be constrained as ours would be, and permit all these hosts.
    fn import_issuing(
        &self,
        certificates: &str,
        key: &str,
        hosts: &[String],
    ) -> Result<Option<PathBuf>, AuthorityError> {
        let (names, now) = (&PermittedNames::new(hosts), self.now());
        let Brought { mut chain, facts, key } = Brought::read(certificates, key, 0, now)?;
        let anchor = chain.pop().ok_or(ImportError::NoCertificate)?;
        if chain.is_empty() {
            // A root that signs leaves itself: its constraints, if it has any, would be the trust anchor's.
            return Err(ImportError::NotConstrained.into());
        }
        let permitted = facts.first().and_then(|facts| facts.names.as_ref()).ok_or(ImportError::NotConstrained)?;
        let left_out = permitted.missing(names);
        if !left_out.is_empty() {
            return Err(ImportError::LeftOut(left_out).into());
        }
        let root = Root::new(vec![anchor]).ok_or(ImportError::Unreadable)?;
        let held = self.store.hold()?;
        let sealed = Lock::Master(&self.setup.master.as_bytes()).seal(PURPOSE, key.der())?;
        let text = [BY_FIRM, &pem::write(&chain), &sealed].concat();
        self.read_issuer(&text, &root, 0)?.prove(root.anchor(), names.iter(), now)?;
        let kept = self.keep_replaced(&root)?;
        self.store.write(ROOT, &pem::write(std::slice::from_ref(root.anchor())))?;
        self.store.write(ISSUING, &text)?;
        self.store.remove(ROOT_KEY)?;
        self.reload()?;
        drop(held);
        Ok(kept)
    }

    /// Copies the root in use aside, unless it is the same one.
    fn keep_replaced(&self, new: &Root) -> Result<Option<PathBuf>, AuthorityError> {
        let old = Root::read(&self.store)?;
        let Some(old) = old.filter(|old| !old.is(new)) else { return Ok(None) };
        let fingerprint = Digest::of(&[old.anchor()]).to_string();
        let name = format!("replaced-{}", fingerprint.get(..16).unwrap_or(&fingerprint));
        for (file, extension) in [(ROOT, "pem"), (ROOT_KEY, "key")] {
            if let Some(text) = self.store.read(file)? {
                self.store.write(&format!("{name}.{extension}"), &text)?;
            }
        }
        Ok(Some(self.store.path(&format!("{name}.pem"))))
    }
}
