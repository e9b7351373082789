//! What an item is.
//!
//! Input arrives as a draft ([`Draft`], [`PatchDraft`]): right in shape, not yet in content. Checking
//! a draft gives a [`NewItem`] or an [`ItemPatch`], and the store takes nothing else, so an item that
//! breaks a rule cannot be stored by forgetting to check it.

mod draft;
mod id;

use serde::Serialize;
use time::{Date, OffsetDateTime};

pub use draft::{Draft, FieldError, Invalid, ItemPatch, NewItem, PatchDraft};
pub use id::{InvalidId, ItemId};

/// The longest title, in characters.
pub const TITLE_MAX_CHARS: usize = 200;
/// The longest notes, in characters.
pub const NOTES_MAX_CHARS: usize = 2000;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Who it is. Ids sort by time of creation.
    pub id: ItemId,
    /// What is to be done: never empty, no white space around it.
    pub title: String,
    /// Anything else worth saying.
    pub notes: String,
    /// The last day on which it is in time.
    pub due_on: Option<Date>,
    /// Whether it is done.
    pub done: bool,
    /// Whether its day has passed. Only the worker sets this.
    pub overdue: bool,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When a user last changed it. The worker's marks do not count as a change.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}
