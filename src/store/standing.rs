//! The people of a site with all that a decision about them rests on, a page at a
//! time: a compound has thousands.

use crate::person::person;
use crate::{Store, approval};
use domain::access::Standing;
use domain::approval::{Approval, Subject};
use domain::person::Person;
use domain::repository::{People, Result};
use domain::{HouseholdId, PersonId, SiteId};
use std::collections::HashMap;

/// Whoever has anything to do with a site.
const OF_SITE: &str = "
    select p.* from persons p where p.login > $2 and (
        exists (select 1 from grants g where g.person_id = p.id and (g.site_id = $1 or g.site_id is null))
        or exists (select 1 from household_members m join households h on h.id = m.household_id
            join units u on u.id = h.unit_id where m.person_id = p.id and u.site_id = $1)
        or exists (select 1 from approvals a where a.person_id = p.id and a.site_id = $1))
    order by p.login";

/// The people of a page: they follow each other by login. What is theirs in other
/// sites is left out afterwards, so that the databases begin with the people.
const PAGE: &str = "select id from persons where login > $1 and login <= $2";

impl Store {
    pub(crate) async fn page_of_standings(
        &self,
        site: &SiteId,
        people: &People,
    ) -> Result<Vec<(Person, Standing)>> {
        let after = people.after.as_deref().unwrap_or_default();
        let sql = format!("{OF_SITE} limit {}", people.limit);
        let rows = self.rows(sql, &[site.as_str(), after]).await?;
        let people = rows.iter().map(person).collect::<Result<Vec<_>>>()?;
        let Some(last) = people.last() else { return Ok(Vec::new()) };
        let texts = [after, last.login.as_str()];

        let mut grants = self.grants_where(&format!("where person_id in ({PAGE})"), &texts).await?;
        grants.retain(|grant| grant.site_id.as_ref().is_none_or(|of| of == site));
        let mut grants = by(grants, |grant| grant.person_id.clone());
        let condition = format!("where m.person_id in ({PAGE}) order by m.from_at, m.person_id");
        let mut memberships = self.memberships_where(&condition, &texts).await?;
        memberships.retain(|membership| membership.site_id == *site);
        let mut homes = by(memberships, |membership| membership.person_id.clone());
        let sql = format!(
            "select * from approvals where person_id in ({PAGE}) or household_id in
                (select household_id from household_members where person_id in ({PAGE}))
             order by seq"
        );
        let approvals = self.rows(sql, &texts).await?;
        let mut approvals = approvals.iter().map(approval::approval).collect::<Result<Vec<_>>>()?;
        approvals.retain(|approval| approval.site_id == *site);
        let (mut own, mut shared): (HashMap<PersonId, Vec<Approval>>, HashMap<HouseholdId, Vec<Approval>>) =
            Default::default();
        for approval in approvals {
            match &approval.subject {
                Subject::Person(person) => own.entry(person.clone()).or_default().push(approval),
                Subject::Household(home) => shared.entry(home.clone()).or_default().push(approval),
            }
        }
        let standing = |person: Person| {
            let memberships = homes.remove(&person.id).unwrap_or_default();
            let mut approvals = own.remove(&person.id).unwrap_or_default();
            for membership in &memberships {
                approvals.extend(shared.get(&membership.household_id).into_iter().flatten().cloned());
            }
            let standing = Standing {
                person_id: person.id.clone(),
                disabled: person.disabled,
                grants: grants.remove(&person.id).unwrap_or_default(),
                memberships,
                approvals,
            };
            (person, standing)
        };
        Ok(people.into_iter().map(standing).collect())
    }
}

fn by<T>(rows: Vec<T>, person: impl Fn(&T) -> PersonId) -> HashMap<PersonId, Vec<T>> {
    let mut sorted: HashMap<PersonId, Vec<T>> = HashMap::new();
    for row in rows {
        sorted.entry(person(&row)).or_default().push(row);
    }
    sorted
}
