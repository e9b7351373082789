//! Opening the database, also when another process opens it at the same moment.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{BoxFuture, Store, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// SQLite allows one writer at a time; a few connections are enough to keep readers beside it.
const MAX_CONNECTIONS: u32 = 4;
/// How long a statement waits for another process's write to end.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, and how far apart, opening is tried again while another process opens the same file.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(100);

/// Where the database is, for example `sqlite://data/app.db`.
#[derive(Clone, Debug)]
pub struct DatabaseUrl(SqliteConnectOptions);

/// The text is not the URL of an SQLite database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of an SQLite file, such as sqlite://data/app.db")]
pub struct InvalidDatabaseUrl;

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        // A database in memory would be a different one for each connection, and for each service.
        if !url.starts_with("sqlite:") || url.contains(":memory:") || url.contains("mode=memory") {
            return Err(InvalidDatabaseUrl);
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|_| InvalidDatabaseUrl)?;
        if options.get_filename().file_name().is_none() {
            return Err(InvalidDatabaseUrl);
        }
        let options = options
            .create_if_missing(true)
            // Readers and the writer do not wait for each other, also across processes.
            .journal_mode(SqliteJournalMode::Wal)
            // With a write-ahead log this is safe against a crash of the program.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        Ok(Self(options))
    }
}

impl DatabaseUrl {
    /// The database in this file.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.0.get_filename()
    }
}

impl Store {
    /// Opens the database, creates it where it is missing, and brings its tables up to date.
    ///
    /// Safe when several processes do so at once: one migrates, the others wait and find it done.
    #[must_use]
    pub fn open(url: &DatabaseUrl) -> BoxFuture<'_, Result<Self, StoreError>> {
        Box::pin(async move {
            create_folder(url.file()).await?;
            let mut attempt = 1;
            loop {
                match try_open(url).await {
                    // Switching a new file to write-ahead logging takes an exclusive lock, for which
                    // SQLite does not wait however long the busy timeout is.
                    Err(error) if is_busy(&error) && attempt < OPEN_ATTEMPTS => {
                        tracing::debug!(attempt, "the database is busy, trying again");
                        attempt += 1;
                        tokio::time::sleep(OPEN_PAUSE).await;
                    }
                    outcome => return outcome,
                }
            }
        })
    }
}

async fn create_folder(file: &Path) -> Result<(), StoreError> {
    let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(|source| StoreError::Folder {
            folder: folder.to_owned(),
            source,
        })
}

async fn try_open(url: &DatabaseUrl) -> Result<Store, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(BUSY_TIMEOUT)
        .connect_with(url.0.clone())
        .await?;
    match migrate(&pool).await {
        Ok(()) => Ok(Store { pool }),
        Err(error) => {
            pool.close().await;
            Err(error)
        }
    }
}

/// Runs the migrations inside one write transaction. sqlx itself takes no lock on SQLite, so two
/// processes would both find a new database empty and both try to create its tables.
async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    // What `run` does, without the generic detour because of which its future cannot be sent to
    // another thread.
    MIGRATIONS
        .run_direct(None, &mut *transaction, false)
        .await?;
    transaction.commit().await?;
    Ok(())
}

fn is_busy(error: &StoreError) -> bool {
    const SQLITE_BUSY: u32 = 5;
    const SQLITE_LOCKED: u32 = 6;
    let (StoreError::Database(error) | StoreError::Migrate(MigrateError::Execute(error))) = error
    else {
        return false;
    };
    let code = error.as_database_error().and_then(DatabaseError::code);
    // The low byte is the kind of failure; the rest only says more about it.
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| matches!(code & 0xff, SQLITE_BUSY | SQLITE_LOCKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_file() {
        let url: DatabaseUrl = "sqlite://data/app.db".parse().unwrap();
        assert_eq!(url.file(), Path::new("data/app.db"));
        for text in [
            "",
            "data/app.db",
            "postgres://host/db",
            "sqlite::memory:",
            "sqlite://",
        ] {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text:?}");
        }
    }
}
