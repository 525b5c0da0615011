//! Tells a gateway that runs that another process has changed rights.

use crate::act::Alone as _;
use crate::row::get;
use crate::{Store, failed};
use domain::repository::Result;

impl Store {
    /// Says that rights were changed. Called after the change is committed.
    pub async fn raise_signal(&self) -> Result<()> {
        let raised = sqlx::query("update change_signal set count = count + 1 where id = 1");
        raised.act(&self.write).await?;
        Ok(())
    }

    /// How often that was said so far.
    pub async fn signal(&self) -> Result<i64> {
        let row = sqlx::query("select count from change_signal where id = 1").fetch_one(&self.read).await;
        get(&row.map_err(failed)?, "count")
    }
}
