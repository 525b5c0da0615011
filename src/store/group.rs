//! Joint-defence groups and tests of buttons as rows.

use crate::act::Alone as _;
use crate::row::{get, time, time_opt, word};
use crate::{Store, button_test, changed, failed};
use async_trait::async_trait;
use domain::drill::{ButtonTest, Trial};
use domain::group::{self, Group, MOST, Member};
use domain::incident::repository::{Groups, Joined, Trials};
use domain::repository::{Page, Result};
use domain::{DeviceId, GroupId, HouseholdId, PersonId, SiteId, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};
use std::collections::{BTreeMap, BTreeSet};

/// Who belongs to a group: the household has consented, has not left, and lives there still.
const MEMBERS: &str = "from joint_group_members m join households h on h.id = m.household_id
    where m.left_at is null and (h.until_at is null or h.until_at > $1)";

fn group_from(row: &AnyRow) -> Result<Group> {
    Ok(Group {
        id: word(row, "id", GroupId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        name: get(row, "name")?,
        created_at: time(row, "created_at")?,
        ended_at: time_opt(row, "ended_at")?,
        members: Vec::new(),
    })
}

fn member(row: &AnyRow) -> Result<Member> {
    Ok(Member {
        household_id: word(row, "household_id", HouseholdId::parse)?,
        unit: get(row, "label")?,
        consented_by: word(row, "consented_by", PersonId::parse)?,
        consented_at: time(row, "consented_at")?,
    })
}

/// The groups for which `condition` holds of a text, with their members now.
async fn groups_where(
    connection: &mut AnyConnection,
    condition: &str,
    text: &str,
    now: Timestamp,
) -> Result<Vec<Group>> {
    // Only constants of this file are put together.
    let sql = AssertSqlSafe(format!("select g.* from joint_groups g where {condition}"));
    let rows = sqlx::query(sql).bind(text).fetch_all(&mut *connection).await.map_err(failed)?;
    let mut groups: BTreeMap<GroupId, Group> = BTreeMap::new();
    for row in &rows {
        let group = group_from(row)?;
        groups.insert(group.id.clone(), group);
    }
    let members = sqlx::query(AssertSqlSafe(format!(
        "select m.*, u.label from joint_groups g join joint_group_members m on m.group_id = g.id
         join households h on h.id = m.household_id join units u on u.id = h.unit_id
         where {condition} and m.left_at is null and (h.until_at is null or h.until_at > $2)
         order by u.label, m.seq"
    )))
    .bind(text)
    .bind(now.0)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    for row in &members {
        if let Some(group) = groups.get_mut(&word(row, "group_id", GroupId::parse)?) {
            group.members.push(member(row)?);
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(groups)
}

/// Groups that a household belongs to.
const OWN: &str = "g.ended_at is null and g.id in
    (select group_id from joint_group_members where household_id = $1 and left_at is null)";

/// The households that an alarm at this one goes to.
pub(crate) async fn reach(
    connection: &mut AnyConnection,
    home: &HouseholdId,
    now: Timestamp,
) -> Result<BTreeSet<HouseholdId>> {
    Ok(group::reach(&groups_where(connection, OWN, home.as_str(), now).await?, home))
}

impl Store {
    /// The groups for which `condition` holds of a text, with their members now.
    async fn groups_where(&self, condition: &str, text: &str, now: Timestamp) -> Result<Vec<Group>> {
        let mut connection = self.read.acquire().await.map_err(failed)?;
        groups_where(&mut connection, condition, text, now).await
    }
}

#[async_trait]
impl Groups for Store {
    async fn groups(&self, site: &SiteId, now: Timestamp) -> Result<Vec<Group>> {
        self.groups_where("g.site_id = $1 and g.ended_at is null", site.as_str(), now).await
    }

    async fn groups_of(&self, household: &HouseholdId, now: Timestamp) -> Result<Vec<Group>> {
        self.groups_where(OWN, household.as_str(), now).await
    }

    async fn group(&self, id: &GroupId, now: Timestamp) -> Result<Option<Group>> {
        Ok(self.groups_where("g.id = $1", id.as_str(), now).await?.pop())
    }

    async fn add_group(&self, group: &Group) -> Result<()> {
        sqlx::query("insert into joint_groups (id, site_id, name, created_at) values ($1, $2, $3, $4)")
            .bind(group.id.as_str())
            .bind(group.site_id.as_str())
            .bind(group.name.as_str())
            .bind(group.created_at.0)
            .act(&self.write)
            .await?;
        Ok(())
    }

    async fn end_group(&self, id: &GroupId, at: Timestamp) -> Result<bool> {
        let done = sqlx::query("update joint_groups set ended_at = $2 where id = $1 and ended_at is null")
            .bind(id.as_str())
            .bind(at.0)
            .act(&self.write)
            .await;
        changed(&done?)
    }

    async fn join_group(
        &self,
        id: &GroupId,
        household: &HouseholdId,
        by: &PersonId,
        at: Timestamp,
    ) -> Result<Joined> {
        // It lets consents in one after the other, so that the limit holds.
        let mut tx = self.write.begin_sealing().await?;
        let open = sqlx::query("select id from joint_groups where id = $1 and ended_at is null");
        let open = open.bind(id.as_str()).fetch_optional(&mut *tx).await.map_err(failed)?;
        let members = AssertSqlSafe(format!("select m.household_id {MEMBERS} and m.group_id = $2"));
        let members = sqlx::query(members).bind(at.0).bind(id.as_str()).fetch_all(&mut *tx).await;
        let members = members.map_err(failed)?;
        for row in &members {
            if word(row, "household_id", HouseholdId::parse)? == *household {
                return Ok(Joined::Already);
            }
        }
        if open.is_none() || members.len() >= MOST {
            return Ok(Joined::Full);
        }
        sqlx::query(
            "insert into joint_group_members (group_id, household_id, consented_by, consented_at)
             values ($1, $2, $3, $4)",
        )
        .bind(id.as_str())
        .bind(household.as_str())
        .bind(by.as_str())
        .bind(at.0)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await?;
        Ok(Joined::Joined)
    }

    async fn leave_group(&self, id: &GroupId, household: &HouseholdId, at: Timestamp) -> Result<bool> {
        let done = sqlx::query(
            "update joint_group_members set left_at = $3
             where group_id = $1 and household_id = $2 and left_at is null",
        )
        .bind(id.as_str())
        .bind(household.as_str())
        .bind(at.0)
        .act(&self.write)
        .await;
        changed(&done?)
    }

    async fn add_button_test(&self, test: &ButtonTest) -> Result<()> {
        button_test::insert(test).act(&self.write).await?;
        Ok(())
    }

    async fn begin_trial(&self, trial: &Trial) -> Result<bool> {
        changed(&button_test::insert_trial(trial).act(&self.write).await?)
    }

    async fn end_trial(&self, device: &DeviceId) -> Result<bool> {
        let sql = "delete from button_trials where device_id = $1";
        changed(&sqlx::query(sql).bind(device.as_str()).act(&self.write).await?)
    }

    async fn trials(&self, site: &SiteId) -> Result<Vec<Trial>> {
        let sql = "select * from button_trials where site_id = $1";
        self.rows(sql, &[site.as_str()]).await?.iter().map(button_test::trial).collect()
    }

    async fn end_trials(&self, now: Timestamp) -> Result<Trials> {
        self.end_old_trials(now).await
    }

    async fn buttons_worked(&self, site: &SiteId) -> Result<BTreeMap<DeviceId, Timestamp>> {
        let sql = "select device_id, max(at) as at from button_tests
                   where site_id = $1 and worked = 1 group by device_id";
        let rows = self.rows(sql, &[site.as_str()]).await?;
        rows.iter().map(|row| Ok((word(row, "device_id", DeviceId::parse)?, time(row, "at")?))).collect()
    }

    async fn button_tests(&self, site: &SiteId, page: &Page) -> Result<Vec<(i64, ButtonTest)>> {
        let rows = sqlx::query(
            "select * from button_tests where site_id = $1 and seq < $2 order by seq desc limit $3",
        )
        .bind(site.as_str())
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(i64::from(page.limit))
        .fetch_all(&self.read)
        .await;
        rows.map_err(failed)?.iter().map(|row| Ok((get(row, "seq")?, button_test::test(row)?))).collect()
    }
}
