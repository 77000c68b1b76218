//! Which device is it? Answers from a credential, remembered briefly, with a brake on guessing.
//!
//! Invariant: a password is compared by [`Devices`] alone (argon2, in constant time); here only a keyed digest of one that was
//! right is kept: for a minute it is believed, for a day it is not braked, and a change of the directory ends both. Other proofs (client certificate, the device's
//! own host name) are further kinds of [`Credential`].

mod revoked;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use moka::sync::Cache;
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::refuse::{Refuse, Refused};
use crate::capture::{Gap, GapCause};
use crate::exchange::Authority;
use crate::record::{AdvisorId, DeviceId};

/// How long a right credential is believed without asking again.
const BELIEVED: Duration = Duration::from_secs(60);
/// How long a credential that was right is asked about in spite of the brake.
const KNOWN: Duration = Duration::from_secs(24 * 60 * 60);
/// Wrong passwords an address may show for one user name within [`WINDOW`].
const FAILURES: u32 = 20;
/// Wrong credentials an address may show within [`WINDOW`], whatever the user names.
const FAILURES_OF_ADDRESS: u32 = 200;
/// The time over which failures are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// argon2 costs memory and a core: this many at once, others wait.
const VERIFICATIONS: usize = 2;
/// Longest user name and password, together.
const LONGEST: usize = 1024;

/// What a device shows.
#[non_exhaustive]
pub enum Credential {
    /// User name and password (RFC 7617).
    Basic {
        /// The device's user name.
        user: String,
        /// Its password.
        password: SecretString,
    },
}

/// A device that proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// The device.
    pub id: DeviceId,
    /// Whose it is.
    pub advisor: AdvisorId,
}

impl Device {
    /// What is missing of its traffic with a host.
    pub(crate) fn gap(self, cause: GapCause, authority: &Authority) -> Gap {
        let mut gap = Gap::new(cause);
        gap.host = Some(authority.host().to_owned());
        gap.device = Some(self.id);
        gap.advisor = Some(self.advisor);
        gap
    }
}

/// The directory cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the directory of devices cannot be asked: {0}")]
pub struct DevicesError(pub String);

/// The directory of devices.
pub trait Devices: Send + Sync {
    /// Which device has this credential; none when no device has. Takes as long for an unknown user as for a wrong password.
    fn verify<'a>(&'a self, credential: &'a Credential) -> BoxFuture<'a, Result<Option<Device>, DevicesError>>;

    /// Whether a device that proved itself is still one: not revoked since.
    fn stands(&self, device: DeviceId) -> BoxFuture<'_, Result<bool, DevicesError>>;

    /// Changes with every device that is added, changed or revoked: an answer from before is not believed after.
    fn generation(&self) -> watch::Receiver<u64>;
}

struct Failures {
    count: u32,
    since: Instant,
}

/// A credential that was right.
#[derive(Clone, Copy)]
struct Right {
    generation: u64,
    device: Device,
    since: Instant,
}

/// Who is counted: an address, with a digest of one user name or whatever the name.
type Guesser = (IpAddr, Option<[u8; 32]>);

/// Asks the directory, and remembers.
pub(crate) struct Gate {
    devices: Arc<dyn Devices>,
    key: hmac::Key,
    /// By digest of the credential.
    right: Cache<[u8; 32], Right>,
    failures: Cache<Guesser, Arc<Mutex<Failures>>>,
    verifications: Semaphore,
    generation: watch::Receiver<u64>,
    /// Held by who asks whether a device was revoked: after a change everybody wants to know.
    asking: Semaphore,
}

impl Gate {
    pub(crate) fn new(devices: Arc<dyn Devices>) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key)?;
        Ok(Self {
            generation: devices.generation(),
            asking: Semaphore::new(revoked::ASKED_AT_ONCE),
            devices,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            right: Cache::builder().max_capacity(10_000).time_to_live(KNOWN).build(),
            failures: Cache::builder().max_capacity(100_000).time_to_live(WINDOW).build(),
            verifications: Semaphore::new(VERIFICATIONS),
        })
    }

    /// Which device shows this `Proxy-Authorization`.
    pub(crate) async fn admit(&self, from: IpAddr, value: &[u8]) -> Result<Device, Refused> {
        let credential = basic(value).ok_or_else(|| Refused::new(Refuse::WrongCredential))?;
        let Credential::Basic { user, password } = &credential;
        let digest = self.digest(user, password);
        let generation = self.generation();
        let known = self.right.get(&digest).filter(|right| right.generation == generation);
        if let Some(right) = known
            && right.since.elapsed() < BELIEVED
        {
            return Ok(right.device);
        }
        let nothing = SecretString::default();
        let brakes = [((from, Some(self.digest(user, &nothing))), FAILURES), ((from, None), FAILURES_OF_ADDRESS)];
        // Whoever was right before is not locked out by somebody who guesses at the same address.
        if known.is_none() && brakes.iter().any(|(who, most)| self.is_braked(who, *most)) {
            return Err(Refuse::TooManyFailures.into());
        }
        let permit = self.verifications.acquire().await.map_err(|_closed| Refused::new(Refuse::Stopping))?;
        let found = self.devices.verify(&credential).await;
        drop(permit);
        match found {
            Ok(Some(device)) => {
                self.right.insert(digest, Right { generation, device, since: Instant::now() });
                Ok(device)
            }
            Ok(None) => {
                self.right.invalidate(&digest);
                for (who, _most) in brakes {
                    self.note_failure(who);
                }
                Err(Refuse::WrongCredential.into())
            }
            Err(error) => Err(Refused::because(Refuse::DirectoryUnavailable, &error)),
        }
    }

    /// Which state of the directory an answer given from now on is about.
    pub(crate) fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Whether a device that was admitted is still one. Asks only when the directory has changed since; while it cannot be asked
    /// nobody can be revoked either.
    pub(crate) async fn stands(&self, device: DeviceId, confirmed: &AtomicU64) -> bool {
        let generation = self.generation();
        if confirmed.load(Ordering::Acquire) == generation {
            return true;
        }
        match self.devices.stands(device).await {
            Ok(true) => {
                confirmed.store(generation, Ordering::Release);
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::debug!(%error, "whether a device was revoked is asked again at its next request");
                true
            }
        }
    }

    fn digest(&self, user: &str, password: &SecretString) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // The length keeps `a` + `bc` apart from `ab` + `c`.
        context.update(&(user.len() as u64).to_be_bytes());
        context.update(user.as_bytes());
        context.update(password.expose_secret().as_bytes());
        <[u8; 32]>::try_from(context.sign().as_ref()).unwrap_or_default()
    }

    fn is_braked(&self, who: &Guesser, most: u32) -> bool {
        self.failures.get(who).is_some_and(|failures| {
            let failures = failures.lock();
            failures.count >= most && failures.since.elapsed() < WINDOW
        })
    }

    fn note_failure(&self, who: Guesser) {
        let fresh = || Arc::new(Mutex::new(Failures { count: 0, since: Instant::now() }));
        let failures = self.failures.get_with(who, fresh);
        let mut failures = failures.lock();
        if failures.since.elapsed() >= WINDOW {
            *failures = Failures { count: 0, since: Instant::now() };
        }
        failures.count = failures.count.saturating_add(1);
    }
}

/// Reads `Basic <base64>` (RFC 7617).
fn basic(value: &[u8]) -> Option<Credential> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") || rest.len() > LONGEST {
        return None;
    }
    let decoded = STANDARD.decode(rest.trim_ascii()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credential::Basic { user: user.to_owned(), password: password.to_owned().into() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct One {
        asked: AtomicU32,
        generation: watch::Sender<u64>,
    }

    impl Devices for One {
        fn verify<'a>(&'a self, credential: &'a Credential) -> BoxFuture<'a, Result<Option<Device>, DevicesError>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let Credential::Basic { user, password } = credential;
            let right = user == "laptop" && password.expose_secret() == "pass:word";
            let device = Device { id: DeviceId::new(Uuid::nil()), advisor: AdvisorId::new(Uuid::nil()) };
            Box::pin(async move { Ok(right.then_some(device)) })
        }

        fn stands(&self, _device: DeviceId) -> BoxFuture<'_, Result<bool, DevicesError>> {
            Box::pin(async { Ok(true) })
        }

        fn generation(&self) -> watch::Receiver<u64> {
            self.generation.subscribe()
        }
    }

    fn shown(user: &str, password: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).into_bytes()
    }

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_right_credential_is_asked_once_and_a_revocation_asks_again() {
        let devices = Arc::new(One::default());
        let gate = Gate::new(devices.clone()).unwrap();
        for _ in 0..5 {
            gate.admit(FROM, &shown("laptop", "pass:word")).await.unwrap();
        }
        assert_eq!(devices.asked.load(Ordering::Relaxed), 1);
        devices.generation.send_modify(|generation| *generation += 1);
        gate.admit(FROM, &shown("laptop", "pass:word")).await.unwrap();
        assert_eq!(devices.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn guessing_is_braked_for_the_guesser_and_not_for_a_known_device() {
        let gate = Gate::new(Arc::new(One::default())).unwrap();
        gate.admit(FROM, &shown("laptop", "pass:word")).await.unwrap();
        for guess in 0..FAILURES {
            let refused = gate.admit(FROM, &shown("laptop", &guess.to_string())).await.unwrap_err();
            assert_eq!(refused.why, Refuse::WrongCredential);
        }
        assert_eq!(gate.admit(FROM, &shown("laptop", "x")).await.unwrap_err().why, Refuse::TooManyFailures);
        gate.admit(FROM, &shown("laptop", "pass:word")).await.unwrap();
        let elsewhere = "127.0.0.2".parse().unwrap();
        assert_eq!(gate.admit(elsewhere, &shown("laptop", "x")).await.unwrap_err().why, Refuse::WrongCredential);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_locked_out_by_somebody_who_guesses_at_the_same_address() {
        let devices = Arc::new(One::default());
        let gate = Gate::new(devices.clone()).unwrap();
        gate.admit(FROM, &shown("laptop", "pass:word")).await.unwrap();
        tokio::time::advance(BELIEVED).await;
        for guess in 0..=FAILURES {
            gate.admit(FROM, &shown("laptop", &guess.to_string())).await.unwrap_err();
        }
        assert_eq!(gate.admit(FROM, &shown("laptop", "x")).await.unwrap_err().why, Refuse::TooManyFailures);
        assert_eq!(gate.admit(FROM, &shown("phone", "x")).await.unwrap_err().why, Refuse::WrongCredential);
        let asked = devices.asked.load(Ordering::Relaxed);
        gate.admit(FROM, &shown("laptop", "pass:word")).await.unwrap();
        assert_eq!(devices.asked.load(Ordering::Relaxed), asked + 1, "asked again, and not braked");
        tokio::time::advance(BELIEVED / 2).await;
        devices.generation.send_modify(|generation| *generation += 1);
        for guess in 0..FAILURES {
            gate.admit(FROM, &shown("laptop", &guess.to_string())).await.unwrap_err();
        }
        let braked = gate.admit(FROM, &shown("laptop", "pass:word")).await.unwrap_err();
        assert_eq!(braked.why, Refuse::TooManyFailures, "what was right before the directory changed proves nothing");
    }

    #[tokio::test]
    async fn guessing_under_many_names_is_braked_for_the_address() {
        let devices = Arc::new(One::default());
        let gate = Gate::new(devices.clone()).unwrap();
        for guess in 0..FAILURES_OF_ADDRESS {
            let refused = gate.admit(FROM, &shown(&guess.to_string(), "x")).await.unwrap_err();
            assert_eq!(refused.why, Refuse::WrongCredential);
        }
        assert_eq!(gate.admit(FROM, &shown("another", "x")).await.unwrap_err().why, Refuse::TooManyFailures);
        assert_eq!(devices.asked.load(Ordering::Relaxed), FAILURES_OF_ADDRESS, "and the directory is left alone");
    }

    #[test]
    fn what_is_not_basic_is_no_credential() {
        for value in ["", "Basic", "Basic ", "Bearer abc", "Basic !!!", "Basic bm9jb2xvbg==", "basic"] {
            assert!(basic(value.as_bytes()).is_none(), "{value}");
        }
        assert!(basic(&shown("a", "")).is_some());
    }
}
