//! Whether an incident calls whoever looks at it: their page rings for what their telephone
//! rings for.

use crate::access::Who;
use crate::{App, Problem};
use domain::incident::{Call, Incident, LogRow, Sight, State, Step, home};
use domain::message::receivers;
use domain::repository::{Error, Result};
use domain::role::Grant;
use domain::{PersonId, PlaceId, SiteId};
use std::collections::HashMap;

/// Who can be called at the sites that were asked about: for a list it is read once.
#[derive(Default)]
pub(crate) struct Roster(HashMap<SiteId, Vec<Grant>>);

impl Roster {
    /// Whether `who`, who sees the incident so, is called now. `path` is its place, then upwards;
    /// `log` is all of its log, which is read if it is not given.
    ///
    /// What cannot be read calls everybody on duty: no telephone rings for it.
    pub(crate) async fn calls(
        &mut self,
        app: &App,
        who: &Who,
        incident: &Incident,
        path: &[PlaceId],
        log: Option<&[LogRow]>,
        sight: Sight,
    ) -> std::result::Result<bool, Problem> {
        let Sight::Staff { hand, .. } = sight else { return Ok(false) };
        let is_me = |person: &Option<PersonId>| person.as_ref() == Some(&who.person.id);
        // Whoever is on the way is late and knows; others are called in addition.
        let goes = incident.state == State::Accepted && is_me(&incident.assignee);
        // Of what is closed the station may be reminded, and nobody else.
        let asks = incident.state.is_handled()
            || (incident.state == State::Closed && incident.step == Step::Station);
        if goes || is_me(&incident.reporter) || !asks {
            return Ok(false);
        }
        match self.asks(app, &who.person.id, incident, path, log).await {
            Err(Error::Corrupt(_)) => Ok(hand.is_some()),
            answer => Ok(answer?),
        }
    }

    async fn asks(
        &mut self,
        app: &App,
        me: &PersonId,
        incident: &Incident,
        path: &[PlaceId],
        log: Option<&[LogRow]>,
    ) -> Result<bool> {
        let repository = app.repository();
        let calls = match log {
            Some(log) => incident.calls(log),
            None => incident.calls(&repository.incident_log(&incident.id).await?),
        };
        if calls.is_empty() {
            return Ok(false);
        }
        let home = home(repository, incident, app.now()).await?;
        let grants = self.serving(app, &incident.site_id).await?;
        let called =
            |call: &Call| receivers::staff(incident, call, grants, path, &home, app.now()).contains(me);
        Ok(calls.iter().any(called))
    }

    async fn serving(&mut self, app: &App, site: &SiteId) -> Result<&[Grant]> {
        if !self.0.contains_key(site) {
            let grants = app.repository().serving(site).await?;
            self.0.insert(site.clone(), grants);
        }
        Ok(self.0.get(site).map_or(&[], Vec::as_slice))
    }
}
