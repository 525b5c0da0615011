//! The repository over SQLite (embedded, default) and PostgreSQL.
//!
//! What belongs here: SQL, migrations, sealing of secrets at rest, group commit
//! of events. What does not: decisions and HTTP. One SQL text serves both
//! databases: `$1` parameters, `returning`, `on conflict`, and the types text,
//! bigint and bytes. Who may depend on it: the root package.

mod act;
mod alarm_event;
mod approval;
mod at_home;
mod audit;
mod bookmark;
mod button_test;
mod camera;
mod contact;
mod device;
mod device_event;
mod door_event;
mod group;
mod household;
mod idempotency;
mod incident;
mod incident_row;
mod intake;
mod joining;
mod key_file;
mod many;
mod message;
mod outbox;
mod passkey;
mod person;
mod retention;
mod rights;
pub mod rotate;
mod row;
pub mod seal;
mod signal;
mod site;
mod standing;
pub mod traces;
mod unreadable;
mod viewing;

use act::Writer;
use domain::audit::Entry;
use domain::repository::{Error, Repository, Result};
use seal::SealingKey;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, Connection as _};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::{error, info};

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How long a statement waits for a connection or a lock before it is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is set on every SQLite connection: an acknowledged write survives a
/// power cut, references hold, and of what is removed nothing stays in the file.
const PRAGMAS: &[&str] = &[
    "pragma journal_mode = wal",
    "pragma synchronous = full",
    "pragma foreign_keys = on",
    "pragma busy_timeout = 5000",
    "pragma secure_delete = on",
];

/// The house's memory.
#[derive(Debug)]
pub struct Store {
    read: AnyPool,
    /// SQLite has one writer: one connection, so writers queue instead of failing.
    write: Writer,
    sealing: SealingKey,
    /// Where it is, if it is a file.
    file: Option<PathBuf>,
    intake: Arc<intake::Intake>,
    unreadable: Arc<unreadable::Unreadable>,
}

/// Why the store could not be opened; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is neither of the two databases.
    #[error("database.url begins with sqlite: or postgres:")]
    Scheme,
    /// The database does not answer or refuses.
    #[error("the database cannot be opened: {0}")]
    Connect(#[source] sqlx::Error),
    /// The key is not the one that the database was sealed with.
    #[error(
        "the secrets in the database were not sealed with the key in {0}; restore the key file that belongs to it"
    )]
    Key(String),
    /// The key's file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] seal::KeyError),
    /// The tables could not be brought up to date.
    #[error("the database cannot be brought up to date: {0}")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// SQLite does not do what durability needs.
    #[error(
        "SQLite does not accept `{0}`, without which events could be lost; is the file on a network drive?"
    )]
    Pragma(&'static str),
}

impl Store {
    /// Opens `url` (`sqlite:path` or `postgres://…`) and brings it up to date.
    pub async fn open(url: &str, sealing: SealingKey) -> std::result::Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let (options, sqlite) = if let Some(path) = url.strip_prefix("sqlite:") {
            (AnyConnectOptions::from_str(&format!("sqlite:{path}?mode=rwc")), true)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            (AnyConnectOptions::from_str(url), false)
        } else {
            return Err(OpenError::Scheme);
        };
        let options = options.map_err(OpenError::Connect)?;
        let pool = |connections, writes| {
            let options = options.clone();
            async move {
                let mut pool = AnyPoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(PATIENCE)
                    // A server may have gone since; a file has not, and asking first costs
                    // as much as most questions.
                    .test_before_acquire(!sqlite);
                if sqlite {
                    let unusable = Arc::new(AtomicBool::new(false));
                    pool = pool
                        .after_connect(move |connection, _| {
                            let unusable = Arc::clone(&unusable);
                            Box::pin(async move { say(prepare(connection, writes).await, &unusable) })
                        })
                        .after_release(|connection, _| Box::pin(is_clean(connection)));
                }
                pool.connect_with(options).await.map_err(OpenError::Connect)
            }
        };
        let write = pool(if sqlite { 1 } else { 8 }, true).await?;
        let migrator = if sqlite { &SQLITE } else { &POSTGRES };
        migrator.run(&write).await.map_err(OpenError::Migrate)?;
        if sqlite {
            check_pragmas(&write).await?;
        }
        let sealing = rotate::settle(&write, sealing).await?;
        let read = pool(8, false).await?;
        let intake = Arc::new(intake::Intake::start(write.clone()));
        let file = url.strip_prefix("sqlite:").map(PathBuf::from);
        Ok(Self { read, write: Writer::new(write), sealing, file, intake, unreadable: Arc::default() })
    }

    /// Commits what is queued and closes all connections.
    pub async fn close(&self) {
        self.intake.close().await;
        self.read.close().await;
        self.write.close().await;
    }
}

impl Repository for Store {
    fn noting(&self, entry: Entry) -> Box<dyn Repository> {
        Box::new(Self {
            read: self.read.clone(),
            write: self.write.noting(entry),
            sealing: self.sealing.clone(),
            file: self.file.clone(),
            intake: Arc::clone(&self.intake),
            unreadable: Arc::clone(&self.unreadable),
        })
    }
}

/// Makes a connection to SQLite one that may be used.
async fn prepare(connection: &mut AnyConnection, writes: bool) -> std::result::Result<(), sqlx::Error> {
    for pragma in PRAGMAS {
        sqlx::query(*pragma).execute(&mut *connection).await?;
    }
    if writes {
        // While a disk is read-only SQLite opens a file only for reading, without a word;
        // that connection would go on so when the disk takes writes again.
        let begun = sqlx::query("begin immediate").execute(&mut *connection).await;
        match begun {
            Err(error) if is_read_only(&error) => return Err(error),
            // Somebody else writes just now.
            Err(_) => {}
            Ok(_) => {
                sqlx::query("rollback").execute(&mut *connection).await?;
            }
        }
    }
    Ok(())
}

/// Says when connections begin to be unusable and when that is over. The pool tries again
/// all the time, and says so each time where nobody hears it.
fn say(
    prepared: std::result::Result<(), sqlx::Error>,
    unusable: &AtomicBool,
) -> std::result::Result<(), sqlx::Error> {
    let before = unusable.swap(prepared.is_err(), Ordering::Relaxed);
    match &prepared {
        Err(error) if !before => error!(%error, "the database cannot be used; it is tried again"),
        Ok(()) if before => info!("the database can be used again"),
        _ => {}
    }
    prepared
}

fn is_read_only(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    // SQLITE_READONLY, of whatever kind.
    code.is_some_and(|code| code & 0xff == 8)
}

/// Whether a connection to SQLite may be used again. A commit that failed may leave it
/// within a transaction that nobody ends, and what is "committed" inside that is not kept.
async fn is_clean(connection: &mut AnyConnection) -> std::result::Result<bool, sqlx::Error> {
    // What is to be rolled back is by now.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn check_pragmas(pool: &AnyPool) -> std::result::Result<(), OpenError> {
    let journal: String =
        sqlx::query_scalar("pragma journal_mode").fetch_one(pool).await.map_err(OpenError::Connect)?;
    let synchronous: i64 =
        sqlx::query_scalar("pragma synchronous").fetch_one(pool).await.map_err(OpenError::Connect)?;
    let foreign_keys: i64 =
        sqlx::query_scalar("pragma foreign_keys").fetch_one(pool).await.map_err(OpenError::Connect)?;
    for (holds, pragma) in [
        (journal == "wal", "journal_mode = wal"),
        (synchronous == 2, "synchronous = full"),
        (foreign_keys == 1, "foreign_keys = on"),
    ] {
        if !holds {
            return Err(OpenError::Pragma(pragma));
        }
    }
    Ok(())
}

/// What a database error means to the caller.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn failed(error: sqlx::Error) -> Error {
    use sqlx::error::ErrorKind;
    match &error {
        sqlx::Error::Database(db) => match db.kind() {
            ErrorKind::UniqueViolation => Error::Exists,
            ErrorKind::ForeignKeyViolation => Error::Reference,
            _ => Error::Unavailable(db.message().to_owned()),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
            Error::Corrupt(error.to_string())
        }
        _ => Error::Unavailable(error.to_string()),
    }
}

/// Whether a statement changed anything.
fn changed(result: &sqlx::any::AnyQueryResult) -> Result<bool> {
    Ok(result.rows_affected() > 0)
}
