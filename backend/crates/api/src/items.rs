//! The routes of the items.

use app_core::{Draft, Item, ItemId, PatchDraft, Store};
use app_service::Problem;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::counts::Counts;
use crate::input::{ItemPath, JsonBody, ListParameters, invalid};

/// What the handlers need.
#[derive(Clone)]
struct Context {
    store: Store,
    counts: Counts,
}

/// A part of the list, as the client sees it.
#[derive(Serialize)]
struct ListAnswer {
    items: Vec<Item>,
    next_cursor: Option<String>,
    total: u64,
}

pub(crate) fn routes(store: Store, counts: Counts) -> Router {
    Router::new()
        .route("/", get(list).post(create))
        .route("/{id}", get(read).patch(update).delete(delete))
        .with_state(Context { store, counts })
}

async fn create(
    State(context): State<Context>,
    JsonBody(draft): JsonBody<Draft>,
) -> Result<impl IntoResponse, Problem> {
    let new = draft.check().map_err(invalid)?;
    let item = context.store.create(new).await.map_err(failed)?;
    context.counts.created.inc();
    let location = format!("/api/items/{}", item.id);
    let headers = AppendHeaders([(header::LOCATION, location)]);
    Ok((StatusCode::CREATED, headers, Json(item)))
}

async fn list(
    State(context): State<Context>,
    ListParameters(query): ListParameters,
) -> Result<Json<ListAnswer>, Problem> {
    let page = context.store.list(query).await.map_err(failed)?;
    Ok(Json(ListAnswer {
        items: page.items,
        next_cursor: page.next.map(ItemId::to_cursor),
        total: page.total,
    }))
}

async fn read(
    State(context): State<Context>,
    ItemPath(id): ItemPath,
) -> Result<Json<Item>, Problem> {
    let item = context.store.get(id).await.map_err(failed)?;
    item.map(Json).ok_or_else(no_such_item)
}

async fn update(
    State(context): State<Context>,
    ItemPath(id): ItemPath,
    JsonBody(draft): JsonBody<PatchDraft>,
) -> Result<Json<Item>, Problem> {
    let patch = draft.check().map_err(invalid)?;
    let item = context.store.update(id, patch).await.map_err(failed)?;
    let item = item.ok_or_else(no_such_item)?;
    context.counts.updated.inc();
    Ok(Json(item))
}

async fn delete(
    State(context): State<Context>,
    ItemPath(id): ItemPath,
) -> Result<StatusCode, Problem> {
    if context.store.delete(id).await.map_err(failed)? {
        context.counts.deleted.inc();
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_such_item())
    }
}

pub(crate) fn no_such_item() -> Problem {
    Problem::not_found("there is no item with this id")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
fn failed(error: app_core::StoreError) -> Problem {
    Problem::internal(&error)
}
