//! Who is told of a call.

use crate::incident::{Call, Incident};
use crate::role::{Grant, Role};
use crate::{PersonId, PlaceId, Timestamp};
use std::collections::BTreeSet;

/// Those whose work it is to answer a call. `grants` are the roles that are held for the
/// site or for all, `path` is the incident's place, then upwards, `home` is whoever lives
/// where it is.
///
/// A silent alarm goes to those on duty only, and to nobody who lives there: whoever
/// forces somebody may be looking at that telephone. Where nobody is on duty it goes to
/// those who are called, because an alarm that reaches nobody helps nobody.
#[must_use]
pub fn staff(
    incident: &Incident,
    call: &Call,
    grants: &[Grant],
    path: &[PlaceId],
    home: &BTreeSet<PersonId>,
    now: Timestamp,
) -> BTreeSet<PersonId> {
    let holders = |is_called: &dyn Fn(Role) -> bool| -> BTreeSet<PersonId> {
        let held =
            grants.iter().filter(|grant| grant.in_force(now) && grant.reaches(&incident.site_id, path));
        held.filter(|grant| is_called(grant.role)).map(|grant| grant.person_id.clone()).collect()
    };
    let mut people = match &call.assignee {
        Some(person) => BTreeSet::from([person.clone()]),
        None => {
            let on_duty = || Some(holders(&Role::is_on_duty)).filter(|people| !people.is_empty());
            let called = || holders(&|role| call.step.roles().contains(&role));
            incident.kind.is_silent().then(on_duty).flatten().unwrap_or_else(called)
        }
    };
    if incident.kind.is_silent() {
        people.retain(|person| !home.contains(person));
    }
    // They know; and who cannot come has said so.
    people.retain(|person| incident.reporter.as_ref() != Some(person) && !call.declined.contains(person));
    people
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::alarm::{Alarm, AlarmKind, Point};
    use crate::incident::{Ask, Step, Timings};
    use crate::role::Zone;
    use crate::site::SiteKind;
    use crate::{GrantId, IncidentId, SiteId, ZoneId};

    fn person(n: u8) -> PersonId {
        PersonId::from_random([n; 16])
    }

    fn site() -> SiteId {
        SiteId::from_random([2; 16])
    }

    fn place(n: u8) -> PlaceId {
        PlaceId::from_random([n; 16])
    }

    fn incident(kind: AlarmKind, reporter: Option<PersonId>) -> Incident {
        let alarm = Alarm {
            kind,
            site_id: site(),
            place_id: place(1),
            point: Point::Place(place(1)),
            drill: false,
            late: false,
            reporter,
            received_at: Timestamp(5),
        };
        let timings = Timings::of(SiteKind::Compound);
        Incident::open(IncidentId::from_random([1; 16]), &alarm, None, &timings).incident
    }

    fn grant(n: u8, role: Role) -> Grant {
        Grant {
            id: GrantId::from_random([n; 16]),
            person_id: person(n),
            role,
            site_id: Some(site()),
            zone: None,
            from: Timestamp(0),
            until: None,
        }
    }

    fn called(incident: &Incident, step: Step, grants: &[Grant], home: &[u8]) -> Vec<PersonId> {
        let call =
            Call { version: 1, ask: Ask::Take, step, assignee: None, declined: BTreeSet::new(), first: true };
        let home = home.iter().map(|n| person(*n)).collect();
        staff(incident, &call, grants, &[place(1), place(7)], &home, Timestamp(5)).into_iter().collect()
    }

    #[test]
    fn a_call_goes_to_the_step_of_the_chain_and_to_its_zone() {
        let zone = |n| Zone {
            id: ZoneId::from_random([n; 16]),
            site_id: site(),
            name: String::new(),
            places: [place(n)].into(),
            created_at: Timestamp(0),
        };
        let grants = [
            Grant { zone: Some(zone(7)), ..grant(1, Role::GridWorker1) },
            Grant { zone: Some(zone(8)), ..grant(2, Role::GridWorker1) },
            Grant { until: Some(Timestamp(5)), ..grant(3, Role::GridWorker1) },
            Grant { site_id: Some(SiteId::from_random([9; 16])), ..grant(4, Role::GridWorker1) },
            grant(5, Role::Patrol),
            Grant { site_id: None, ..grant(6, Role::Owner) },
            grant(7, Role::Auditor),
        ];
        let panic = incident(AlarmKind::Panic, None);
        assert_eq!(called(&panic, Step::GridWorker, &grants, &[]), [person(1)]);
        assert_eq!(called(&panic, Step::Patrol, &grants, &[]), [person(5)]);
        assert_eq!(called(&panic, Step::Decide, &grants, &[]), [person(6)]);
        assert_eq!(called(&panic, Step::BuildingLeader, &grants, &[]), []);
        assert_eq!(called(&incident(AlarmKind::Panic, Some(person(1))), Step::GridWorker, &grants, &[]), []);
    }

    #[test]
    fn duress_goes_to_those_on_duty_and_to_nobody_who_lives_there() {
        let grants = [grant(1, Role::GridWorker1), grant(2, Role::Patrol), grant(3, Role::DutyOperator)];
        let duress = incident(AlarmKind::Duress, None);
        assert_eq!(called(&duress, Step::GridWorker, &grants, &[]), [person(2), person(3)]);
        assert_eq!(called(&duress, Step::GridWorker, &grants, &[3]), [person(2)]);
        assert_eq!(
            called(&duress, Step::GridWorker, &grants[..1], &[]),
            [person(1)],
            "rather them than nobody"
        );
    }
}
