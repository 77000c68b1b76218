//! The witness's key: made once, with the state that belongs to it, and readable by its owner only.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::state::State;
use super::{WitnessError, WitnessSettings};
use crate::capture::Entropy;
use crate::ledger::CosigningKey;

fn key_path(settings: &WitnessSettings) -> PathBuf {
    settings.state.join("witness.key")
}

/// Makes key and state, where neither is there. A key without its state is refused: it may have cosigned.
///
/// # Errors
/// See [`WitnessError`].
pub fn init(settings: &WitnessSettings, entropy: &dyn Entropy) -> Result<CosigningKey, WitnessError> {
    let dir = &settings.state;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(WitnessError::io(dir))?;
    let path = key_path(settings);
    if path.exists() || State::is_there(dir) {
        let key = read_key(settings)?;
        drop(State::open(dir, &key)?);
        return Ok(key);
    }
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(seed.as_mut_slice())?;
    let key = CosigningKey::new(&settings.name, &seed);
    let key = key.map_err(|source| WitnessError::NotAKey { path: path.clone(), source })?;
    // The state first: a crash right here leaves a state of a key that nobody has, and the next attempt says so.
    drop(State::create(dir, &key)?);
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(WitnessError::io(&path))?;
    let text = Zeroizing::new(format!("{}\n", key.secret_text().as_str()));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let synced = written.and_then(|()| File::open(dir)).and_then(|dir| dir.sync_all());
    synced.map_err(WitnessError::io(&path))?;
    Ok(key)
}

/// Reads the key.
///
/// # Errors
/// When it is missing, exposed, no key, or of another name than the settings say.
pub fn read_key(settings: &WitnessSettings) -> Result<CosigningKey, WitnessError> {
    let path = key_path(settings);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let problem = match State::is_there(&settings.state) {
                true => {
                    "there is a state and no key: restore the key; or, if `init` was broken off, remove witness.state"
                }
                false => "there is no key yet: run `muniment witness init`",
            };
            let problem = problem.to_owned();
            return Err(WitnessError::Settings { path, problem });
        }
        Err(error) => return Err(WitnessError::io(&path)(error)),
    };
    if file.metadata().map_err(WitnessError::io(&path))?.mode() & 0o077 != 0 {
        return Err(WitnessError::Exposed { path });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(4096).read_to_string(&mut text).map_err(WitnessError::io(&path))?;
    let key = CosigningKey::from_secret_text(text.trim());
    let key = key.map_err(|source| WitnessError::NotAKey { path: path.clone(), source })?;
    let kept = key.verifying_key().name();
    if kept != settings.name {
        return Err(WitnessError::OtherName { kept: kept.to_owned(), asked: settings.name.clone() });
    }
    Ok(key)
}

/// Writes settings to begin with, unless there are some.
///
/// # Errors
/// When they cannot be written.
pub fn begin(path: &Path, name: &str) -> Result<(), WitnessError> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(WitnessError::io(dir))?;
    }
    let file = File::options().write(true).create_new(true).open(path);
    match file {
        Ok(mut file) => {
            let written = file.write_all(super::template(name).as_bytes()).and_then(|()| file.sync_all());
            written.map_err(WitnessError::io(path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(WitnessError::io(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::SystemEntropy;

    #[test]
    fn a_key_is_made_once_and_not_used_without_its_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness.toml");
        begin(&path, "w.example/w1").unwrap();
        begin(&path, "other.example").unwrap();
        let settings = WitnessSettings::load(&path).unwrap();
        assert!(read_key(&settings).is_err());
        let made = init(&settings, &SystemEntropy).unwrap();
        assert_eq!(made.verifying_key().name(), "w.example/w1");
        assert_eq!(init(&settings, &SystemEntropy).unwrap().verifying_key(), made.verifying_key());
        let other = WitnessSettings { name: "other".into(), ..settings.clone() };
        assert!(matches!(read_key(&other), Err(WitnessError::OtherName { .. })));
        assert_eq!(std::fs::metadata(key_path(&settings)).unwrap().mode() & 0o777, 0o600);
        std::fs::remove_file(dir.path().join("witness.state")).unwrap();
        assert!(matches!(init(&settings, &SystemEntropy), Err(WitnessError::Lost { .. })));
    }
}
