//! The probe that a container runs inside itself: one GET, written by hand, because an HTTP client
//! would be most of the code of this program.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
const STATUS_LINE_START: &str = "HTTP/1.1 200 ";

/// Asks the service at this address whether it is alive, and returns what to print.
pub(crate) fn check(address: SocketAddr) -> Result<String, String> {
    let address = reachable(address);
    let url = format!("http://{address}/healthz");
    match get(address) {
        Ok(line) if line.starts_with(STATUS_LINE_START) => Ok(format!("healthy: {url}")),
        Ok(line) => Err(format!("unhealthy: {url} answered {line:?}")),
        Err(error) => Err(format!("unhealthy: {url}: {error}")),
    }
}

/// Listening everywhere is no address to connect to; the loopback is part of it.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn get(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // Whole and at once: a head in pieces could be answered before its end.
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut start = Vec::new();
    stream.take(256).read_to_end(&mut start)?;
    let start = String::from_utf8_lossy(&start);
    Ok(start.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn check_against(answer: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let outcome = check(address);
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /healthz HTTP/1.1\r\n")
        );
        outcome
    }

    #[test]
    fn only_200_is_healthy() {
        let line = check_against("HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert!(line.starts_with("healthy: http://127.0.0.1:"), "{line}");
        assert!(check_against("HTTP/1.1 503 Service Unavailable\r\n\r\n").is_err());
        assert!(check_against("").is_err());
    }

    #[test]
    fn nobody_there_is_unhealthy() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(check(address).unwrap_err().starts_with("unhealthy: "));
    }
}
