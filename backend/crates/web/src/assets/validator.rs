//! Validators (`ETag`s) made from a file's content.

use std::hash::{DefaultHasher, Hasher};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;

/// Files up to this size are read whole for each request.
const MAX_LEN: u64 = 1024 * 1024;

/// The same answer with an `ETag` made from its body, or "not modified" where the client has that
/// already. None where the body is too large.
pub(crate) async fn add(
    response: Response,
    request: &HeaderMap,
) -> Result<Option<Response>, axum::Error> {
    let (mut head, body) = response.into_parts();
    let length = head.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_none_or(|length| length > MAX_LEN) {
        return Ok(None);
    }
    let body = body.collect().await?.to_bytes();
    // The time would be a second opinion, and the worse one.
    head.headers.remove(header::LAST_MODIFIED);
    head.headers.remove(header::ACCEPT_RANGES);
    let tag = tag_of(&body);
    let is_known = is_known(&tag, request);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        head.headers.insert(header::ETAG, value);
    }
    if is_known {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_LENGTH);
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_ENCODING);
        return Ok(Some(Response::from_parts(head, Body::empty())));
    }
    Ok(Some(Response::from_parts(head, Body::from(body))))
}

/// A tag has to differ when the content does, and need not be the same in another release.
fn tag_of(body: &Bytes) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    format!("\"{:016x}-{:x}\"", hasher.finish(), body.len())
}

/// Whether the client has this content already. A proxy may have made the tag a weak one.
fn is_known(tag: &str, request: &HeaderMap) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(value: &'static str, tag: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
        is_known(tag, &headers)
    }

    #[test]
    fn any_of_the_known_tags_counts() {
        assert!(knows(r#""a""#, r#""a""#));
        assert!(knows(r#""b", W/"a""#, r#""a""#));
        assert!(knows("*", r#""a""#));
        assert!(!knows(r#""b""#, r#""a""#));
        assert!(!is_known(r#""a""#, &HeaderMap::new()));
    }

    #[test]
    fn the_tag_follows_the_content() {
        let tag = |text: &'static str| tag_of(&Bytes::from_static(text.as_bytes()));
        assert_eq!(tag("one"), tag("one"));
        assert_ne!(tag("one"), tag("two"));
    }
}
