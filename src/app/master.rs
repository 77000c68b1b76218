//! Where master keys come from: a file, the environment, or a program that asks a key service.
//!
//! The interface to a key service is [`MasterKeys`]. The service wraps and unwraps one key, the master key, and not each record's: a post must not wait
//! for a call across the network before it may leave, and a key service that is away must not stop what was started. Invariant: at every moment of
//! a rotation, whatever was wrapped can be opened by what is kept: the old key is among the former ones, durably, before another is the first.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::HomeError;
use super::home::read_secret;
use crate::capture::Entropy;
use crate::record::{MasterKey, MasterKeyId, MasterSecrets};
use crate::settings;

/// Time for a program to print a key.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
/// Keys, one a line, are a few hundred bytes.
const LARGEST: u64 = 4_096;
/// Former keys at most.
const FORMER_MOST: usize = 16;

/// Keeps master keys.
pub(super) trait MasterKeys {
    /// The key that wraps, and former ones that still open.
    fn read(&self) -> Result<MasterSecrets, HomeError>;

    /// Makes this key the one that wraps, and the one before a former one. False where that is done elsewhere, by whoever runs the key service:
    /// it hands out the new key first and the old one after it, and `muniment keys rotate-master` does the rest.
    fn begin(&self, fresh: &[u8; 32]) -> Result<bool, HomeError>;

    /// Forgets these former keys; false where that is done elsewhere.
    fn retire(&self, keys: &[MasterKeyId]) -> Result<bool, HomeError>;

    /// How long ago a former key last became one; none where there is none, or nobody here knows.
    fn former_for(&self) -> Result<Option<Duration>, HomeError>;

    /// Keeps every other rotation out while what it answers lives: two at once would each make a key, and one of them would be lost.
    fn alone(&self) -> Result<Option<File>, HomeError>;
}

/// What settings name.
pub(super) fn keeper(from: &settings::MasterKey) -> Box<dyn MasterKeys + '_> {
    match from {
        settings::MasterKey::File { path, .. } => Box::new(InFile { path }),
        settings::MasterKey::Given(key, former) => Box::new(InEnvironment { key, former }),
        settings::MasterKey::Command(command) => Box::new(ByCommand { command }),
    }
}

/// Reads what settings name.
pub(super) fn read(from: &settings::MasterKey) -> Result<MasterSecrets, HomeError> {
    keeper(from).read()
}

/// Whether a rotation can be begun here, and not only where the key service is.
pub(super) const fn is_kept_here(from: &settings::MasterKey) -> bool {
    matches!(from, settings::MasterKey::File { .. })
}

/// A key made at random, as 32 bytes.
pub(super) fn fresh(entropy: &dyn Entropy) -> Result<Zeroizing<[u8; 32]>, HomeError> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(bytes.as_mut_slice())?;
    Ok(bytes)
}

/// As files have it.
pub(super) fn line(key: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", hex::encode(key)))
}

fn parse(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, bytes.as_mut_slice()).ok()?;
    Some(bytes)
}

/// The first of several, and the rest.
fn parse_all<'a>(
    texts: impl Iterator<Item = &'a str>,
    wrong: impl Fn() -> HomeError,
) -> Result<MasterSecrets, HomeError> {
    let mut keys = Vec::new();
    for text in texts {
        keys.push(parse(text).ok_or_else(&wrong)?);
    }
    if keys.is_empty() || keys.len() > 1 + FORMER_MOST {
        return Err(wrong());
    }
    let current = keys.remove(0);
    Ok(MasterSecrets { current, former: keys })
}

/// A file with the key, and beside it one with the former ones.
struct InFile<'a> {
    path: &'a Path,
}

impl InFile<'_> {
    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(what);
        PathBuf::from(name)
    }

    fn former(&self) -> PathBuf {
        self.beside(".former")
    }

    /// Whole or not at all, and durable.
    fn write(&self, path: &Path, content: &[u8]) -> Result<(), HomeError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let io = |source| HomeError::Io { path: path.to_owned(), source };
        let mut beside = tempfile::Builder::new();
        beside.prefix(".new-").permissions(std::fs::Permissions::from_mode(0o600));
        let mut file = beside.tempfile_in(folder).map_err(io)?;
        // Whoever runs this, `serve` must go on reading it.
        let owner = std::fs::metadata(self.path).map_err(io)?;
        std::os::unix::fs::fchown(file.as_file(), Some(owner.uid()), Some(owner.gid())).map_err(io)?;
        file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
    }
}

impl MasterKeys for InFile<'_> {
    fn read(&self) -> Result<MasterSecrets, HomeError> {
        // This one first: the other is written before this is replaced, so that the key that was replaced is seen in one of them.
        let current = read_secret(self.path)?;
        let former = match read_secret(&self.former()) {
            Ok(text) => text,
            Err(HomeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Zeroizing::default(),
            Err(error) => return Err(error),
        };
        let wrong = || HomeError::NotAKey { path: self.path.to_owned() };
        parse_all([current.trim()].into_iter().chain(former.split_ascii_whitespace()), wrong)
    }

    fn begin(&self, fresh: &[u8; 32]) -> Result<bool, HomeError> {
        let secrets = self.read()?;
        let mut text = line(&secrets.current);
        for former in secrets.former.iter().filter(|former| ***former != *secrets.current) {
            text.push_str(&line(former));
        }
        self.write(&self.former(), text.as_bytes())?;
        self.write(self.path, line(fresh).as_bytes())?;
        Ok(true)
    }

    fn retire(&self, keys: &[MasterKeyId]) -> Result<bool, HomeError> {
        let path = self.former();
        let is_needed = |key: &&Zeroizing<[u8; 32]>| !keys.contains(&MasterKey::new(***key).id());
        let secrets = self.read()?;
        let kept: Vec<_> = secrets.former.iter().filter(is_needed).map(|key| line(key)).collect();
        if !kept.is_empty() {
            let text = Zeroizing::new(kept.iter().map(|line| line.as_str()).collect::<String>());
            return self.write(&path, text.as_bytes()).map(|()| true);
        }
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(true),
            Err(source) => Err(HomeError::Io { path, source }),
        }
    }

    fn former_for(&self) -> Result<Option<Duration>, HomeError> {
        let path = self.former();
        match std::fs::metadata(&path).and_then(|file| file.modified()) {
            Ok(since) => Ok(Some(since.elapsed().unwrap_or_default())),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HomeError::Io { path, source }),
        }
    }

    fn alone(&self) -> Result<Option<File>, HomeError> {
        let path = self.beside(".lock");
        let io = |source| HomeError::Io { path: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(HomeError::Busy { path }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// Variables, set by whoever starts the program.
struct InEnvironment<'a> {
    key: &'a SecretString,
    former: &'a SecretString,
}

impl MasterKeys for InEnvironment<'_> {
    fn read(&self) -> Result<MasterSecrets, HomeError> {
        let wrong = || HomeError::NotAKey { path: PathBuf::from("MUNIMENT_MASTER_KEY") };
        let former = self.former.expose_secret().split_ascii_whitespace();
        parse_all([self.key.expose_secret()].into_iter().chain(former), wrong)
    }

    fn begin(&self, _fresh: &[u8; 32]) -> Result<bool, HomeError> {
        Ok(false)
    }

    fn retire(&self, _keys: &[MasterKeyId]) -> Result<bool, HomeError> {
        Ok(false)
    }

    fn former_for(&self) -> Result<Option<Duration>, HomeError> {
        Ok(None)
    }

    fn alone(&self) -> Result<Option<File>, HomeError> {
        Ok(None)
    }
}

/// A program that prints them.
struct ByCommand<'a> {
    command: &'a [String],
}

impl MasterKeys for ByCommand<'_> {
    fn read(&self) -> Result<MasterSecrets, HomeError> {
        let (program, arguments) =
            self.command.split_first().ok_or(HomeError::KeyCommand { why: "names no program" })?;
        let path = PathBuf::from(program);
        let io = |source| HomeError::Io { path: path.clone(), source };
        // What it says on standard error is for the operator, and not ours to keep.
        let mut child =
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(io)?;
        let out = child.stdout.take().ok_or(HomeError::KeyCommand { why: "has no output" })?;
        let reader = std::thread::spawn(move || {
            let mut text = Zeroizing::new(String::new());
            out.take(LARGEST).read_to_string(&mut text).map(|_read| text)
        });
        let mut waited = Duration::ZERO;
        let status = loop {
            match child.try_wait().map_err(io)? {
                Some(status) => break status,
                None if waited >= PATIENCE => {
                    let _killed = child.kill();
                    let _reaped = child.wait();
                    return Err(HomeError::KeyCommand { why: "did not end in 30 seconds" });
                }
                None => {
                    std::thread::sleep(LOOK);
                    waited += LOOK;
                }
            }
        };
        if !status.success() {
            return Err(HomeError::KeyCommand { why: "failed" });
        }
        let text = reader.join().map_err(|_panic| HomeError::KeyCommand { why: "cannot be read" })?.map_err(io)?;
        let wrong = || HomeError::KeyCommand { why: "printed something else than keys of 64 hex digits, one a line" };
        parse_all(text.split_ascii_whitespace(), wrong)
    }

    fn begin(&self, _fresh: &[u8; 32]) -> Result<bool, HomeError> {
        Ok(false)
    }

    fn retire(&self, _keys: &[MasterKeyId]) -> Result<bool, HomeError> {
        Ok(false)
    }

    fn former_for(&self) -> Result<Option<Duration>, HomeError> {
        Ok(None)
    }

    fn alone(&self) -> Result<Option<File>, HomeError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_key_that_is_replaced_is_a_former_one_until_it_is_retired() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        write(&path, &"01".repeat(32));
        let file = InFile { path: &path };
        assert!(file.read().unwrap().former.is_empty());
        for (fresh, former) in [([2; 32], vec![[1; 32]]), ([3; 32], vec![[2; 32], [1; 32]])] {
            assert!(file.begin(&fresh).unwrap());
            let secrets = file.read().unwrap();
            assert_eq!(*secrets.current, fresh);
            assert_eq!(secrets.former.iter().map(|key| **key).collect::<Vec<_>>(), former);
        }
        assert_eq!(std::fs::metadata(file.former()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(file.former_for().unwrap().is_some());
        let [one, two] = [[1; 32], [2; 32]].map(|key| MasterKey::new(key).id());
        assert!(file.retire(&[one]).unwrap());
        assert_eq!(*file.read().unwrap().former[0], [2; 32], "what was not named stays");
        assert!(file.retire(&[two]).unwrap() && file.retire(&[two]).unwrap());
        assert!(file.read().unwrap().former.is_empty() && file.former_for().unwrap().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn two_rotations_are_never_under_way_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        write(&path, &"01".repeat(32));
        let file = InFile { path: &path };
        let first = file.alone().unwrap();
        assert!(matches!(file.alone().unwrap_err(), HomeError::Busy { .. }));
        drop(first);
        assert!(file.alone().unwrap().is_some());
    }

    #[test]
    fn a_program_is_asked_for_the_key_and_what_it_prints_else_is_refused() {
        let ask = |script: &str| {
            let command: Vec<String> = ["sh", "-c", script].iter().map(|&word| word.to_owned()).collect();
            ByCommand { command: &command }.read()
        };
        let (one, two) = ("0a".repeat(32), "0b".repeat(32));
        let secrets = ask(&format!("echo {one}; echo {two}")).unwrap();
        assert_eq!((*secrets.current, *secrets.former[0]), ([10; 32], [11; 32]));
        for (script, why) in [("true", "one a line"), ("echo no key", "one a line"), ("exit 3", "failed")] {
            let error = ask(script).unwrap_err();
            assert!(error.to_string().contains(why), "{script}: {error}");
        }
        let error = ByCommand { command: &["/nowhere/at/all".to_owned()] }.read().unwrap_err();
        assert!(matches!(error, HomeError::Io { .. }));
    }
}
