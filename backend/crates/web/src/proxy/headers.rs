//! Which headers pass through the proxy, and which it adds.

use app_service::http::Peer;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that are about one connection, and say nothing about the next.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes what is about the connection, also what the connection's other end declares to be so.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let declared: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&declared) {
        headers.remove(name);
    }
}

/// Tells the API who asked, and for what. What a proxy in front of this one said is kept.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, peer: Option<Peer>) {
    // The server in between has answered it already.
    headers.remove(header::EXPECT);
    // The client puts the API's own name here.
    let host = headers.remove(header::HOST);
    if let Some(host) = host {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
    if let Some(Peer(address)) = peer
        && let Ok(value) = HeaderValue::from_str(&address.ip().to_canonical().to_string())
    {
        // Several headers of this name are one list.
        headers.append(X_FORWARDED_FOR, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                let value = HeaderValue::from_static(value);
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    #[test]
    fn what_is_about_the_connection_goes() {
        let mut given = headers(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut given);
        assert_eq!(given, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn the_api_learns_who_asked() {
        let peer = Some(Peer("[::ffff:10.0.0.1]:99".parse().unwrap()));
        let mut given = headers(&[("host", "example.org")]);
        add_forwarded(&mut given, peer);
        let expected = headers(&[
            ("x-forwarded-host", "example.org"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-for", "10.0.0.1"),
        ]);
        assert_eq!(given, expected);
    }

    #[test]
    fn what_an_outer_proxy_said_is_kept() {
        let mut given = headers(&[
            ("host", "web"),
            ("x-forwarded-host", "example.org"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "192.0.2.1"),
        ]);
        add_forwarded(&mut given, Some(Peer("10.0.0.1:99".parse().unwrap())));
        assert_eq!(given[X_FORWARDED_HOST], "example.org");
        assert_eq!(given[X_FORWARDED_PROTO], "https");
        let hops: Vec<_> = given.get_all(X_FORWARDED_FOR).iter().collect();
        assert_eq!(hops, ["192.0.2.1", "10.0.0.1"]);
    }
}
