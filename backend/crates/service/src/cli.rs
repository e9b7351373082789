//! The command line: one action, no options.

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::app::Service;
use crate::environment::{LOG_LEVEL, Variable};

/// What the program was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Run the service.
    Serve,
    /// Ask the running service whether it is alive.
    Healthcheck,
    /// Say which program this is.
    Version,
    /// Say how it is used.
    Help,
}

/// The command line makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unexpected argument {argument:?}; see --help")]
pub(crate) struct UsageError {
    argument: OsString,
}

/// What the arguments (without the program's name) ask for.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Action, UsageError> {
    let mut arguments = arguments.into_iter();
    let Some(first) = arguments.next() else {
        return Ok(Action::Serve);
    };
    let action = match first.to_str() {
        Some("--healthcheck") => Action::Healthcheck,
        Some("--version" | "-V") => Action::Version,
        Some("--help" | "-h") => Action::Help,
        _ => return Err(UsageError { argument: first }),
    };
    match arguments.next() {
        None => Ok(action),
        Some(argument) => Err(UsageError { argument }),
    }
}

/// The help text of a service.
pub(crate) fn help<S: Service>() -> String {
    let mut text = format!(
        "{about}\n\n\
         Usage: {name} [--version | --healthcheck | --help]\n\n\
         Without a flag the service runs until SIGTERM or Ctrl-C.\n\n\
         \x20 --version      print the version and the build id\n\
         \x20 --healthcheck  ask the service on the configured port whether it is alive; exit 0 or 1\n\
         \x20 --help         print this text\n\n\
         Environment (empty counts as unset):\n",
        about = S::ABOUT,
        name = S::NAME,
    );
    let all = std::iter::once(&S::ADDRESS)
        .chain(S::VARIABLES)
        .chain([&LOG_LEVEL]);
    for Variable {
        name,
        default,
        expected,
        about,
    } in all
    {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {name}: {about}\n      {expected}; default: {default}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Action, UsageError> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn one_flag_or_none() {
        assert_eq!(parse_text(""), Ok(Action::Serve));
        assert_eq!(parse_text("--version"), Ok(Action::Version));
        assert_eq!(parse_text("--healthcheck"), Ok(Action::Healthcheck));
        assert_eq!(parse_text("--help"), Ok(Action::Help));
    }

    #[test]
    fn anything_else_is_named() {
        for (text, culprit) in [
            ("--port 80", "--port"),
            ("serve", "serve"),
            ("--help --version", "--version"),
        ] {
            let message = parse_text(text).unwrap_err().to_string();
            assert_eq!(
                message,
                format!("unexpected argument {culprit:?}; see --help")
            );
        }
    }
}
