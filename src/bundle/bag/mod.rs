//! The bag that a bundle is: BagIt 1.0 (RFC 8493) in one zip, or unpacked.
//!
//! Invariant: the manifests name every file, in the order in which the zip holds them; a reader that goes through both at once has
//! seen everything, and holds no list. What the files mean is not known here.

mod line;
mod read;
mod write;
mod zip;
mod zip_read;

pub(super) use line::next_line;
pub(super) use read::{Bag, Wanted};
pub use read::{BagError, Source};
pub use write::BagWriteError;
pub(super) use write::{BagWriter, Files, Spool};
pub(super) use zip::stored;

/// The declaration, byte for byte.
pub(super) const DECLARATION: &[u8] = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
/// Its file.
pub(super) const BAGIT: &str = "bagit.txt";
/// What is said of the bag.
pub(super) const INFO: &str = "bag-info.txt";
/// Digests of the files in `data/`.
pub(super) const MANIFEST: &str = "manifest-sha256.txt";
/// Digests of all others but its own.
pub(super) const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";

/// Does the manifest name it, or the tag manifest?
pub(super) fn is_payload(path: &str) -> bool {
    path.starts_with("data/")
}
