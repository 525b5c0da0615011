//! Both databases. A real PostgreSQL is started by `scripts/test`.

use super::folder::Folder;
use sqlx::{Connection as _, Executor as _};
use store::Store;
use store::seal::SealingKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// Both, for tests that must hold on each.
pub const BOTH: [Database; 2] = [Database::Sqlite, Database::Postgres];

impl Database {
    /// The address of a new, empty database.
    pub async fn url(self, folder: &Folder) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", folder.path("test.db").display()),
            Self::Postgres => {
                let server = std::env::var_os("SHARP_EYES_TEST_POSTGRES")
                    .expect("SHARP_EYES_TEST_POSTGRES names a PostgreSQL server; scripts/test sets it")
                    .into_string()
                    .unwrap();
                let name = format!("t_{}", web::token::hex(&web::token::random::<8>()));
                let mut connection =
                    sqlx::PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
                let create = sqlx::AssertSqlSafe(format!("create database {name}"));
                connection.execute(create).await.unwrap();
                connection.close().await.unwrap();
                format!("{server}/{name}")
            }
        }
    }
}

/// An opened store in a folder of its own.
pub async fn open(database: Database) -> (Store, Folder) {
    let folder = Folder::new();
    let store = Store::open(&database.url(&folder).await, SealingKey::new([7; 32])).await.unwrap();
    (store, folder)
}
