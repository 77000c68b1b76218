//! `muniment serve`.

use crate::app::context::Context;
use crate::app::lifecycle::{Ending, Signals};
use crate::app::service::Service;
use crate::app::{AppError, Verdict, descriptors, runtime};
use crate::settings::Settings;
use crate::telemetry;

pub(in crate::app) fn run(settings: Settings) -> Result<Verdict, AppError> {
    telemetry::start(&settings.log.filter, settings.log.format)?;
    descriptors::raise();
    let context = Context::open(settings)?;
    runtime::block_on(async {
        let mut signals = Signals::listen().map_err(AppError::System)?;
        let service = tokio::select! {
            started = Service::start(&context) => started?,
            () = signals.next() => return Err(AppError::Interrupted),
        };
        tracing::info!(proxy = %service.proxy, api = %service.api, "ready");
        let alarm = service.alarm.clone();
        let ending = tokio::select! {
            () = signals.next() => Ending::Asked,
            () = alarm.raised() => Ending::Fatal,
        };
        if ending == Ending::Asked {
            tracing::info!("draining; another signal stops at once");
        }
        tokio::select! {
            () = service.stop() => {}
            () = signals.next() => {
                tracing::warn!("stopped by a second signal; what was under way is closed at the next start");
                return Err(AppError::Interrupted);
            }
        }
        match ending {
            Ending::Asked => Ok(Verdict::Done),
            Ending::Fatal => Err(AppError::Fatal),
        }
    })
}
