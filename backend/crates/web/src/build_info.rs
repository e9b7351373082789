//! Which build of the UI is served.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

const FILE: &str = "build.json";
const KEY: &str = "build_id";

/// What `/version` says about the UI. The file is read each time: the UI may be built anew while
/// this runs.
pub(crate) async fn details(root: PathBuf) -> Map<String, Value> {
    let text = tokio::fs::read(root.join(FILE)).await.unwrap_or_default();
    let mut details = Map::new();
    details.insert("ui_build_id".to_owned(), build_id(&text));
    details
}

/// The build id of the UI in a folder, where it has one.
pub(crate) fn of_folder(root: &Path) -> Option<String> {
    match build_id(&std::fs::read(root.join(FILE)).ok()?) {
        Value::String(id) => Some(id),
        _ => None,
    }
}

/// The build id, or null where there is none.
fn build_id(text: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(mut object)) => match object.remove(KEY) {
            Some(Value::String(id)) => Value::String(id),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_build_has_no_id() {
        assert_eq!(of_folder(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn only_a_text_is_an_id() {
        assert_eq!(build_id(br#"{"build_id": "abc", "more": 1}"#), "abc");
        for text in [&b""[..], b"[]", b"{}", br#"{"build_id": 1}"#, b"\xff"] {
            assert_eq!(build_id(text), Value::Null);
        }
    }
}
