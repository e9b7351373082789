//! Which program this is.

use std::fmt;

use serde::Serialize;

/// Which program this is, and from which sources it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The name of the service.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What the build that made it was called.
    pub build_id: &'static str,
}

impl Identity {
    /// The build id is `dev` where the build named none.
    #[must_use]
    pub fn new(
        service: &'static str,
        version: &'static str,
        build_id: Option<&'static str>,
    ) -> Self {
        Self {
            service,
            version,
            build_id: build_id.filter(|id| !id.is_empty()).unwrap_or("dev"),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            version,
            build_id,
        } = self;
        write!(f, "{service} {version} (build {build_id})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_a_name_is_dev() {
        let text = |build_id| Identity::new("api", "0.1.0", build_id).to_string();
        assert_eq!(text(Some("abc")), "api 0.1.0 (build abc)");
        assert_eq!(text(Some("")), "api 0.1.0 (build dev)");
        assert_eq!(text(None), "api 0.1.0 (build dev)");
    }
}
