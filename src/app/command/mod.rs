//! One file a command.

pub(super) mod account;
pub(super) mod advisor;
pub(super) mod ca;
pub(super) mod check_config;
pub(super) mod checkpoint;
pub(super) mod device;
pub(super) mod dispose;
pub(super) mod export;
pub(super) mod hold;
pub(super) mod keys;
pub(super) mod matter;
pub(super) mod migrate;
pub(super) mod officer;
mod proof;
pub(super) mod rebuild;
pub(super) mod recognize_worker;
pub(super) mod retention;
pub(super) mod rules;
pub(super) mod serve;
pub(super) mod source;
mod table;
pub(super) mod verify;
mod visit;
pub(super) mod webhook;
pub(super) mod witness;

use crate::app::AppError;
use crate::archive::Slice;

/// Items asked for at once.
const AT_ONCE: u32 = 500;

/// Every item of a list, oldest first.
async fn every<T>(
    read: impl AsyncFn(Slice) -> Result<Vec<T>, AppError>,
    index: impl Fn(&T) -> u64,
) -> Result<Vec<T>, AppError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = read(Slice { after, newest_first: false, limit: AT_ONCE }).await?;
        after = page.last().map(&index);
        let last = page.len() < AT_ONCE as usize;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}

/// A name as people give one.
fn named(name: &str) -> Result<&str, AppError> {
    let name = name.trim();
    let sound = (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if sound { Ok(name) } else { Err(AppError::Name) }
}
