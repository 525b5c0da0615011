//! What is wrong with the house itself, for those who look after it: as a list, and as an
//! event on their pages. All of it is in memory, so that it can be said while nothing can
//! be written.

use crate::access::Who;
use crate::schema::{List, word};
use crate::{App, Problem};
use axum::extract::State;
use domain::Timestamp;
use domain::health::{Condition, Trouble};
use serde::Serialize;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// What is wrong now. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(watch::Sender<BTreeMap<Trouble, Condition>>);

impl Health {
    /// Says that something is wrong, or with nothing that it is not any more. It is told
    /// when it begins, when it ends, and when what is to be done about it changes.
    pub fn set(&self, trouble: Trouble, detail: Option<String>, now: Timestamp) {
        self.0.send_if_modified(|troubles| match detail {
            None => troubles.remove(&trouble).is_some(),
            Some(detail) => {
                let since = troubles.get(&trouble).map_or(now, |condition| condition.since);
                let condition = Condition { since, detail };
                troubles.insert(trouble, condition.clone()) != Some(condition)
            }
        });
    }

    /// What is wrong.
    #[must_use]
    pub fn troubles(&self) -> BTreeMap<Trouble, Condition> {
        self.0.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeMap<Trouble, Condition>> {
        self.0.subscribe()
    }
}

/// Something that is wrong.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TroubleView {
    #[schema(schema_with = word::<Trouble>)]
    what: Trouble,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// What is wrong and what to do.
    detail: String,
}

/// What is wrong with the gateway: its disk, its clock. Empty if nothing is.
#[utoipa::path(get, path = "/api/v1/health", tag = "registry", operation_id = "health",
    responses((status = 200, body = List<TroubleView>)))]
pub(crate) async fn health(State(app): State<App>, _: Who) -> Result<axum::Json<List<TroubleView>>, Problem> {
    let view = |(what, Condition { since, detail })| TroubleView { what, since, detail };
    Ok(axum::Json(List::whole(app.parts.health.troubles().into_iter().map(view).collect())))
}
