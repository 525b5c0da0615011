//! Alerts that are fetched from a Hikvision device (ISAPI `alertStream`): the same ones that
//! others send to us. The connection is the root package's.

use super::{Counters, hikvision, keep};
use crate::{App, Problem};
use domain::device::Device;

/// The largest alert, in bytes.
pub use super::hikvision::ALERT;

/// What stands between the parts of an answer of this type; nothing if it has no parts.
#[must_use]
pub fn boundary(kind: &str) -> Option<String> {
    let multipart = kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    hikvision::boundary(kind).filter(|_| multipart)
}

/// Keeps what one alert tells. What cannot be read is an error; what means nothing here is
/// counted and dropped, and a heartbeat is neither.
pub async fn receive(app: &App, device: &Device, bytes: &[u8]) -> Result<(), Problem> {
    let alert = hikvision::alert(bytes).inspect_err(|problem| {
        let too_large = matches!(problem, Problem::TooLarge(_));
        Counters::add(if too_large { &app.intake.too_large } else { &app.intake.malformed }, 1);
    })?;
    if alert.is_heartbeat() {
        return Ok(());
    }
    let mut levels = app.inputs.of(&device.id);
    match alert.told(device, &mut levels, app.now()) {
        // The device does not tell it again: what is too much is counted and gone.
        Some(told) => {
            keep(app, device, told).await?;
            app.inputs.learn(&device.id, levels);
            Ok(())
        }
        None => {
            Counters::add(&app.intake.unknown, 1);
            Ok(())
        }
    }
}
