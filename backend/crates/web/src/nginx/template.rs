//! What nginx's configuration is filled in with.

use std::fmt;
use std::net::IpAddr;

use tracing::level_filters::LevelFilter;

/// The configuration can't be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody knows this name.
    Unknown(String),
    /// This value would mean something else in a configuration.
    Value(&'static str, String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "nobody knows what ${{{name}}} is"),
            Self::Value(name, value) => {
                write!(
                    f,
                    "${{{name}}} is {value:?}, which can't stand in a configuration"
                )
            }
        }
    }
}

/// Fills in the names in capital letters, such as `${API_URL}`; nginx's own are in small ones.
pub(crate) fn fill(template: &str, values: &[(&'static str, &str)]) -> Result<String, Fault> {
    for (name, value) in values {
        if value.contains(['"', '\\', '$', ';', '{', '}', '\n', '\r']) {
            return Err(Fault::Value(name, (*value).to_owned()));
        }
    }
    let mut pieces = template.split("${");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((name, rest)) if is_ours(name) => {
                let found = values.iter().find(|(known, _)| *known == name);
                let (_, value) = found.ok_or_else(|| Fault::Unknown(name.to_owned()))?;
                text.push_str(value);
                text.push_str(rest);
            }
            _ => {
                text.push_str("${");
                text.push_str(piece);
            }
        }
    }
    Ok(text)
}

fn is_ours(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// From which severity on nginx's errors are logged, and which statuses of requests are, as a regular
/// expression: those that this program would log.
pub(crate) fn log_levels(level: LevelFilter) -> (&'static str, &'static str) {
    if level >= LevelFilter::DEBUG {
        ("info", ".")
    } else if level == LevelFilter::INFO {
        ("warn", ".")
    } else if level == LevelFilter::WARN {
        ("warn", "^5")
    } else if level == LevelFilter::ERROR {
        ("error", "^-")
    } else {
        ("emerg", "^-")
    }
}

/// The name servers of /etc/resolv.conf, as nginx writes them.
pub(crate) fn resolvers(text: &str) -> String {
    let found: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = (words.next()? == "nameserver").then(|| words.next())??;
            // A link's own address is no use without the link.
            match address.parse().ok()? {
                IpAddr::V4(address) => Some(address.to_string()),
                IpAddr::V6(address) => Some(format!("[{address}]")),
            }
        })
        .collect();
    if found.is_empty() {
        "127.0.0.1".to_owned()
    } else {
        found.join(" ")
    }
}

/// The same host and port, the host by its address where /etc/hosts has it: nginx asks name servers
/// alone.
pub(crate) fn known_host(authority: &str, hosts: &str) -> String {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, format!(":{port}")),
        _ => (authority, String::new()),
    };
    let entries = hosts.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        let mut words = words.filter(|name| name.eq_ignore_ascii_case(host));
        words.next().map(|_| address)
    });
    // `localhost` has two, and programs listen on the first kind more often.
    match entries.min_by_key(IpAddr::is_ipv6) {
        Some(IpAddr::V4(address)) => format!("{address}{port}"),
        Some(IpAddr::V6(address)) => format!("[{address}]{port}"),
        None => authority.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_capitals_are_filled_in() {
        let values = [("API_URL", "http://api:8080"), ("ROOT", "/srv/a b")];
        let text = r#"root "${ROOT}"; set $a "${API_URL}${request_uri}"; map ${x"#;
        assert_eq!(
            fill(text, &values).unwrap(),
            r#"root "/srv/a b"; set $a "http://api:8080${request_uri}"; map ${x"#
        );
    }

    #[test]
    fn what_nobody_knows_is_named() {
        let fault = fill("listen ${PORT};", &[("ROOT", "/")]).unwrap_err();
        assert_eq!(fault.to_string(), "nobody knows what ${PORT} is");
    }

    #[test]
    fn a_value_stays_a_value() {
        let fault = fill("", &[("ROOT", "/srv; include /etc/passwd")]).unwrap_err();
        assert_eq!(
            fault.to_string(),
            r#"${ROOT} is "/srv; include /etc/passwd", which can't stand in a configuration"#
        );
    }

    #[test]
    fn name_servers_are_those_of_the_container() {
        let text = "# x\nsearch lan\nnameserver 127.0.0.11\nnameserver fd00::1\noptions ndots:0\n";
        assert_eq!(resolvers(text), "127.0.0.11 [fd00::1]");
        assert_eq!(resolvers("nameserver fe80::1%eth0\n"), "127.0.0.1");
    }

    #[test]
    fn a_host_of_this_machine_is_its_address() {
        let hosts = "::1 localhost ip6-localhost\n127.0.0.1\tlocalhost # api\n10.0.0.7 db Store\n";
        for (authority, expected) in [
            ("localhost:80", "127.0.0.1:80"),
            ("ip6-localhost:80", "[::1]:80"),
            ("store", "10.0.0.7"),
            ("api:8080", "api:8080"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(known_host(authority, hosts), expected, "{authority}");
        }
    }

    #[test]
    fn requests_are_logged_as_without_nginx() {
        assert_eq!(log_levels(LevelFilter::TRACE), ("info", "."));
        assert_eq!(log_levels(LevelFilter::INFO), ("warn", "."));
        assert_eq!(log_levels(LevelFilter::WARN), ("warn", "^5"));
        assert_eq!(log_levels(LevelFilter::OFF), ("emerg", "^-"));
    }
}
