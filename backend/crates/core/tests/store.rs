//! The store on a real file.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests"
)]

use app_core::store::Sweep;
use app_core::{Draft, Item, ListQuery, PatchDraft, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::macros::date;

struct Fixture {
    store: Store,
    url: String,
    _folder: TempDir,
}

async fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    // The folder `data` is missing on purpose.
    let url = format!("sqlite://{}", folder.path().join("data/app.db").display());
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    Fixture {
        store,
        url,
        _folder: folder,
    }
}

impl Fixture {
    async fn create(&self, draft: Value) -> Item {
        let draft: Draft = serde_json::from_value(draft).unwrap();
        self.store.create(draft.check().unwrap()).await.unwrap()
    }

    async fn update(&self, item: &Item, patch: Value) -> Option<Item> {
        let patch: PatchDraft = serde_json::from_value(patch).unwrap();
        let patch = patch.check().unwrap();
        self.store.update(item.id, patch).await.unwrap()
    }
}

const ALL: ListQuery = ListQuery {
    limit: 100,
    before: None,
    done: None,
};

#[tokio::test]
async fn what_is_created_can_be_read_changed_and_deleted() {
    let it = fixture().await;
    let created = it
        .create(json!({"title": "a", "notes": "n", "due_on": "2030-01-31"}))
        .await;
    assert_eq!(
        it.store.get(created.id).await.unwrap(),
        Some(created.clone())
    );

    let changed = it.update(&created, json!({"done": true})).await.unwrap();
    assert!(changed.done);
    assert_eq!(
        (changed.title, changed.notes),
        ("a".to_owned(), "n".to_owned())
    );
    assert_eq!(changed.due_on, Some(date!(2030 - 01 - 31)));
    let cleared = it
        .update(&created, json!({"due_on": null, "title": "b"}))
        .await
        .unwrap();
    assert_eq!((cleared.due_on, cleared.title), (None, "b".to_owned()));
    assert_eq!(it.store.get(created.id).await.unwrap().unwrap().title, "b");

    assert!(it.store.delete(created.id).await.unwrap());
    assert!(!it.store.delete(created.id).await.unwrap());
    assert_eq!(it.store.get(created.id).await.unwrap(), None);
    assert_eq!(it.update(&created, json!({"done": true})).await, None);
}

#[tokio::test]
async fn the_list_is_walked_part_by_part() {
    let it = fixture().await;
    for number in 0..7 {
        it.create(json!({"title": number.to_string(), "done": number % 2 == 0}))
            .await;
    }
    let mut titles = Vec::new();
    let mut query = ListQuery { limit: 3, ..ALL };
    loop {
        let page = it.store.list(query).await.unwrap();
        assert_eq!(page.total, 7);
        titles.extend(page.items.into_iter().map(|item| item.title));
        let Some(next) = page.next else { break };
        query.before = Some(next);
    }
    assert_eq!(titles.join(""), "6543210");

    let done = it
        .store
        .list(ListQuery {
            done: Some(true),
            ..ALL
        })
        .await
        .unwrap();
    assert_eq!((done.total, done.items.len(), done.next), (4, 4, None));
    let exact = it.store.list(ListQuery { limit: 7, ..ALL }).await.unwrap();
    assert_eq!(exact.next, None);
}

#[tokio::test]
async fn marks_follow_the_day_and_the_items() {
    let it = fixture().await;
    let late = it
        .create(json!({"title": "late", "due_on": "2030-01-30"}))
        .await;
    it.create(json!({"title": "today", "due_on": "2030-01-31"}))
        .await;
    it.create(json!({"title": "done", "due_on": "2030-01-01", "done": true}))
        .await;
    it.create(json!({"title": "any day"})).await;
    let today = date!(2030 - 01 - 31);

    let sweep = it.store.sweep_overdue(today).await.unwrap();
    assert_eq!(
        sweep,
        Sweep {
            marked: 1,
            unmarked: 0
        }
    );
    let marked = it.store.get(late.id).await.unwrap().unwrap();
    assert!(marked.overdue);
    assert_eq!(marked.updated_at, late.updated_at);
    assert_eq!(
        it.store.sweep_overdue(today).await.unwrap(),
        Sweep::default()
    );

    it.update(&late, json!({"due_on": "2030-01-31"})).await;
    let sweep = it.store.sweep_overdue(today).await.unwrap();
    assert_eq!(
        sweep,
        Sweep {
            marked: 0,
            unmarked: 1
        }
    );
    let sweep = it.store.sweep_overdue(date!(2030 - 02 - 01)).await.unwrap();
    assert_eq!(
        sweep,
        Sweep {
            marked: 2,
            unmarked: 0
        }
    );
    it.update(&late, json!({"done": true})).await;
    let sweep = it.store.sweep_overdue(date!(2030 - 02 - 01)).await.unwrap();
    assert_eq!(
        sweep,
        Sweep {
            marked: 0,
            unmarked: 1
        }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn many_may_open_one_new_file_at_once() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("app.db").display());
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let url = url.parse().unwrap();
            tokio::spawn(async move { Store::open(&url).await })
        })
        .collect();
    for store in opening {
        store.await.unwrap().unwrap().check().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_kept_is_there_after_opening_again() {
    let it = fixture().await;
    let item = it.create(json!({"title": "a"})).await;
    it.store.close().await;
    assert!(it.store.check().await.is_err());
    let again = Store::open(&it.url.parse().unwrap()).await.unwrap();
    assert_eq!(again.get(item.id).await.unwrap(), Some(item));
}
