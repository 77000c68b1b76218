//! Where the Postgres programs are on this machine. Nothing is ever downloaded.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::EmbeddedError;

/// Oldest major version that has all we use.
pub const LEAST: u32 = 14;

/// One installed Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    bindir: PathBuf,
    major: u32,
}

impl Programs {
    /// Path of one program.
    #[must_use]
    pub fn path(&self, program: &str) -> PathBuf {
        self.bindir.join(program)
    }

    /// Major version.
    #[must_use]
    pub const fn major(&self) -> u32 {
        self.major
    }

    /// Looks at one directory.
    fn at(bindir: &Path) -> Option<Self> {
        // Both are needed: some packages carry the client programs alone.
        let server = bindir.join("postgres");
        if !bindir.join("initdb").is_file() || !server.is_file() {
            return None;
        }
        let said = Command::new(server).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        Some(Self { bindir: bindir.to_owned(), major: major(&String::from_utf8_lossy(&said.stdout))? })
    }

    /// Finds the Postgres to use: the named directory if one is named; else `pg_config`, `PATH` and the usual places, the
    /// version that made `data` first, else the newest.
    ///
    /// # Errors
    /// When there is none, when it is too old, or when `data` was made by a version that is not here.
    pub fn find(named: Option<&Path>, path: Option<&OsStr>, data: &Path) -> Result<Self, EmbeddedError> {
        let places = named.map_or_else(|| usual_places(path), |dir| vec![dir.to_owned()]);
        let mut found: Vec<Self> = places.iter().filter_map(|dir| Self::at(dir)).collect();
        found.sort_by_key(|programs| std::cmp::Reverse(programs.major));
        let Some(newest) = found.first() else {
            let looked: Vec<_> = places.iter().map(|dir| dir.display().to_string()).collect();
            return Err(EmbeddedError::NotInstalled { looked: looked.join(", ") });
        };
        if let Some(made_by) = made_by(data) {
            let versions: Vec<_> = found.iter().map(|programs| programs.major.to_string()).collect();
            return found.into_iter().find(|programs| programs.major == made_by).ok_or_else(|| {
                EmbeddedError::OtherVersion { dir: data.to_owned(), made_by, found: versions.join(", ") }
            });
        }
        if newest.major < LEAST {
            return Err(EmbeddedError::TooOld { found: newest.major, bindir: newest.bindir.clone(), least: LEAST });
        }
        Ok(newest.clone())
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` → 15; also `17devel`, `18beta1`.
fn major(said: &str) -> Option<u32> {
    let version = said.split_once("(PostgreSQL) ")?.1;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The version that made a data directory, if there is one.
fn made_by(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

fn usual_places(path: Option<&OsStr>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let on_path: Vec<PathBuf> = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    if let Some(pg_config) = on_path.iter().map(|dir| dir.join("pg_config")).find(|program| program.is_file())
        && let Ok(said) = Command::new(pg_config).arg("--bindir").stdin(Stdio::null()).output()
    {
        places.push(PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    }
    places.extend(on_path);
    // Debian and Ubuntu; Red Hat's own packages; Homebrew on both kinds of Mac; Postgres.app.
    for (root, below) in [
        ("/usr/lib/postgresql", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ] {
        for dir in std::fs::read_dir(root).into_iter().flatten().flatten() {
            let name = dir.file_name();
            if root.ends_with("/opt") && !name.to_string_lossy().starts_with("postgresql") {
                continue;
            }
            places.push(dir.path().join(below));
        }
    }
    for dir in std::fs::read_dir("/usr").into_iter().flatten().flatten() {
        if dir.file_name().to_string_lossy().starts_with("pgsql-") {
            places.push(dir.path().join("bin"));
        }
    }
    places.retain(|place| place.is_dir());
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_server_says() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn a_machine_without_postgres_is_told_what_to_install() {
        let empty = tempfile::tempdir().unwrap();
        let error = Programs::find(Some(empty.path()), None, empty.path()).unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql"), "{error}");
    }

    #[test]
    fn a_data_directory_of_another_version_is_named_with_both_versions() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("PG_VERSION"), "9\n").unwrap();
        let error = Programs::find(None, std::env::var_os("PATH").as_deref(), data.path()).unwrap_err();
        assert!(matches!(error, EmbeddedError::OtherVersion { made_by: 9, .. }), "{error}");
    }
}
