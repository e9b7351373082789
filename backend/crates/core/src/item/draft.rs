//! Input, and the rules that it has to pass.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use time::Date;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::{NOTES_MAX_CHARS, TITLE_MAX_CHARS};

const ISO_DATE: StaticFormatDescription = format_description!("[year]-[month]-[day]");
const ISO_DATE_LEN: usize = "2030-01-31".len();

/// A new item as a client sends it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    title: Option<String>,
    notes: Option<String>,
    due_on: Option<String>,
    done: Option<bool>,
}

/// A change to an item as a client sends it. A field that is left out stays as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchDraft {
    #[serde(default, deserialize_with = "present")]
    title: Option<String>,
    #[serde(default, deserialize_with = "present")]
    notes: Option<String>,
    #[serde(default, deserialize_with = "present")]
    due_on: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    done: Option<bool>,
}

/// Keeps "left out" and "null" apart: serde takes both for `None` otherwise. Null then is an error
/// for a field that must have a value, and clears one that need not.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A new item that passed every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewItem {
    pub(crate) title: String,
    pub(crate) notes: String,
    pub(crate) due_on: Option<Date>,
    pub(crate) done: bool,
}

/// A change that passed every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemPatch {
    pub(crate) title: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) due_on: Option<Option<Date>>,
    pub(crate) done: Option<bool>,
}

/// One rule that the input breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field, by its name in the input.
    pub field: String,
    /// What is wrong with it, for a person to read.
    pub message: String,
}

impl FieldError {
    /// An error of a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Every rule that the input breaks, so that a form can show them all at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// The errors, in the order of the fields. Never empty.
    pub errors: Vec<FieldError>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.errors.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

impl Draft {
    /// The new item, or everything that is wrong with it.
    pub fn check(self) -> Result<NewItem, Invalid> {
        let mut errors = Errors::default();
        let title = match self.title {
            Some(title) => errors.keep("title", check_title(&title)),
            None => errors.keep("title", Err("is required".to_owned())),
        };
        let notes = errors.keep("notes", check_notes(self.notes.unwrap_or_default()));
        let due_on = errors.keep("due_on", self.due_on.as_deref().map(check_date).transpose());
        match (title, notes, due_on) {
            (Some(title), Some(notes), Some(due_on)) => Ok(NewItem {
                title,
                notes,
                due_on,
                done: self.done.unwrap_or_default(),
            }),
            _ => Err(errors.into_invalid()),
        }
    }
}

impl PatchDraft {
    /// The change, or everything that is wrong with it.
    pub fn check(self) -> Result<ItemPatch, Invalid> {
        let mut errors = Errors::default();
        let title = errors.keep("title", self.title.as_deref().map(check_title).transpose());
        let notes = errors.keep("notes", self.notes.map(check_notes).transpose());
        let due_on = self
            .due_on
            .map(|due_on| due_on.as_deref().map(check_date).transpose())
            .transpose();
        let due_on = errors.keep("due_on", due_on);
        match (title, notes, due_on) {
            (Some(title), Some(notes), Some(due_on)) => Ok(ItemPatch {
                title,
                notes,
                due_on,
                done: self.done,
            }),
            _ => Err(errors.into_invalid()),
        }
    }
}

/// Collects what is wrong, field by field.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn keep<T>(&mut self, field: &str, outcome: Result<T, String>) -> Option<T> {
        outcome
            .map_err(|message| self.0.push(FieldError::new(field, message)))
            .ok()
    }

    fn into_invalid(self) -> Invalid {
        Invalid { errors: self.0 }
    }
}

fn check_title(title: &str) -> Result<String, String> {
    let title = title.trim();
    if title.is_empty() {
        Err("must not be empty".to_owned())
    } else if title.chars().count() > TITLE_MAX_CHARS {
        Err(format!("must be at most {TITLE_MAX_CHARS} characters long"))
    } else if title.chars().any(char::is_control) {
        Err("must be one line without control characters".to_owned())
    } else {
        Ok(title.to_owned())
    }
}

fn check_notes(notes: String) -> Result<String, String> {
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if notes.chars().count() > NOTES_MAX_CHARS {
        Err(format!("must be at most {NOTES_MAX_CHARS} characters long"))
    } else if notes.chars().any(is_odd) {
        Err("must not contain control characters other than line breaks and tabs".to_owned())
    } else {
        Ok(notes)
    }
}

fn check_date(text: &str) -> Result<Date, String> {
    // The length keeps out years with a sign, which the format would take.
    let date = (text.len() == ISO_DATE_LEN).then(|| Date::parse(text, ISO_DATE));
    match date {
        Some(Ok(date)) if date.year() >= 0 => Ok(date),
        _ => Err("must be a date such as 2030-01-31".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    fn draft(json: &str) -> Draft {
        serde_json::from_str(json).unwrap()
    }

    fn patch(json: &str) -> PatchDraft {
        serde_json::from_str(json).unwrap()
    }

    fn wrong_fields<T: fmt::Debug>(outcome: Result<T, Invalid>) -> Vec<String> {
        let errors = outcome.unwrap_err().errors;
        errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn a_title_is_enough_and_is_trimmed() {
        let item = draft(r#"{"title": "  water the plants\n"}"#)
            .check()
            .unwrap();
        let expected = NewItem {
            title: "water the plants".to_owned(),
            notes: String::new(),
            due_on: None,
            done: false,
        };
        assert_eq!(item, expected);
    }

    #[test]
    fn every_broken_rule_is_reported() {
        let outcome = draft(r#"{"title": " ", "notes": "\u0000", "due_on": "soon"}"#).check();
        assert_eq!(wrong_fields(outcome), ["title", "notes", "due_on"]);
        assert_eq!(wrong_fields(draft("{}").check()), ["title"]);
        let outcome = patch(r#"{"title": "", "notes": "\u0007", "due_on": "2030-1-1"}"#).check();
        assert_eq!(wrong_fields(outcome), ["title", "notes", "due_on"]);
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        assert!(check_title(&"é".repeat(200)).is_ok());
        assert!(check_title(&"e".repeat(201)).is_err());
        assert!(check_notes("é".repeat(2000)).is_ok());
        assert!(check_notes("e".repeat(2001)).is_err());
    }

    #[test]
    fn dates_have_one_spelling() {
        assert_eq!(check_date("2028-02-29"), Ok(date!(2028 - 02 - 29)));
        for text in [
            "2030-02-29",
            "2030-13-01",
            "-200-01-01",
            "+203-01-01",
            "2030-1-01",
            "",
            "😀😀😀",
        ] {
            assert!(check_date(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_patch_tells_null_from_left_out() {
        assert_eq!(patch("{}").check().unwrap().due_on, None);
        assert_eq!(
            patch(r#"{"due_on": null}"#).check().unwrap().due_on,
            Some(None)
        );
        assert!(serde_json::from_str::<PatchDraft>(r#"{"title": null}"#).is_err());
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Draft>(r#"{"title": "a", "overdue": true}"#).is_err());
    }

    #[test]
    fn all_errors_read_as_one_line() {
        let invalid = draft(r#"{"title": "", "due_on": "x"}"#)
            .check()
            .unwrap_err();
        let expected = "title: must not be empty; due_on: must be a date such as 2030-01-31";
        assert_eq!(invalid.to_string(), expected);
    }
}
