//! Who is told of a call.

use crate::incident::{Call, Incident};
use crate::role::Grant;
use crate::{PersonId, PlaceId, Timestamp};
use std::collections::BTreeSet;
use std::iter;

/// Those whose work it is to answer a call. `grants` are the roles that are held for the
/// site or for all by people whose accounts are not switched off, `path` is the incident's
/// place, then upwards, `home` is whoever lives where it is.
///
/// The first of these in which there is anybody: whoever is at the step of the chain; those on
/// duty; whoever comes later in the chain, at its end owners and administrators. So a step that
/// nobody holds costs no time, and an alarm reaches somebody as long as there is anybody.
///
/// A silent alarm goes to those on duty first, and to nobody who lives there: whoever forces
/// somebody may be looking at that telephone. That holds also if the only one on duty lives
/// there: help that comes later, from whoever is next, beats a telephone that gives away who
/// has called for it.
#[must_use]
pub fn staff(
    incident: &Incident,
    call: &Call,
    grants: &[Grant],
    path: &[PlaceId],
    home: &BTreeSet<PersonId>,
    now: Timestamp,
) -> BTreeSet<PersonId> {
    let silent = incident.kind.is_silent();
    let may_be_told = |person: &PersonId| {
        // Whoever raised it knows; who cannot come has said so.
        incident.reporter.as_ref() != Some(person)
            && !call.declined.contains(person)
            && !(silent && home.contains(person))
    };
    let holders = |is_called: &dyn Fn(&Grant) -> bool| -> BTreeSet<PersonId> {
        let held =
            grants.iter().filter(|grant| grant.in_force(now) && grant.reaches(&incident.site_id, path));
        let called = held.filter(|grant| is_called(grant)).map(|grant| grant.person_id.clone());
        called.filter(may_be_told).collect()
    };
    let asked = holders(&|grant| call.assignee.as_ref() == Some(&grant.person_id));
    if !asked.is_empty() {
        return asked;
    }
    let chain = iter::successors(Some(call.step), |step| step.next(incident.drill));
    let mut chain = chain.map(|step| holders(&|grant| step.roles().contains(&grant.role)));
    let mut first = [chain.next().unwrap_or_default(), holders(&|grant| grant.role.is_on_duty())];
    if silent {
        first.reverse();
    }
    first.into_iter().chain(chain).find(|people| !people.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::alarm::{Alarm, AlarmKind, Point};
    use crate::incident::{Ask, Step, Timings};
    use crate::role::{Role, Zone};
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
        told(incident, &call(step), grants, home)
    }

    fn call(step: Step) -> Call {
        Call { version: 1, ask: Ask::Take, step, assignee: None, declined: BTreeSet::new(), first: true }
    }

    fn told(incident: &Incident, call: &Call, grants: &[Grant], home: &[u8]) -> Vec<PersonId> {
        let home = home.iter().map(|n| person(*n)).collect();
        staff(incident, call, grants, &[place(1), place(7)], &home, Timestamp(5)).into_iter().collect()
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
        // Nobody is there: those on duty, at once and not after its minute.
        assert_eq!(called(&panic, Step::BuildingLeader, &grants, &[]), [person(5)]);
        let own = incident(AlarmKind::Panic, Some(person(1)));
        assert_eq!(called(&own, Step::GridWorker, &grants, &[]), [person(5)], "they know");
    }

    #[test]
    fn a_call_reaches_somebody_as_long_as_there_is_anybody() {
        let all = [
            grant(1, Role::GridWorker1),
            grant(2, Role::DutyOperator),
            grant(3, Role::GridWorker3),
            grant(4, Role::Administrator),
        ];
        let panic = incident(AlarmKind::Panic, None);
        let who = |from: usize| called(&panic, Step::GridWorker, &all[from..], &[]);
        let each: Vec<_> = (0..5).map(who).collect();
        assert_eq!(each, [vec![person(1)], vec![person(2)], vec![person(3)], vec![person(4)], vec![]]);
        // Practice asks nobody who decides about 110.
        let drill = Incident { drill: true, ..panic };
        assert_eq!(called(&drill, Step::GridWorker, &all[3..], &[]), []);
    }

    #[test]
    fn who_cannot_come_is_not_called_and_the_others_are() {
        let grants = [grant(1, Role::GridWorker3), grant(2, Role::GridWorker3), grant(3, Role::DutyOperator)];
        let panic = incident(AlarmKind::Panic, None);
        let without = |declined: &[u8]| {
            let declined = declined.iter().map(|n| person(*n)).collect();
            told(&panic, &Call { declined, ..call(Step::Patrol) }, &grants, &[])
        };
        assert_eq!(without(&[]), [person(1), person(2)]);
        assert_eq!(without(&[1]), [person(2)]);
        assert_eq!(without(&[1, 2]), [person(3)]);
        // Whoever was sent and holds no role any more: the others.
        let sent = |n| Call { assignee: Some(person(n)), ..call(Step::Patrol) };
        assert_eq!(told(&panic, &sent(2), &grants, &[]), [person(2)]);
        assert_eq!(told(&panic, &sent(4), &grants, &[]), [person(1), person(2)]);
    }

    #[test]
    fn duress_goes_to_those_on_duty_and_to_nobody_who_lives_there() {
        let grants = [grant(1, Role::GridWorker1), grant(2, Role::Patrol), grant(3, Role::DutyOperator)];
        let duress = incident(AlarmKind::Duress, None);
        assert_eq!(called(&duress, Step::GridWorker, &grants, &[]), [person(2), person(3)]);
        assert_eq!(called(&duress, Step::GridWorker, &grants, &[3]), [person(2)]);
        // All who are on duty live there: whoever is next, and them never.
        assert_eq!(called(&duress, Step::GridWorker, &grants, &[2, 3]), [person(1)]);
        assert_eq!(called(&duress, Step::GridWorker, &grants, &[1, 2, 3]), []);
        let more = [grants.to_vec(), vec![grant(4, Role::Administrator), grant(5, Role::Owner)]].concat();
        assert_eq!(called(&duress, Step::GridWorker, &more, &[1, 2, 3, 5]), [person(4)]);
        let sent = Call { assignee: Some(person(3)), ..call(Step::Patrol) };
        assert_eq!(told(&duress, &sent, &grants, &[3]), [person(2)], "nor are they sent there");
        assert_eq!(
            called(&duress, Step::GridWorker, &grants[..1], &[]),
            [person(1)],
            "rather them than nobody"
        );
    }
}
