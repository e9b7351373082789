//! The static files of the UI.
//!
//! Two kinds of files are treated apart. A file whose name holds a digest of its content never
//! changes: the browser keeps it for good. Any other file, `index.html` first of all, is asked for
//! again each time, and answered with "not modified" by its content: its time and size, which are
//! the usual measure, are equal for two builds where a build sets all times to one value.

mod path;
mod validator;

use std::io;
use std::path::Path;

use app_service::Problem;
use app_service::http::observe::RouteLabel;
use app_service::http::problem;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tower_http::services::ServeDir;

use path::AssetPath;

const INDEX: &str = "/index.html";
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
const ALLOWED: HeaderValue = HeaderValue::from_static("GET,HEAD");

/// The folder with the files.
#[derive(Clone, Debug)]
pub(crate) struct Assets {
    files: ServeDir,
    index: std::path::PathBuf,
}

/// The routes: every path is a file, or is none.
pub(crate) fn routes(assets: Assets) -> Router {
    Router::new().fallback(answer).with_state(assets)
}

async fn answer(State(assets): State<Assets>, request: Request) -> Response {
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => assets
            .find(request.into_parts().0)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        _ => {
            let detail = "files can only be read";
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
            ([(header::ALLOW, ALLOWED)], problem).into_response()
        }
    };
    response.extensions_mut().insert(RouteLabel("static"));
    response
}

impl Assets {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            files: ServeDir::new(root)
                .append_index_html_on_directories(false)
                .precompressed_zstd()
                .precompressed_br()
                .precompressed_gzip(),
            index: root.join("index.html"),
        }
    }

    /// Says so in the log when there is no UI: the service works without, but hardly on purpose.
    pub(crate) async fn warn_if_empty(&self) {
        if !tokio::fs::try_exists(&self.index).await.unwrap_or(false) {
            tracing::warn!(file = %self.index.display(), "there is no such file");
        }
    }

    async fn find(&self, request: Parts) -> Result<Response, Problem> {
        let path = AssetPath::parse(request.uri.path()).ok_or_else(nothing_here)?;
        let (found, cache_control) = if path.is_immutable() {
            let request = Request::from_parts(request, Body::empty());
            (self.read(request).await?, FOREVER)
        } else {
            (self.read_changing(&path, &request).await?, ASK_AGAIN)
        };
        let mut response = found.ok_or_else(nothing_here)?;
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, cache_control);
        Ok(response)
    }

    /// A file whose content may change, or the index in its place.
    async fn read_changing(
        &self,
        path: &AssetPath,
        request: &Parts,
    ) -> Result<Option<Response>, Problem> {
        let index = Uri::from_static(INDEX);
        if path.is_root() {
            return self.read_revalidated(index, request).await;
        }
        let found = self.read_revalidated(request.uri.clone(), request).await?;
        if found.is_none() && path.has_no_extension() && accepts_html(&request.headers) {
            // The UI's router knows this path, or shows its own "not found".
            return self.read_revalidated(index, request).await;
        }
        Ok(found)
    }

    /// The file, with a validator made from its content.
    async fn read_revalidated(
        &self,
        uri: Uri,
        request: &Parts,
    ) -> Result<Option<Response>, Problem> {
        // No condition and no range: the file is needed whole.
        let passed = [header::ACCEPT_ENCODING];
        let whole = bare_request(Method::GET, &uri, &request.headers, &passed);
        let Some(response) = self.read(whole).await? else {
            return Ok(None);
        };
        match validator::add(response, &request.headers).await {
            Ok(Some(response)) => Ok(Some(response)),
            // Too large to be read for each request: time and size have to do.
            Ok(None) => {
                let passed = [
                    header::ACCEPT_ENCODING,
                    header::RANGE,
                    header::IF_RANGE,
                    header::IF_NONE_MATCH,
                    header::IF_MODIFIED_SINCE,
                ];
                let method = request.method.clone();
                let request = bare_request(method, &uri, &request.headers, &passed);
                self.read(request).await
            }
            Err(error) => Err(Problem::internal(&error)),
        }
    }

    /// The file, as it is; none where there is none.
    async fn read(&self, request: Request) -> Result<Option<Response>, Problem> {
        match self.files.clone().try_call(request).await {
            Ok(response) if response.status() == StatusCode::NOT_FOUND => Ok(None),
            Ok(response) => Ok(Some(response.map(Body::new))),
            Err(error) => match error.kind() {
                io::ErrorKind::InvalidFilename
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::NotFound => Ok(None),
                _ => Err(Problem::internal(&error)),
            },
        }
    }
}

fn bare_request(
    method: Method,
    uri: &Uri,
    headers: &HeaderMap,
    passed: &[header::HeaderName],
) -> Request {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = uri.clone();
    for name in passed {
        for value in headers.get_all(name) {
            request.headers_mut().append(name, value.clone());
        }
    }
    request
}

/// Whether a page is wanted, as a browser does when it navigates, and not data.
fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/html"))
}

fn nothing_here() -> Problem {
    Problem::not_found(problem::NOTHING_HERE)
}
