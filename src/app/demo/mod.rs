//! `muniment demo`: the whole product on loopback, with a small social network and scripted advisors.

pub mod certificate;
pub mod device;
pub mod network;
mod officer;
mod stage;
mod statuses;
mod story;
mod tamper;

use std::path::Path;

use super::lifecycle::Signals;
use super::{AppError, Output, Verdict, runtime};
use stage::Stage;

/// Why the demo came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The network's certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] certificate::CertificateError),
    /// A device could not do what the script says.
    #[error(transparent)]
    Device(#[from] device::DeviceError),
    /// The officer got no answer.
    #[error(transparent)]
    Officer(#[from] officer::OfficerError),
    /// The trust of a device could not be set up.
    #[error("a device's trust cannot be set up")]
    Trust(#[from] rustls::Error),
    /// A file or directory could not be made.
    #[error("the demo's directory cannot be used")]
    Io(#[from] std::io::Error),
    /// The network or the API answered something else than the script expects.
    #[error("{0}")]
    Unexpected(String),
    /// A copy could not be tampered with.
    #[error("the copy cannot be changed")]
    Database(#[from] sqlx::Error),
}

pub(super) fn run(keep: Option<&Path>, output: Output) -> Result<Verdict, AppError> {
    runtime::block_on(async {
        let mut signals = Signals::listen().map_err(AppError::System)?;
        let shown = tokio::select! {
            shown = show(keep, output) => shown?,
            () = signals.next() => return Err(AppError::Interrupted),
        };
        let Some(stage) = shown else { return Ok(Verdict::Done) };
        output.note("\nStill serving; Ctrl-C ends it and leaves the data there.");
        signals.next().await;
        stage.end().await;
        Ok(Verdict::Done)
    })
}

/// Plays everything. What is kept goes on being served.
async fn show(keep: Option<&Path>, output: Output) -> Result<Option<Stage>, AppError> {
    let mut stage = Stage::set(keep).await?;
    let played = async {
        let story = story::play(&stage, output).await?;
        let caught = tamper::show(&mut stage, &story, output).await?;
        output.print(&story::Summary::of(&story, &caught))
    };
    let played = played.await;
    if keep.is_some() && played.is_ok() {
        stage.resume().await?;
        return Ok(Some(stage));
    }
    stage.end().await;
    played.map(|()| None)
}
