//! Looks at everything that is said, logged and kept while the stories run, for every
//! secret that the stories make (C08). All of it is logged at TRACE for that.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{LazyLock, Mutex, Once, RwLock};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What the stories use for passwords.
const PASSWORDS: [&str; 7] = [
    super::PASSWORD,
    "hunter2-hunter2",
    "the camera's password",
    "right-password",
    "wrong-password",
    "another long password",
    "camera-password",
];
/// Tokens are so many hexadecimal digits.
const TOKEN: usize = 64;

/// All there is, but for what the stories' own clients say, and the pictures that go into
/// WebSockets, byte by byte: to write those down was most of a story's work.
const FILTER: &str = "trace,tungstenite::handshake::client=off,reqwest=off,hyper_util::client=off,\
                      tokio_tungstenite=off,tungstenite::protocol=debug";

static TOKENS: LazyLock<RwLock<HashSet<String>>> = LazyLock::new(RwLock::default);
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A secret that only its owner may see again.
pub fn secret(token: &str) {
    assert!(token.len() == TOKEN, "{} characters", token.len());
    TOKENS.write().unwrap().insert(token.to_owned());
}

/// Secrets that an answer shows once.
pub fn shown_once(answer: &serde_json::Value) {
    for name in ["token", "key", "password"] {
        if let Some(token) = answer[name].as_str().filter(|token| token.len() == TOKEN) {
            secret(token);
        }
    }
}

/// The secret that is in there, if one is.
pub fn found_in(bytes: &[u8]) -> Option<&'static str> {
    let found = PASSWORDS.iter().find(|password| contains(bytes, password.as_bytes())).copied();
    found.or_else(|| {
        let runs = bytes.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() >= TOKEN);
        let mut texts = runs.filter_map(|run| str::from_utf8(run).ok());
        texts.any(|run| TOKENS.read().unwrap().contains(&run[..TOKEN])).then_some("a token")
    })
}

/// Looks at something that was said; what should not have been in it fails the story.
pub fn look(from: &str, bytes: &[u8]) {
    if let Some(name) = found_in(bytes) {
        let text: String = String::from_utf8_lossy(bytes).chars().take(600).collect();
        LEAKS.lock().unwrap().push(format!("{name} in {from}: {text}"));
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    // The standard library's search for texts is quick; what is no text has no passwords to read.
    match (str::from_utf8(bytes), str::from_utf8(wanted)) {
        (Ok(text), Ok(wanted)) => text.contains(wanted),
        _ => bytes.windows(wanted.len()).any(|window| window == wanted),
    }
}

/// Everything in a folder but what is there to hold a secret.
pub fn look_into(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with("key") || name.ends_with(".toml") {
            continue;
        }
        // A file may be gone again: a write-ahead log whose last user has left.
        if let Ok(bytes) = std::fs::read(entry.path()) {
            look(&name, &String::from_utf8_lossy(&bytes).into_owned().into_bytes());
        }
    }
}

/// Every row of a PostgreSQL database, as text.
pub fn look_into_database(url: &str) {
    if !url.starts_with("postgres") {
        return;
    }
    let url = url.to_owned();
    // Asked for where a house ends, which may be in the middle of a runtime.
    let looking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(rows(&url)).unwrap();
    });
    looking.join().expect("the database can be read to its last row");
}

async fn rows(url: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let tables = "select table_name::text from information_schema.tables where table_schema = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await?;
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        let rows = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut connection).await?;
        look(&table, rows.as_bytes());
    }
    connection.close().await
}

/// Fails if anything was found so far, by whichever story.
pub fn assert_nothing_leaked() {
    let leaks = LEAKS.lock().unwrap().clone();
    if !leaks.is_empty() && !std::thread::panicking() {
        panic!("C08, secrets where they must not be:\n{}", leaks.join("\n"));
    }
}

/// Listens to all logs of this process, from now on.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let log = tracing_subscriber::fmt().with_env_filter(FILTER).with_ansi(false);
        log.with_writer(Ear).finish().with(super::statements::Counter).try_init().unwrap();
    });
}

struct Ear;

impl<'a> MakeWriter<'a> for Ear {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for Ear {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        look("a log", line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
