//! The id under which this data directory counts its entries: made once, kept in a file.

use std::io::{self, Write as _};
use std::path::Path;

use super::ArchiveError;
use crate::record::{Ids, SourceId};

/// Reads the id, or makes one. Durable before it is used: a source that comes back with another id leaves a count that ends
/// without a word.
pub(super) fn load_or_make(data_dir: &Path, ids: &dyn Ids) -> Result<SourceId, ArchiveError> {
    let path = data_dir.join("source");
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_source| {
            ArchiveError::io(&path)(io::Error::new(io::ErrorKind::InvalidData, "this file should hold one uuid"))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let source = SourceId::new(ids.fresh());
            let io = |error| ArchiveError::io(&path)(error);
            std::fs::create_dir_all(data_dir).map_err(io)?;
            let mut file = tempfile::NamedTempFile::new_in(data_dir).map_err(io)?;
            writeln!(file, "{source}").and_then(|()| file.as_file().sync_all()).map_err(io)?;
            // Of two processes that start at once, both must end up with the same id.
            match file.persist_noclobber(&path) {
                Ok(_file) => {}
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    return load_or_make(data_dir, ids);
                }
                Err(error) => return Err(io(error.error)),
            }
            std::fs::File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(io)?;
            Ok(source)
        }
        Err(error) => Err(ArchiveError::io(path)(error)),
    }
}
