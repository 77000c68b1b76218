//! The tokio runtime, made once by the command that needs one.

use std::time::Duration;

use super::AppError;

/// What is still blocking after this is cut off.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Runs a command's future to its end.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, AppError>>) -> Result<T, AppError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(AppError::System)?;
    let ended = runtime.block_on(future);
    runtime.shutdown_timeout(LAST_PATIENCE);
    ended
}
