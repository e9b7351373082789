//! From a request to what a handler takes, and to a problem where that fails.

use app_core::{Invalid, ItemId, ListQuery};
use app_service::Problem;
use app_service::http::problem::FieldProblem;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::BODY_LIMIT;
use crate::items::no_such_item;

const LIMIT_DEFAULT: u16 = 20;
const LIMIT_MAX: u16 = 100;

/// A body in JSON.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // In two steps: what is no JSON at all is another problem than JSON of the wrong shape.
        let Json(value) = Json::<Value>::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(&rejection))?;
        from_json(value).map(Self)
    }
}

fn unreadable(rejection: &JsonRejection) -> Problem {
    let status = rejection.status();
    let detail = match status {
        StatusCode::PAYLOAD_TOO_LARGE => format!("the body is larger than {BODY_LIMIT} bytes"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "the body must be application/json".to_owned(),
        _ => rejection.body_text(),
    };
    Problem::new(status, detail)
}

fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    // serde would take an array for a struct: its elements for the fields, in their order.
    if !value.is_object() {
        return Err(unprocessable([field("body", "must be a JSON object")]));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        unprocessable([field(&path, &error.inner().to_string())])
    })
}

/// The problem with input that breaks the domain's rules.
pub(crate) fn invalid(invalid: Invalid) -> Problem {
    let errors = invalid.errors.into_iter();
    unprocessable(errors.map(|error| FieldProblem {
        field: error.field,
        message: error.message,
    }))
}

fn unprocessable(errors: impl IntoIterator<Item = FieldProblem>) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "some fields are not acceptable; see errors",
    )
    .with_errors(errors)
}

fn field(field: &str, message: &str) -> FieldProblem {
    FieldProblem {
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

/// The id in the path. One that is not an id is the id of no item.
pub(crate) struct ItemPath(pub(crate) ItemId);

impl<S: Send + Sync> FromRequestParts<S> for ItemPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| no_such_item())?;
        id.parse().map(Self).map_err(|_| no_such_item())
    }
}

/// The parameters of the list.
pub(crate) struct ListParameters(pub(crate) ListQuery);

/// The parameters as text, so that each can be named when it is wrong.
#[derive(Deserialize)]
struct RawParameters {
    limit: Option<String>,
    cursor: Option<String>,
    done: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for ListParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(raw) = Query::<RawParameters>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
        raw.parse().map(Self)
    }
}

impl RawParameters {
    fn parse(self) -> Result<ListQuery, Problem> {
        let mut errors = Vec::new();
        let limit = self.limit.map_or(Some(LIMIT_DEFAULT), |limit| {
            let limit = limit.parse().ok();
            limit.filter(|limit| (1..=LIMIT_MAX).contains(limit))
        });
        if limit.is_none() {
            let message = format!("must be a number from 1 to {LIMIT_MAX}");
            errors.push(field("limit", &message));
        }
        let before = self.cursor.as_deref().map(ItemId::from_cursor).transpose();
        if before.is_err() {
            errors.push(field(
                "cursor",
                "must be a next_cursor of an earlier answer",
            ));
        }
        let done = self.done.as_deref().map(str::parse).transpose();
        if done.is_err() {
            errors.push(field("done", "must be true or false"));
        }
        if let (Some(limit), Ok(before), Ok(done)) = (limit, before, done) {
            return Ok(ListQuery {
                limit,
                before,
                done,
            });
        }
        let detail = "some parameters are not acceptable; see errors";
        Err(Problem::new(StatusCode::BAD_REQUEST, detail).with_errors(errors))
    }
}
