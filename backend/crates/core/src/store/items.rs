//! Create, read, change, delete, list.

use sqlx::SqliteConnection;
use time::{Date, OffsetDateTime};

use super::{BoxFuture, Store, StoreError};
use crate::item::{Item, ItemId, ItemPatch, NewItem};

/// Which part of the list is wanted. Newest items come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// How many items at most.
    pub limit: u16,
    /// Only items older than this one.
    pub before: Option<ItemId>,
    /// Only items that are done, or only those that are not.
    pub done: Option<bool>,
}

/// A part of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The items, newest first.
    pub items: Vec<Item>,
    /// What [`ListQuery::before`] has to be for the next part; none when this is the last.
    pub next: Option<ItemId>,
    /// How many items there are in the whole list.
    pub total: u64,
}

impl Store {
    /// Keeps a new item.
    #[must_use]
    pub fn create(&self, new: NewItem) -> BoxFuture<'_, Result<Item, StoreError>> {
        Box::pin(async move {
            let now = now();
            let item = Item {
                id: ItemId::generate(),
                title: new.title,
                notes: new.notes,
                due_on: new.due_on,
                done: new.done,
                overdue: false,
                created_at: now,
                updated_at: now,
            };
            sqlx::query!(
                "INSERT INTO items (id, title, notes, due_on, done, overdue, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                item.id,
                item.title,
                item.notes,
                item.due_on,
                item.done,
                item.overdue,
                item.created_at,
                item.updated_at,
            )
            .execute(&self.pool)
            .await?;
            Ok(item)
        })
    }

    /// The item, if there is one.
    #[must_use]
    pub fn get(&self, id: ItemId) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        Box::pin(async move {
            let item = sqlx::query_as!(
                Item,
                r#"SELECT id AS "id: ItemId", title, notes, due_on AS "due_on: Date",
                          done AS "done: bool", overdue AS "overdue: bool",
                          created_at AS "created_at: OffsetDateTime",
                          updated_at AS "updated_at: OffsetDateTime"
                   FROM items WHERE id = ?1"#,
                id,
            )
            .fetch_optional(&self.pool)
            .await?;
            Ok(item)
        })
    }

    /// Changes the item, if there is one, and returns what it is now.
    #[must_use]
    pub fn update(
        &self,
        id: ItemId,
        patch: ItemPatch,
    ) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        Box::pin(async move {
            // One statement, so that two changes of different fields at the same time both last.
            let sets_due_on = patch.due_on.is_some();
            let due_on = patch.due_on.flatten();
            let now = now();
            let item = sqlx::query_as!(
                Item,
                r#"UPDATE items
                   SET title = COALESCE(?2, title), notes = COALESCE(?3, notes),
                       due_on = CASE WHEN ?4 THEN ?5 ELSE due_on END,
                       done = COALESCE(?6, done), updated_at = ?7
                   WHERE id = ?1
                   RETURNING id AS "id!: ItemId", title AS "title!", notes AS "notes!",
                             due_on AS "due_on: Date", done AS "done!: bool",
                             overdue AS "overdue!: bool",
                             created_at AS "created_at!: OffsetDateTime",
                             updated_at AS "updated_at!: OffsetDateTime""#,
                id,
                patch.title,
                patch.notes,
                sets_due_on,
                due_on,
                patch.done,
                now,
            )
            .fetch_optional(&self.pool)
            .await?;
            Ok(item)
        })
    }

    /// Deletes the item and says whether there was one.
    #[must_use]
    pub fn delete(&self, id: ItemId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let outcome = sqlx::query!("DELETE FROM items WHERE id = ?1", id)
                .execute(&self.pool)
                .await?;
            Ok(outcome.rows_affected() > 0)
        })
    }

    /// A part of the list.
    #[must_use]
    pub fn list(&self, query: ListQuery) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            // In one transaction, so that the part and the total are of the same moment.
            let mut transaction = self.pool.begin().await?;
            let total = count(&mut transaction, query.done).await?;
            // One more than asked for tells whether there is a next part.
            let mut items = select(&mut transaction, query, u32::from(query.limit) + 1).await?;
            transaction.commit().await?;

            let limit = usize::from(query.limit);
            let has_more = items.len() > limit;
            items.truncate(limit);
            let next = items.last().map(|item| item.id).filter(|_| has_more);
            Ok(Page { items, next, total })
        })
    }
}

async fn count(connection: &mut SqliteConnection, done: Option<bool>) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        "SELECT COUNT(*) FROM items WHERE ?1 IS NULL OR done = ?1",
        done,
    )
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

async fn select(
    connection: &mut SqliteConnection,
    query: ListQuery,
    limit: u32,
) -> Result<Vec<Item>, StoreError> {
    let items = sqlx::query_as!(
        Item,
        r#"SELECT id AS "id: ItemId", title, notes, due_on AS "due_on: Date",
                  done AS "done: bool", overdue AS "overdue: bool",
                  created_at AS "created_at: OffsetDateTime",
                  updated_at AS "updated_at: OffsetDateTime"
           FROM items
           WHERE (?1 IS NULL OR done = ?1) AND (?2 IS NULL OR id < ?2)
           ORDER BY id DESC LIMIT ?3"#,
        query.done,
        query.before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(items)
}

/// The time, in milliseconds: more digits would only claim a precision that nobody needs.
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc().truncate_to_millisecond()
}
