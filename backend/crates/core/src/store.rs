//! Where items are kept: one SQLite file, which several processes may use at once.

mod connect;
mod items;
mod overdue;

use std::path::PathBuf;
use std::pin::Pin;

use sqlx::SqlitePool;

pub use connect::{DatabaseUrl, InvalidDatabaseUrl};
pub use items::{ListQuery, Page};
pub use overdue::Sweep;

/// What the store is going to do.
///
/// A box, and no `async fn`: rustc compiles the body of an `async fn` in each crate that awaits it,
/// again and again with all that it uses of sqlx, and what is in a box once, with this crate. The
/// allocation is nothing beside a statement.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The kept items. Cheap to clone: every clone uses the same connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

/// Why the store could not do what it was asked for. Never the fault of the input.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder of the database file is missing and cannot be created.
    #[error("cannot create the folder {} of the database", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The tables could not be brought to this version of the program.
    #[error("cannot migrate the database")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The database refused or failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl Store {
    /// Whether the database answers, with the tables that this program needs.
    #[must_use]
    pub fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            sqlx::query_scalar!("SELECT EXISTS (SELECT 1 FROM items)")
                .fetch_one(&self.pool)
                .await?;
            Ok(())
        })
    }

    /// Waits for what is under way and closes the file. To be called before the process ends, so
    /// that SQLite can tidy up its write-ahead log.
    #[must_use]
    pub fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.pool.close().await;
        })
    }
}
