//! How people can be reached, as rows.

use crate::act::Alone as _;
use crate::household::{MEMBERSHIPS, membership};
use crate::row::{get, time, word};
use crate::{Store, changed, failed};
use async_trait::async_trait;
use domain::message::contact::{Contact, Quiet, Subscription};
use domain::message::repository::Contacts;
use domain::person::IDLE;
use domain::repository::Result;
use domain::{HouseholdId, PersonId, PlaceId, SessionId, SubscriptionId, Timestamp};
use sqlx::any::AnyRow;
use std::collections::BTreeSet;

/// Subscriptions whose session goes on: `$2` is now, `$3` the last use that is not too long ago.
const HELD: &str = "select u.* from subscriptions u join sessions s on s.id = u.session_id
    join persons p on p.id = u.person_id
    where p.disabled = 0 and s.expires_at > $2 and s.seen_at > $3";

fn contact(row: &AnyRow) -> Result<Contact> {
    let minute = |minute: Option<i64>| minute.and_then(|minute| u16::try_from(minute).ok());
    let (from, until) = (minute(get(row, "quiet_from")?), minute(get(row, "quiet_until")?));
    Ok(Contact {
        mail: get(row, "mail")?,
        phone: get(row, "phone")?,
        quiet: from.zip(until).and_then(|(from, until)| Quiet::new(from, until)),
    })
}

fn subscription(row: &AnyRow) -> Result<Subscription> {
    Ok(Subscription {
        id: word(row, "id", SubscriptionId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        session_id: word(row, "session_id", SessionId::parse)?,
        endpoint: get(row, "endpoint")?,
        key: get(row, "key")?,
        auth: get(row, "auth")?,
        created_at: time(row, "created_at")?,
    })
}

impl Store {
    async fn members_of(&self, household: &HouseholdId) -> Result<Vec<AnyRow>> {
        self.rows(format!("{MEMBERSHIPS} where m.household_id = $1"), &[household.as_str()]).await
    }

    /// Who lives there by these memberships. Whose cannot be read does.
    fn living(&self, rows: &[AnyRow], now: Timestamp) -> Result<BTreeSet<PersonId>> {
        let mut home = BTreeSet::new();
        for row in rows {
            match self.understood("household_members", "person_id", row, membership)? {
                Some(membership) if !membership.in_force(now) => {}
                Some(membership) => _ = home.insert(membership.person_id),
                // An id that is none is nobody's: no role is read with it, so it is called by none.
                None => home.extend(word(row, "person_id", PersonId::parse).ok()),
            }
        }
        Ok(home)
    }

    async fn held(&self, which: &'static str, id: &str, now: Timestamp) -> Result<Vec<Subscription>> {
        let sql = format!("{HELD} and {which} order by u.created_at, u.id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .bind(now.0)
            .bind(now.before(IDLE).0)
            .fetch_all(&self.read)
            .await;
        self.all_understood("subscriptions", "id", &rows.map_err(failed)?, subscription)
    }
}

#[async_trait]
impl Contacts for Store {
    async fn contact(&self, person: &PersonId) -> Result<Contact> {
        let rows = self.rows("select * from contacts where person_id = $1", &[person.as_str()]).await?;
        rows.first().map_or_else(|| Ok(Contact::default()), contact)
    }

    async fn set_contact(&self, person: &PersonId, contact: &Contact) -> Result<()> {
        let minutes = contact.quiet.map(Quiet::minutes);
        sqlx::query(
            "insert into contacts (person_id, mail, phone, quiet_from, quiet_until)
             values ($1, $2, $3, $4, $5) on conflict (person_id) do update
             set mail = excluded.mail, phone = excluded.phone, quiet_from = excluded.quiet_from,
                 quiet_until = excluded.quiet_until",
        )
        .bind(person.as_str())
        .bind(contact.mail.as_deref())
        .bind(contact.phone.as_deref())
        .bind(minutes.map(|(from, _)| i64::from(from)))
        .bind(minutes.map(|(_, until)| i64::from(until)))
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn members(&self, household: &HouseholdId, now: Timestamp) -> Result<BTreeSet<PersonId>> {
        let rows = self.members_of(household).await?;
        let memberships = self.all_understood("household_members", "person_id", &rows, membership)?;
        Ok(memberships.into_iter().filter(|m| m.in_force(now)).map(|m| m.person_id).collect())
    }

    async fn at_home(&self, household: &HouseholdId, now: Timestamp) -> Result<BTreeSet<PersonId>> {
        self.living(&self.members_of(household).await?, now)
    }

    async fn living_behind(&self, entrance: &PlaceId, now: Timestamp) -> Result<BTreeSet<PersonId>> {
        let sql = format!("{MEMBERSHIPS} where u.entrance_id = $1");
        self.living(&self.rows(sql, &[entrance.as_str()]).await?, now)
    }

    async fn subscriptions(&self, person: &PersonId, now: Timestamp) -> Result<Vec<Subscription>> {
        self.held("u.person_id = $1", person.as_str(), now).await
    }

    async fn subscription(&self, id: &SubscriptionId, now: Timestamp) -> Result<Option<Subscription>> {
        Ok(self.held("u.id = $1", id.as_str(), now).await?.pop())
    }

    async fn subscribe(&self, subscription: &Subscription) -> Result<()> {
        let mut tx = self.write.begin().await?;
        sqlx::query("delete from subscriptions where session_id = $1 or endpoint = $2")
            .bind(subscription.session_id.as_str())
            .bind(subscription.endpoint.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        sqlx::query(
            "insert into subscriptions (id, person_id, session_id, endpoint, key, auth, created_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(subscription.id.as_str())
        .bind(subscription.person_id.as_str())
        .bind(subscription.session_id.as_str())
        .bind(subscription.endpoint.as_str())
        .bind(subscription.key.as_slice())
        .bind(subscription.auth.as_slice())
        .bind(subscription.created_at.0)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await
    }

    async fn unsubscribe(&self, session: &SessionId) -> Result<bool> {
        let sql = "delete from subscriptions where session_id = $1";
        changed(&sqlx::query(sql).bind(session.as_str()).act(&self.write).await?)
    }

    async fn forget_subscription(&self, id: &SubscriptionId) -> Result<()> {
        let sql = "delete from subscriptions where id = $1";
        sqlx::query(sql).bind(id.as_str()).act(&self.write).await?;
        Ok(())
    }
}
