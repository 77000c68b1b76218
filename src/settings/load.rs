//! From a path to [`Settings`]: reads the file, words the errors, finds their lines.

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::Place;
use super::file::File;
use super::{Environment, Settings, SettingsError};

/// A settings file is a few hundred lines; anything of this size is not one.
const LARGEST: u64 = 1 << 20;

/// Loads settings from a file, or the defaults where there is none, with secrets from the environment.
///
/// # Errors
/// When the file cannot be read, or says something that cannot be meant.
pub fn load(path: Option<&Path>, environment: &dyn Environment) -> Result<Settings, SettingsError> {
    let Some(path) = path else {
        return Settings::new(&Typed { file: File::default(), path: PathBuf::new(), text: String::new() }, environment);
    };
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LARGEST).read_to_string(&mut text).map_err(unreadable)?;
    Settings::new(&Typed::parse(path, text)?, environment)
}

/// As if this text stood in a file.
#[cfg(any(test, fuzzing))]
pub(super) fn from_text(text: String, environment: &dyn Environment) -> Result<Settings, SettingsError> {
    Settings::new(&Typed::parse(Path::new("muniment.toml"), text)?, environment)
}

/// A file with the text it came from, so that later checks can name lines too.
pub(super) struct Typed {
    pub(super) file: File,
    path: PathBuf,
    text: String,
}

impl Typed {
    fn parse(path: &Path, text: String) -> Result<Self, SettingsError> {
        match toml::from_str::<File>(&text) {
            Ok(mut file) => {
                make_absolute(&mut file, path)
                    .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
                Ok(Self { file, path: path.to_owned(), text })
            }
            Err(error) => {
                let place = place(path, &text, narrow(&text, error.span().unwrap_or(0..0), error.message()));
                Err(SettingsError::Wrong { place, wrong: reword(error.message()) })
            }
        }
    }

    /// The error that the value of this key is wrong.
    pub(super) fn wrong(&self, key: &[&str], wrong: impl Into<String>) -> SettingsError {
        let span = find(&self.text, key).unwrap_or(0..0);
        let wrong = format!("`{}`: {}", key.join("."), wrong.into());
        SettingsError::Wrong { place: place(&self.path, &self.text, span), wrong }
    }
}

/// A relative path in the file means one beside the file, whatever directory the program runs in.
fn make_absolute(file: &mut File, settings: &Path) -> std::io::Result<()> {
    let settings = std::path::absolute(settings)?;
    let Some(base) = settings.parent() else { return Ok(()) };
    let tls = file.proxy.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
    let api = file.api.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
    let single = [
        &mut file.data_dir,
        &mut file.recognition.rules,
        &mut file.archive.blobs,
        &mut file.archive.postgres_bindir,
        &mut file.keys.master_key_file,
        &mut file.witnessing.policy,
        &mut file.retention.schedule,
    ];
    let paths = tls.chain(api).chain(single.into_iter().flatten()).chain(&mut file.upstream.extra_roots);
    for path in paths {
        *path = base.join(&*path);
    }
    Ok(())
}

/// The parser points at a whole array where one of its values is wrong; the message quotes the value, so it can be found.
fn narrow(text: &str, span: Range<usize>, message: &str) -> Range<usize> {
    let value = message.strip_prefix('`').and_then(|rest| rest.split('`').next()).unwrap_or_default();
    let within = text.get(span.clone()).unwrap_or_default();
    match within.find(&format!("\"{value}\"")) {
        Some(at) if within.starts_with('[') => span.start + at..span.start + at + value.len() + 2,
        _ => span,
    }
}

fn place(path: &Path, text: &str, span: Range<usize>) -> Place {
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
    Place { file: path.to_owned(), line, column }
}

/// Where a key's value stands. Parsed again, which is fine: this runs once, on the way to an error.
fn find(text: &str, key: &[&str]) -> Option<Range<usize>> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let (last, sections) = key.split_last()?;
    for section in sections {
        let (_, value) = table.iter().find(|(name, _)| name.get_ref() == section)?;
        table = value.get_ref().as_table()?;
    }
    let (name, _) = table.iter().find(|(name, _)| name.get_ref() == last)?;
    Some(name.span())
}

/// Says "did you mean" where serde only lists what it knows.
fn reword(message: &str) -> String {
    if message == "invalid socket address syntax" {
        return "not an address with a port; write 127.0.0.1:8470 or [::1]:8470".to_owned();
    }
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.trim_end().replace('\n', "; ");
    };
    // serde writes: unknown field `x`, expected one of `a`, `b`
    let unknown = rest.split('`').next().unwrap_or_default();
    let known: Vec<&str> = rest.split('`').skip(2).step_by(2).collect();
    match nearest(unknown, &known) {
        Some(near) => format!("unknown key `{unknown}`; did you mean `{near}`? known here: {}", known.join(", ")),
        None => format!("unknown key `{unknown}`; known here: {}", known.join(", ")),
    }
}

fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|name| (strsim::jaro_winkler(unknown, name), *name));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}
