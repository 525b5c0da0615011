//! Alarms of devices in homes: they are the household's, as if somebody of it had pressed.

use crate::row::word;
use crate::{failed, group};
use domain::event::Raises;
use domain::event::alarm::Point;
use domain::repository::{Error, Result};
use domain::{HouseholdId, PlaceId};
use sqlx::AnyConnection;
use std::collections::BTreeSet;
use tracing::error;

/// The household in whose home the part or the device is that raises this, with its entrance;
/// nothing if it is in no home, or nobody lives there any more.
async fn home(connection: &mut AnyConnection, raises: &Raises) -> Result<Option<(HouseholdId, PlaceId)>> {
    let Point::Device { id, part } = &raises.alarm.point else { return Ok(None) };
    let row = sqlx::query(
        "select h.id, u.entrance_id from devices d
         left join device_parts p on p.device_id = d.id and p.part = $2
         join households h on h.id = coalesce(p.household_id, d.household_id)
         join units u on u.id = h.unit_id
         where d.id = $1 and u.site_id = $3 and h.from_at <= $4 and (h.until_at is null or h.until_at > $4)",
    )
    .bind(id.as_str())
    .bind(part.as_deref().unwrap_or_default())
    .bind(raises.alarm.site_id.as_str())
    .bind(raises.alarm.received_at.0)
    .fetch_optional(&mut *connection)
    .await;
    let Some(row) = row.map_err(failed)? else { return Ok(None) };
    Ok(Some((word(&row, "id", HouseholdId::parse)?, word(&row, "entrance_id", PlaceId::parse)?)))
}

/// The alarm as its household's, if it is one's, and the households that it goes to. What cannot be
/// read about a home keeps no alarm from being heard: it is the device's then.
pub(crate) async fn at_home(
    connection: &mut AnyConnection,
    raises: &Raises,
) -> Result<(Raises, BTreeSet<HouseholdId>)> {
    let (mut raises, nobody) = (raises.clone(), BTreeSet::new());
    let found = match home(connection, &raises).await {
        Err(Error::Corrupt(why)) => {
            error!(why, "whose home a device is in cannot be read; its alarm is nobody's");
            None
        }
        found => found?,
    };
    let Some((household, entrance)) = found else { return Ok((raises, nobody)) };
    let reach = match group::reach(connection, &household, raises.alarm.received_at).await {
        // Whoever forces somebody must not learn it from a neighbour.
        Ok(_) if raises.alarm.kind.is_silent() => nobody,
        Ok(reach) => reach,
        Err(Error::Corrupt(why)) => {
            error!(%household, why, "the groups of a household cannot be read; its neighbours are not called");
            nobody
        }
        Err(error) => return Err(error),
    };
    let point = Point::Household(household);
    (raises.alarm.point, raises.opened.incident.point) = (point.clone(), point);
    (raises.alarm.place_id, raises.opened.incident.place_id) = (entrance.clone(), entrance);
    Ok((raises, reach))
}
