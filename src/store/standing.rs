//! People with all that a decision about them rests on: one, many, or the people of a site
//! a page at a time, because a compound has thousands.

use crate::Store;
use crate::approval::approval;
use crate::household::{MEMBERSHIPS, membership};
use crate::many::{Asking, Found, Unread, under};
use crate::person::person;
use crate::row::word;
use domain::access::Standing;
use domain::person::Person;
use domain::repository::{Each, People, Result};
use domain::role::Grant;
use domain::{PersonId, SiteId};
use std::collections::HashMap;

/// Whoever has anything to do with a site.
const OF_SITE: &str = "
    select p.id from persons p where p.login > $2 and (
        exists (select 1 from grants g where g.person_id = p.id and (g.site_id = $1 or g.site_id is null))
        or exists (select 1 from household_members m join households h on h.id = m.household_id
            join units u on u.id = h.unit_id where m.person_id = p.id and u.site_id = $1)
        or exists (select 1 from approvals a where a.person_id = p.id and a.site_id = $1))
    order by p.login";

/// The rows that some standings are made of.
struct Rows {
    people: Found,
    grants: HashMap<PersonId, Vec<Grant>>,
    memberships: Found,
    approvals: Found,
}

/// Approvals of people and of their households, each with the person that it is for.
fn approvals(marks: &str) -> String {
    // Two lists and not one with an "or": so both databases use their indexes.
    format!(
        "select a.*, a.person_id as asked from approvals a where a.person_id in ({marks})
         union all
         select a.*, m.person_id as asked
         from approvals a join household_members m on m.household_id = a.household_id
         where m.person_id in ({marks})
         order by seq"
    )
}

impl Rows {
    /// What they say of one person. A role that cannot be read is left out: without it somebody
    /// may do less. Without a membership they may do more: of a silent alarm at home they would read.
    fn of(&self, id: &PersonId) -> Result<Option<(Person, Standing)>> {
        let Some(row) = under(&self.people, id).first() else { return Ok(None) };
        let person = person(row)?;
        let standing = Standing {
            person_id: person.id.clone(),
            disabled: person.disabled,
            grants: self.grants.get(id).cloned().unwrap_or_default(),
            memberships: under(&self.memberships, id).iter().map(membership).collect::<Result<_>>()?,
            approvals: under(&self.approvals, id).iter().map(approval).collect::<Result<_>>()?,
        };
        Ok(Some((person, standing)))
    }
}

impl Store {
    async fn rows_of(&self, people: &[PersonId]) -> std::result::Result<Rows, Unread> {
        let of = |table: &'static str, column: &'static str| {
            move |marks: &str| format!("select * from {table} where {column} in ({marks})")
        };
        let homes = |marks: &str| format!("{MEMBERSHIPS} where m.person_id in ({marks}) order by m.from_at");
        let held =
            |marks: &str| format!("select * from grants where person_id in ({marks}) order by from_at, id");
        let held = self.found(people, "person_id", held).await?;
        let mut grants: HashMap<PersonId, Vec<Grant>> = HashMap::new();
        for grant in self.grants_of(&held.into_values().flatten().collect::<Vec<_>>()).await? {
            grants.entry(grant.person_id.clone()).or_default().push(grant);
        }
        Ok(Rows {
            people: self.found(people, "id", of("persons", "id")).await?,
            grants,
            memberships: self.found(people, "person_id", homes).await?,
            approvals: self.found(people, "asked", approvals).await?,
        })
    }

    /// Each of these people, with their standing.
    pub(crate) async fn each_known(&self, people: &[PersonId]) -> Each<PersonId, (Person, Standing)> {
        let mut asking = Asking::new(people);
        while let Some(some) = asking.next() {
            asking.heard(some, self.rows_of(some).await, Rows::of);
        }
        asking.each
    }

    pub(crate) async fn page_of_standings(
        &self,
        site: &SiteId,
        people: &People,
    ) -> Result<Vec<(Person, Standing)>> {
        let after = people.after.as_deref().unwrap_or_default();
        let rows = self.rows(format!("{OF_SITE} limit {}", people.limit), &[site.as_str(), after]).await?;
        let ids = rows.iter().map(|row| word(row, "id", PersonId::parse)).collect::<Result<Vec<_>>>()?;
        let mut known = self.each_known(&ids).await;
        let mut page = Vec::new();
        for id in &ids {
            // Who has gone meanwhile is not there.
            let Some((person, mut standing)) = known.remove(id).transpose()?.flatten() else { continue };
            standing.grants.retain(|grant| grant.site_id.as_ref().is_none_or(|of| of == site));
            standing.memberships.retain(|membership| membership.site_id == *site);
            standing.approvals.retain(|approval| approval.site_id == *site);
            page.push((person, standing));
        }
        Ok(page)
    }
}
