//! Which user the private Postgres runs as: ourselves, or an unprivileged one when we are root (Postgres refuses root).

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::EmbeddedError;

/// The user to drop to; `None` when we are not root and simply run it ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The owner of an existing cluster first (it may have been made when another user was there), else `postgres`, else
    /// `nobody`.
    pub(super) fn choose(cluster: &Path) -> Result<Option<Self>, EmbeddedError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(existing) = std::fs::metadata(cluster)
            && existing.uid() != 0
        {
            let (uid, gid) = (existing.uid(), existing.gid());
            return Ok(Some(Self { name: uid.to_string(), uid, gid }));
        }
        ["postgres", "nobody"].into_iter().find_map(Self::named).map(Some).ok_or(EmbeddedError::NoUser)
    }

    /// Asks `id`, which knows every source of users this machine has, not just the file.
    fn named(name: &str) -> Option<Self> {
        let ask = |what: &str| -> Option<u32> {
            let said =
                Command::new("id").args([what, name]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
            String::from_utf8_lossy(&said.stdout).trim().parse().ok()
        };
        Some(Self { name: name.to_owned(), uid: ask("-u")?, gid: ask("-g")? }).filter(|account| account.uid != 0)
    }

    /// Gives a file or directory to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).map_err(EmbeddedError::io(path))
    }

    fn may_pass(&self, dir: &std::fs::Metadata) -> bool {
        let mode = dir.permissions().mode();
        let bit = match (dir.uid() == self.uid, dir.gid() == self.gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        mode & bit != 0
    }

    /// Makes sure this user can walk down to `dir`. The directory above it is muniment's own data directory, where passing
    /// through (not listing, not reading) may be granted; anything higher belongs to somebody else and is only reported.
    pub(super) fn reach(&self, dir: &Path) -> Result<(), EmbeddedError> {
        let data_dir = dir.parent().unwrap_or(dir);
        for (place, ours) in
            [(dir, true), (data_dir, true)].into_iter().chain(data_dir.ancestors().skip(1).map(|above| (above, false)))
        {
            let metadata = std::fs::metadata(place).map_err(EmbeddedError::io(place))?;
            if self.may_pass(&metadata) {
                continue;
            }
            if !ours || metadata.uid() != 0 {
                return Err(EmbeddedError::OutOfReach { user: self.name.clone(), dir: place.to_owned() });
            }
            let mode = std::fs::Permissions::from_mode(metadata.permissions().mode() | 0o011);
            std::fs::set_permissions(place, mode).map_err(EmbeddedError::io(place))?;
        }
        Ok(())
    }
}
