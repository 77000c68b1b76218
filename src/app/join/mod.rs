//! Where two parts meet that do not know each other: each file puts one part behind the trait that another asks for.

mod blobs;
mod devices;
mod recall;

pub(super) use blobs::ArchiveBlobs;
pub(super) use devices::ArchiveDevices;
pub(super) use recall::ArchiveRecall;
