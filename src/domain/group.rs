//! Joint defence: neighbouring households that receive each other's alarms. Each
//! consents for itself and leaves when it wants to; nobody is counted or ranked.

use crate::{GroupId, HouseholdId, PersonId, SiteId, Timestamp};
use std::collections::BTreeSet;

/// The fewest households with which a group works: fewer would be left alone with it.
pub const FEWEST: usize = 5;
/// The most: more would look at each other.
pub const MOST: usize = 20;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The site it is in.
    pub site_id: SiteId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was dissolved.
    pub ended_at: Option<Timestamp>,
    /// The households that belong to it now.
    pub members: Vec<Member>,
}

/// A household's consent, from until it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which household.
    pub household_id: HouseholdId,
    /// What is on its door.
    pub unit: String,
    /// Who of it consented.
    pub consented_by: PersonId,
    /// When.
    pub consented_at: Timestamp,
}

impl Group {
    /// Whether its alarms reach its members.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.ended_at.is_none() && (FEWEST..=MOST).contains(&self.members.len())
    }

    /// Whether a household belongs to it.
    #[must_use]
    pub fn has(&self, household: &HouseholdId) -> bool {
        self.members.iter().any(|member| member.household_id == *household)
    }
}

/// The households that an alarm at `home` goes to: those of every active group that
/// it belongs to, each once, without itself.
#[must_use]
pub fn reach(groups: &[Group], home: &HouseholdId) -> BTreeSet<HouseholdId> {
    let own = groups.iter().filter(|group| group.is_active() && group.has(home));
    let all = own.flat_map(|group| group.members.iter().map(|member| member.household_id.clone()));
    all.filter(|household| household != home).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn household(n: u8) -> HouseholdId {
        HouseholdId::from_random([n; 16])
    }

    fn group(members: std::ops::Range<u8>) -> Group {
        let member = |n| Member {
            household_id: household(n),
            unit: n.to_string(),
            consented_by: PersonId::from_random([n; 16]),
            consented_at: Timestamp(0),
        };
        Group {
            id: GroupId::from_random([1; 16]),
            site_id: SiteId::from_random([1; 16]),
            name: "building 3".into(),
            created_at: Timestamp(0),
            ended_at: None,
            members: members.map(member).collect(),
        }
    }

    #[test]
    fn a_group_works_from_five_households_to_twenty() {
        for (count, active) in [(0, false), (4, false), (5, true), (20, true), (21, false)] {
            let group = group(0..count);
            assert_eq!(group.is_active(), active, "{count}");
            assert_eq!(!reach(&[group], &household(0)).is_empty(), active, "{count}");
        }
        assert!(!Group { ended_at: Some(Timestamp(1)), ..group(0..5) }.is_active());
    }

    #[test]
    fn an_alarm_reaches_every_neighbour_once_and_not_the_one_who_needs_help() {
        let groups = [group(0..5), group(3..10), group(20..30)];
        let reached = reach(&groups, &household(3));
        let expected: BTreeSet<_> = [0, 1, 2].into_iter().chain(4..10).map(household).collect();
        assert_eq!(reached, expected);
        assert!(reach(&groups, &household(40)).is_empty(), "nobody who has not consented");
    }
}
