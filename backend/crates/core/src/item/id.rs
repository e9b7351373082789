//! The identity of an item.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The id of an item: a UUID v7, stored and shown as hyphenated lower-case text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct ItemId(Hyphenated);

impl ItemId {
    /// A new id, greater than every one that this process made before.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().hyphenated())
    }

    /// The id as a position in a list: a token that callers should not read anything into.
    #[must_use]
    pub fn to_cursor(self) -> String {
        self.0.into_uuid().simple().to_string()
    }

    /// The id behind a token made by [`Self::to_cursor`].
    pub fn from_cursor(cursor: &str) -> Result<Self, InvalidId> {
        let uuid = Uuid::try_parse(cursor).map_err(|_| InvalidId)?;
        let id = Self(uuid.hyphenated());
        if id.to_cursor() == cursor {
            Ok(id)
        } else {
            Err(InvalidId)
        }
    }
}

/// The text is not the id of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an item")]
pub struct InvalidId;

impl FromStr for ItemId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // One spelling per id: a lookup that also took braces or capitals would give one item
        // several URLs.
        let id = Self(Uuid::try_parse(text).map_err(|_| InvalidId)?.hyphenated());
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(InvalidId)
        }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for ItemId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_creation() {
        let ids: Vec<_> = (0..1000).map(|_| ItemId::generate()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().map(ToString::to_string).is_sorted());
    }

    #[test]
    fn text_and_cursor_lead_back_to_the_id() {
        let id = ItemId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(ItemId::from_cursor(&id.to_cursor()), Ok(id));
    }

    #[test]
    fn other_spellings_are_refused() {
        let id = ItemId::generate();
        for text in [
            String::new(),
            "1".to_owned(),
            id.to_cursor(),
            id.to_string().to_uppercase(),
            format!("{{{id}}}"),
        ] {
            assert_eq!(text.parse::<ItemId>(), Err(InvalidId), "{text:?}");
        }
        assert_eq!(ItemId::from_cursor(&id.to_string()), Err(InvalidId));
    }
}
