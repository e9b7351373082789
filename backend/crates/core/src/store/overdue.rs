//! Keeping the overdue marks true.

use time::Date;

use super::{BoxFuture, Store, StoreError};

/// What one sweep over the items changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Items that became overdue.
    pub marked: u64,
    /// Items that are no longer overdue.
    pub unmarked: u64,
}

impl Store {
    /// Marks the items that are overdue on this day, and no others. Doing it again changes nothing,
    /// and so does doing it twice at once.
    #[must_use]
    pub fn sweep_overdue(&self, today: Date) -> BoxFuture<'_, Result<Sweep, StoreError>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let marked = sqlx::query!(
                "UPDATE items SET overdue = 1 WHERE overdue = 0 AND done = 0 AND due_on < ?1",
                today,
            )
            .execute(&mut *transaction)
            .await?
            .rows_affected();
            let unmarked = sqlx::query!(
                "UPDATE items SET overdue = 0
                 WHERE overdue = 1 AND (done = 1 OR due_on IS NULL OR due_on >= ?1)",
                today,
            )
            .execute(&mut *transaction)
            .await?
            .rows_affected();
            transaction.commit().await?;
            Ok(Sweep { marked, unmarked })
        })
    }
}
