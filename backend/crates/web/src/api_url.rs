//! Where the API is.

use std::str::FromStr;

use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{Uri, uri};

/// The URL of the API's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl(Authority);

/// The text is not a URL that can be used for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidApiUrl;

impl ApiUrl {
    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        self.0.as_str()
    }

    /// The URL of a path of the API.
    pub(crate) fn with_path(&self, path: PathAndQuery) -> Result<Uri, uri::InvalidUriParts> {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.0.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts)
    }
}

impl FromStr for ApiUrl {
    type Err = InvalidApiUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| InvalidApiUrl)?;
        let is_root = matches!(uri.path(), "" | "/") && uri.query().is_none();
        match uri.authority() {
            Some(authority)
                if is_root && uri.scheme() == Some(&Scheme::HTTP) && !text.contains('@') =>
            {
                Ok(Self(authority.clone()))
            }
            _ => Err(InvalidApiUrl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_kept() {
        let url: ApiUrl = "http://api:8080/".parse().unwrap();
        let uri = url.with_path(PathAndQuery::from_static("/api/items?limit=1"));
        assert_eq!(
            uri.unwrap().to_string(),
            "http://api:8080/api/items?limit=1"
        );
    }

    #[test]
    fn only_the_root_of_an_http_server_is_taken() {
        for text in [
            "",
            "api:8080",
            "https://api",
            "http://api/v1",
            "http://u:p@api",
            "/api",
        ] {
            assert_eq!(text.parse::<ApiUrl>(), Err(InvalidApiUrl), "{text:?}");
        }
    }
}
