//! Configuration comes from environment variables alone.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::str::FromStr;

/// A variable that a service reads. The help text is made of these.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is unset or empty.
    pub default: &'static str,
    /// Which values it takes, to complete "expected …".
    pub expected: &'static str,
    /// What it is for.
    pub about: &'static str,
}

/// How much is logged.
pub const LOG_LEVEL: Variable = Variable {
    name: "LOG_LEVEL",
    default: "info",
    expected: "error, warn, info, debug, trace or off",
    about: "how much is logged",
};

/// A variable has a value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}; expected {expected}")]
pub struct ConfigError {
    name: &'static str,
    value: OsString,
    expected: &'static str,
}

/// The environment as it was when the program started.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The value of the variable. One that is empty counts as unset: that is what Compose makes of
    /// a variable that it passes on and that nobody has set.
    pub fn read<T: FromStr>(&self, variable: &Variable) -> Result<T, ConfigError> {
        let value = self
            .0
            .get(OsStr::new(variable.name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
            .unwrap_or(OsStr::new(variable.default));
        value
            .to_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| ConfigError {
                name: variable.name,
                value: value.to_owned(),
                expected: variable.expected,
            })
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Variable = Variable {
        name: "PORT",
        default: "80",
        expected: "a number up to 65535",
        about: "the port",
    };

    fn port(value: Option<&str>) -> Result<u16, ConfigError> {
        let pairs = value.map(|value| ("PORT", value));
        pairs.into_iter().collect::<Environment>().read(&PORT)
    }

    #[test]
    fn unset_and_empty_give_the_default() {
        assert_eq!(port(None), Ok(80));
        assert_eq!(port(Some("")), Ok(80));
        assert_eq!(port(Some("8080")), Ok(8080));
    }

    #[test]
    fn an_error_names_variable_value_and_expectation() {
        let error = port(Some("http")).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"PORT is "http"; expected a number up to 65535"#
        );
    }
}
