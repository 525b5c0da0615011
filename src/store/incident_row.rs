//! Columns into incidents, and the list of those that somebody may see.

use crate::failed;
use crate::incident::{corrupt, step};
use crate::row::{get, time, time_opt, truth, word, word_opt};
use domain::event::alarm::{AlarmKind, Point};
use domain::incident::repository::Filter;
use domain::incident::{Act, Answer, Due, Incident, LogRow, Reached, State, Timer, TimerKind, Timings};
use domain::repository::{Page, Result};
use domain::role::Role;
use domain::site::SiteKind;
use domain::{GroupId, HouseholdId, IncidentId, PersonId, PlaceId, SiteId, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// Incidents with the time limit that runs. `rest` is made of constants and of numbers of parameters.
pub(crate) fn select(rest: &str) -> SqlStr {
    let sql = format!(
        "select i.*, t.kind as timer_kind, t.due_at as timer_due, t.version as timer_version
         from incidents i left join incident_timers t on t.incident_id = i.id {rest}"
    );
    AssertSqlSafe(sql).into_sql_str()
}

pub(crate) fn incident(row: &AnyRow) -> Result<Incident> {
    let timer = match word_opt(row, "timer_kind", TimerKind::from_word)? {
        None => None,
        Some(kind) => {
            let version: Option<i64> = get(row, "timer_version")?;
            let due = time_opt(row, "timer_due")?;
            let (Some(due), Some(version)) = (due, version) else {
                return Err(corrupt("a time limit has no end"));
            };
            Some(Timer { kind, due, version })
        }
    };
    Ok(Incident {
        id: word(row, "id", IncidentId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        place_id: word(row, "place_id", PlaceId::parse)?,
        point: word(row, "point", Point::from_word)?,
        kind: word(row, "kind", AlarmKind::from_word)?,
        drill: truth(row, "drill")?,
        late: truth(row, "late")?,
        group: word_opt(row, "group_id", GroupId::parse)?,
        reporter: word_opt(row, "reporter", PersonId::parse)?,
        state: word(row, "state", State::from_word)?,
        version: get(row, "version")?,
        step: step(row)?,
        assignee: word_opt(row, "assignee", PersonId::parse)?,
        cancel_asked: truth(row, "cancel_asked")?,
        reference: get(row, "reference")?,
        alarms: get(row, "alarms")?,
        opened_at: time(row, "opened_at")?,
        last_alarm_at: time(row, "last_alarm_at")?,
        closed_at: time_opt(row, "closed_at")?,
        timer,
    })
}

pub(crate) fn log_row(row: &AnyRow) -> Result<LogRow> {
    Ok(LogRow {
        version: get(row, "version")?,
        at: time(row, "at")?,
        actor: word_opt(row, "actor", PersonId::parse)?,
        role: word_opt(row, "role", Role::from_word)?,
        act: word(row, "act", Act::from_word)?,
        from: word_opt(row, "from_state", State::from_word)?,
        to: word(row, "to_state", State::from_word)?,
        step: step(row)?,
        assignee: word_opt(row, "assignee", PersonId::parse)?,
        note: get(row, "note")?,
    })
}

pub(crate) fn reached(row: &AnyRow) -> Result<Reached> {
    Ok(Reached {
        household_id: word(row, "household_id", HouseholdId::parse)?,
        unit: get(row, "label")?,
        answer: word(row, "answer", Answer::from_word)?,
        asked_at: time(row, "asked_at")?,
        answered_at: time_opt(row, "answered_at")?,
    })
}

pub(crate) fn due(row: &AnyRow) -> Result<Due> {
    let kind = word(row, "kind", TimerKind::from_word)?;
    let timings = Timings::of(word(row, "site_kind", SiteKind::from_word)?);
    Ok(Due {
        incident_id: word(row, "incident_id", IncidentId::parse)?,
        timer: Timer { kind, due: Timestamp(get(row, "due_at")?), version: get(row, "version")? },
        span: timings.span(kind),
    })
}

/// `$n, $n+1, …` for these texts, which are put behind those that are bound already.
fn marks<'a>(bound: &mut Vec<&'a str>, texts: impl Iterator<Item = &'a str>) -> String {
    let first = bound.len() + 1;
    bound.extend(texts);
    let marks: Vec<String> = (first..=bound.len()).map(|n| format!("${n}")).collect();
    marks.join(", ")
}

/// The newest first, each with its place in the order.
pub(crate) async fn filtered(pool: &AnyPool, filter: &Filter, page: &Page) -> Result<Vec<AnyRow>> {
    let mut bound: Vec<&str> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    if !filter.places.is_empty() {
        let places = marks(&mut bound, filter.places.iter().map(PlaceId::as_str));
        seen.push(format!("i.place_id in ({places})"));
    }
    // A silent alarm shows on no resident's phone.
    let loud = format!("i.kind <> '{}'", AlarmKind::Duress.word());
    if !filter.households.is_empty() {
        let homes = marks(&mut bound, filter.households.iter().map(HouseholdId::as_str));
        seen.push(format!("(i.household_id in ({homes}) and {loud})"));
        seen.push(format!(
            "(i.closed_at is null and {loud} and i.id in
                (select incident_id from incident_reach where household_id in ({homes})))"
        ));
    }
    if let Some(reporter) = &filter.reporter {
        let reporter = marks(&mut bound, [reporter.as_str()].into_iter());
        seen.push(format!("(i.reporter = {reporter} and {loud})"));
    }
    if seen.is_empty() {
        return Ok(Vec::new());
    }
    let mut rest = format!("where i.seq < {} and ({})", page.after.unwrap_or(i64::MAX), seen.join(" or "));
    if let Some(site) = &filter.site {
        let site = marks(&mut bound, [site.as_str()].into_iter());
        rest.push_str(&format!(" and i.site_id = {site}"));
    }
    if !filter.states.is_empty() {
        let states = marks(&mut bound, filter.states.iter().map(|state| state.word()));
        rest.push_str(&format!(" and i.state in ({states})"));
    }
    if let Some(drill) = filter.drill {
        rest.push_str(&format!(" and i.drill = {}", i64::from(drill)));
    }
    rest.push_str(&format!(" order by i.seq desc limit {}", page.limit));
    let mut query = sqlx::query(select(&rest));
    for text in bound {
        query = query.bind(text);
    }
    query.fetch_all(pool).await.map_err(failed)
}
