//! Everything a decision rests on: roles, households, approvals.

use crate::act::Alone as _;
use crate::household::{self, MEMBERSHIPS, membership};
use crate::person::{AnyQuery, insert_person};
use crate::row::{get, time, time_opt, word, word_opt};
use crate::{Store, approval, changed, failed};
use async_trait::async_trait;
use domain::access::Standing;
use domain::approval::{Approval, State};
use domain::household::{Household, Membership, Unit};
use domain::invitation::Invitation;
use domain::person::Person;
use domain::repository::{ApprovalFilter, Each, Error, Page, People, Result, Rights};
use domain::role::{Grant, Role, Zone};
use domain::{
    ApprovalId, GrantId, HouseholdId, InvitationId, PersonId, PlaceId, SiteId, Timestamp, UnitId, ZoneId,
};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, SqlSafeStr as _};
use std::collections::BTreeMap;

pub(crate) fn insert_grant(grant: &Grant) -> AnyQuery<'_> {
    sqlx::query(
        "insert into grants (id, person_id, role, site_id, zone_id, from_at, until_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(grant.id.as_str())
    .bind(grant.person_id.as_str())
    .bind(grant.role.word())
    .bind(grant.site_id.as_ref().map(SiteId::as_str))
    .bind(grant.zone.as_ref().map(|zone| zone.id.as_str()))
    .bind(grant.from.0)
    .bind(grant.until.map(|t| t.0))
}

/// A zone that was removed stays for the roles that were once held in it.
const STILL: &str = "z.removed_at is null";

async fn insert_places(connection: &mut AnyConnection, zone: &Zone) -> Result<()> {
    for place in &zone.places {
        sqlx::query("insert into zone_places (zone_id, place_id) values ($1, $2)")
            .bind(zone.id.as_str())
            .bind(place.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// A zone with one of its places, or none.
fn zone(row: &AnyRow) -> Result<Zone> {
    Ok(Zone {
        id: word(row, "id", ZoneId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        name: get(row, "name")?,
        places: word_opt(row, "place_id", PlaceId::parse)?.into_iter().collect(),
        created_at: time(row, "created_at")?,
    })
}

fn grant(row: &AnyRow, zones: &BTreeMap<ZoneId, Zone>) -> Result<Grant> {
    let zone = word_opt(row, "zone_id", ZoneId::parse)?;
    // A role in a zone that is not there must not become one for the whole site.
    let no_zone = || Error::Corrupt("a role names a zone that is not there".to_owned());
    let zone = zone.map(|id| zones.get(&id).cloned().ok_or_else(no_zone)).transpose()?;
    Ok(Grant {
        id: word(row, "id", GrantId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        role: word(row, "role", Role::from_word)?,
        site_id: word_opt(row, "site_id", SiteId::parse)?,
        zone,
        from: time(row, "from_at")?,
        until: time_opt(row, "until_at")?,
    })
}

impl Store {
    /// All rows of a query that takes texts.
    pub(crate) async fn rows(&self, sql: impl Into<String>, texts: &[&str]) -> Result<Vec<AnyRow>> {
        // Only constants of this file are put together here, never what came from outside.
        let mut query = sqlx::query(AssertSqlSafe(sql.into()).into_sql_str());
        for text in texts {
            query = query.bind(*text);
        }
        query.fetch_all(&self.read).await.map_err(failed)
    }

    async fn zones_where(&self, condition: &str, texts: &[&str]) -> Result<BTreeMap<ZoneId, Zone>> {
        let sql = format!(
            "select z.id, z.site_id, z.name, z.created_at, p.place_id
             from zones z left join zone_places p on p.zone_id = z.id {condition}"
        );
        let rows = self.rows(sql, texts).await?;
        let mut zones: BTreeMap<ZoneId, Zone> = BTreeMap::new();
        // Each row is the zone with one of its places. Without it the zone reaches less.
        for one in self.all_understood("zones", "id", &rows, zone)? {
            match zones.get_mut(&one.id) {
                Some(zone) => zone.places.extend(one.places),
                None => _ = zones.insert(one.id.clone(), one),
            }
        }
        Ok(zones)
    }

    pub(crate) async fn grants_where(&self, condition: &str, texts: &[&str]) -> Result<Vec<Grant>> {
        let rows = self.rows(format!("select * from grants {condition} order by from_at, id"), texts).await?;
        self.grants_of(&rows).await
    }

    /// Roles with the zones that they are held for.
    pub(crate) async fn grants_of(&self, rows: &[AnyRow]) -> Result<Vec<Grant>> {
        let site_wide = |row: &AnyRow| matches!(get::<Option<String>>(row, "zone_id"), Ok(None));
        let zones =
            if rows.iter().all(site_wide) { BTreeMap::new() } else { self.zones_where("", &[]).await? };
        // Without it somebody may do less, and nobody more.
        self.all_understood("grants", "id", rows, |row| grant(row, &zones))
    }
}

#[async_trait]
impl Rights for Store {
    async fn add_grant(&self, grant: &Grant) -> Result<()> {
        insert_grant(grant).act(&self.write).await?;
        Ok(())
    }

    async fn grants(&self, site: Option<&SiteId>) -> Result<Vec<Grant>> {
        match site {
            Some(site) => self.grants_where("where site_id = $1", &[site.as_str()]).await,
            None => self.grants_where("where site_id is null", &[]).await,
        }
    }

    async fn serving(&self, site: &SiteId) -> Result<Vec<Grant>> {
        let condition = "where (site_id = $1 or site_id is null)
            and person_id in (select id from persons where disabled = 0)";
        self.grants_where(condition, &[site.as_str()]).await
    }

    async fn end_grant(&self, id: &GrantId, at: Timestamp) -> Result<bool> {
        let sql = "update grants set until_at = $2 where id = $1 and (until_at is null or until_at > $2)";
        let done = sqlx::query(sql).bind(id.as_str()).bind(at.0).act(&self.write).await;
        changed(&done?)
    }

    async fn zones(&self, site: &SiteId) -> Result<Vec<Zone>> {
        let mut zones: Vec<Zone> = self
            .zones_where(&format!("where z.site_id = $1 and {STILL}"), &[site.as_str()])
            .await?
            .into_values()
            .collect();
        zones.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(zones)
    }

    async fn zone(&self, id: &ZoneId) -> Result<Option<Zone>> {
        let zones = self.zones_where(&format!("where z.id = $1 and {STILL}"), &[id.as_str()]).await?;
        Ok(zones.into_values().next())
    }

    async fn add_zone(&self, zone: &Zone) -> Result<()> {
        let mut tx = self.write.begin().await?;
        sqlx::query("insert into zones (id, site_id, name, created_at) values ($1, $2, $3, $4)")
            .bind(zone.id.as_str())
            .bind(zone.site_id.as_str())
            .bind(zone.name.as_str())
            .bind(zone.created_at.0)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        insert_places(&mut tx, zone).await?;
        tx.commit().await
    }

    async fn update_zone(&self, zone: &Zone) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        let done = sqlx::query("update zones set name = $2 where id = $1 and removed_at is null")
            .bind(zone.id.as_str())
            .bind(zone.name.as_str())
            .execute(&mut *tx)
            .await;
        if !changed(&done.map_err(failed)?)? {
            return Ok(false);
        }
        sqlx::query("delete from zone_places where zone_id = $1")
            .bind(zone.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        insert_places(&mut tx, zone).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn remove_zone(&self, id: &ZoneId, at: Timestamp) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        let done = sqlx::query("update zones set removed_at = $2 where id = $1 and removed_at is null")
            .bind(id.as_str())
            .bind(at.0)
            .execute(&mut *tx)
            .await;
        if !changed(&done.map_err(failed)?)? {
            return Ok(false);
        }
        // A role that is given at this very moment reaches nothing either.
        sqlx::query("delete from zone_places where zone_id = $1")
            .bind(id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        let sql =
            "update grants set until_at = $2 where zone_id = $1 and (until_at is null or until_at > $2)";
        sqlx::query(sql).bind(id.as_str()).bind(at.0).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await?;
        Ok(true)
    }

    async fn units(&self, site: &SiteId) -> Result<Vec<Unit>> {
        let rows =
            self.rows("select * from units where site_id = $1 order by label", &[site.as_str()]).await?;
        rows.iter().map(household::unit).collect()
    }

    async fn unit(&self, id: &UnitId) -> Result<Option<Unit>> {
        let rows = self.rows("select * from units where id = $1", &[id.as_str()]).await?;
        rows.first().map(household::unit).transpose()
    }

    async fn add_unit(&self, unit: &Unit) -> Result<()> {
        insert_unit(unit).act(&self.write).await?;
        Ok(())
    }

    async fn households(&self, site: &SiteId) -> Result<Vec<Household>> {
        let sql = "select h.* from households h join units u on u.id = h.unit_id where u.site_id = $1
                   order by h.from_at desc, h.id";
        self.rows(sql, &[site.as_str()]).await?.iter().map(household::household).collect()
    }

    async fn household(&self, id: &HouseholdId) -> Result<Option<Household>> {
        let rows = self.rows("select * from households where id = $1", &[id.as_str()]).await?;
        rows.first().map(household::household).transpose()
    }

    async fn add_household(&self, household: &Household) -> Result<()> {
        insert_household(household).act(&self.write).await?;
        Ok(())
    }

    async fn end_household(&self, id: &HouseholdId, at: Timestamp) -> Result<bool> {
        let sql = "update households set until_at = $2 where id = $1 and (until_at is null or until_at > $2)";
        let done = sqlx::query(sql).bind(id.as_str()).bind(at.0).act(&self.write).await;
        changed(&done?)
    }

    async fn memberships(&self, site: &SiteId) -> Result<Vec<Membership>> {
        let sql = format!("{MEMBERSHIPS} where u.site_id = $1 order by m.from_at, m.person_id");
        self.rows(sql, &[site.as_str()]).await?.iter().map(membership).collect()
    }

    async fn add_member(&self, household: &HouseholdId, person: &PersonId, from: Timestamp) -> Result<()> {
        insert_member(household, person, from).act(&self.write).await?;
        Ok(())
    }

    async fn end_member(&self, household: &HouseholdId, person: &PersonId, at: Timestamp) -> Result<bool> {
        let sql = "update household_members set until_at = $3
                   where household_id = $1 and person_id = $2 and (until_at is null or until_at > $3)";
        let done =
            sqlx::query(sql).bind(household.as_str()).bind(person.as_str()).bind(at.0).act(&self.write).await;
        changed(&done?)
    }

    async fn add_invitation(&self, invitation: &Invitation) -> Result<()> {
        sqlx::query(
            "insert into invitations (id, household_id, token_hash, created_by, created_at, expires_at, used_by)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(invitation.id.as_str())
        .bind(invitation.household_id.as_str())
        .bind(invitation.token_hash.as_slice())
        .bind(invitation.created_by.as_str())
        .bind(invitation.created_at.0)
        .bind(invitation.expires_at.0)
        .bind(invitation.used_by.as_ref().map(PersonId::as_str))
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn invitation_by_token(&self, token_hash: &[u8]) -> Result<Option<Invitation>> {
        let row = sqlx::query("select * from invitations where token_hash = $1")
            .bind(token_hash)
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(household::invitation).transpose()
    }

    async fn invitation(&self, id: &InvitationId) -> Result<Option<Invitation>> {
        let rows = self.rows("select * from invitations where id = $1", &[id.as_str()]).await?;
        rows.first().map(household::invitation).transpose()
    }

    async fn open_invitations(&self, site: &SiteId, now: Timestamp) -> Result<Vec<Invitation>> {
        let rows = sqlx::query(
            "select i.* from invitations i join households h on h.id = i.household_id
                join units u on u.id = h.unit_id
             where u.site_id = $1 and i.used_by is null and i.expires_at > $2
                and (h.until_at is null or h.until_at > $2)
             order by i.created_at desc, i.id",
        )
        .bind(site.as_str())
        .bind(now.0)
        .fetch_all(&self.read)
        .await;
        rows.map_err(failed)?.iter().map(household::invitation).collect()
    }

    async fn withdraw_invitation(&self, id: &InvitationId) -> Result<bool> {
        let done = sqlx::query("delete from invitations where id = $1 and used_by is null")
            .bind(id.as_str())
            .act(&self.write)
            .await;
        changed(&done?)
    }

    async fn use_invitation(&self, invitation: &Invitation, person: &Person, at: Timestamp) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        insert_person(person).execute(&mut *tx).await.map_err(failed)?;
        let used = sqlx::query("update invitations set used_by = $2 where id = $1 and used_by is null")
            .bind(invitation.id.as_str())
            .bind(person.id.as_str())
            .execute(&mut *tx)
            .await;
        if !changed(&used.map_err(failed)?)? {
            return Ok(false);
        }
        insert_member(&invitation.household_id, &person.id, at).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await?;
        Ok(true)
    }

    async fn approvals(&self, filter: &ApprovalFilter, page: &Page) -> Result<Vec<(i64, Approval)>> {
        let state = filter.state.map(State::word);
        let of_state = if state.is_some() { "and state = $7" } else { "" };
        let sql = format!(
            "select * from approvals where site_id = $1 and seq < $2 and from_at <= $3 and until_at > $4
                and until_at <= $5 {of_state} order by seq desc limit $6"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql).into_sql_str())
            .bind(filter.site.as_str())
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(filter.begun_by.0)
            .bind(filter.ends_after.0)
            .bind(filter.ends_by.0)
            .bind(i64::from(page.limit));
        if let Some(state) = state {
            query = query.bind(state);
        }
        let rows = query.fetch_all(&self.read).await.map_err(failed)?;
        rows.iter().map(|row| Ok((get(row, "seq")?, approval::approval(row)?))).collect()
    }

    async fn approvals_of(&self, household: &HouseholdId) -> Result<Vec<Approval>> {
        let sql = "select * from approvals where household_id = $1 order by seq";
        self.rows(sql, &[household.as_str()]).await?.iter().map(approval::approval).collect()
    }

    async fn approval(&self, id: &ApprovalId) -> Result<Option<Approval>> {
        let rows = self.rows("select * from approvals where id = $1", &[id.as_str()]).await?;
        rows.first().map(approval::approval).transpose()
    }

    async fn add_approval(&self, approval: &Approval) -> Result<()> {
        let query = approval::bind(
            "insert into approvals (id, site_id, household_id, person_id, camera_id, place_id, state, from_at,
                until_at, schedule, message, requested_by, requested_at, decided_by, decided_at, reason, renews)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            approval,
        )?;
        query.act(&self.write).await?;
        Ok(())
    }

    async fn update_approvals(&self, changes: &[(Approval, Approval)]) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        for (before, approval) in changes {
            let query = approval::bind(
                "update approvals set site_id = $2, household_id = $3, person_id = $4, camera_id = $5, place_id = $6,
                state = $7, from_at = $8, until_at = $9, schedule = $10, message = $11, requested_by = $12,
                requested_at = $13, decided_by = $14, decided_at = $15, reason = $16, renews = $17
             where id = $1 and state = $18 and until_at = $19",
                approval,
            )?;
            let done = query.bind(before.state.word()).bind(before.until.0).execute(&mut *tx).await;
            if !changed(&done.map_err(failed)?)? {
                return Ok(false);
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn each_standing(&self, people: &[PersonId]) -> Each<PersonId, Standing> {
        let known = self.each_known(people).await.into_iter();
        known.map(|(id, known)| (id, known.map(|known| known.map(|(_, standing)| standing)))).collect()
    }

    async fn standings(&self, site: &SiteId, people: &People) -> Result<Vec<(Person, Standing)>> {
        self.page_of_standings(site, people).await
    }
}

pub(crate) fn insert_unit(unit: &Unit) -> AnyQuery<'_> {
    sqlx::query("insert into units (id, site_id, entrance_id, label, created_at) values ($1, $2, $3, $4, $5)")
        .bind(unit.id.as_str())
        .bind(unit.site_id.as_str())
        .bind(unit.entrance_id.as_str())
        .bind(unit.label.as_str())
        .bind(unit.created_at.0)
}

pub(crate) fn insert_household(household: &Household) -> AnyQuery<'_> {
    sqlx::query("insert into households (id, unit_id, from_at, until_at) values ($1, $2, $3, $4)")
        .bind(household.id.as_str())
        .bind(household.unit_id.as_str())
        .bind(household.from.0)
        .bind(household.until.map(|t| t.0))
}

pub(crate) fn insert_member<'q>(
    household: &'q HouseholdId,
    person: &'q PersonId,
    from: Timestamp,
) -> AnyQuery<'q> {
    let sql = "insert into household_members (person_id, household_id, from_at) values ($1, $2, $3)
               on conflict (person_id, household_id) do update set from_at = excluded.from_at, until_at = null";
    sqlx::query(sql).bind(person.as_str()).bind(household.as_str()).bind(from.0)
}
