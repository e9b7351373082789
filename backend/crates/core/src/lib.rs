//! The domain and its storage.
//!
//! [`item`] says what an item is and which input is acceptable; it knows neither HTTP nor SQL.
//! [`store`] keeps items in SQLite; it is the only place that knows SQL. Services depend on this
//! crate, never the other way round.

pub mod item;
pub mod store;

pub use item::{Draft, FieldError, Invalid, Item, ItemId, ItemPatch, NewItem, PatchDraft};
pub use store::{DatabaseUrl, ListQuery, Page, Store, StoreError};
