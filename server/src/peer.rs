//! Whose address a request has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// The client's address: the peer's, or what a trusted proxy says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    pub fn of(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let connected = extensions.get::<ConnectInfo<SocketAddr>>();
        let address = connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        Self(behind_proxies(address, headers, trusted))
    }

    /// As noted on the request by the envelope.
    pub fn noted(parts: &Parts) -> Self {
        let unknown = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        parts.extensions.get::<Self>().copied().unwrap_or(unknown)
    }
}

/// Each proxy appends whom it heard: read from the right, the first address that is no trusted proxy is the client's.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted =
        |address: &IpAddr| fault!(ForwardedBelieved) || trusted.iter().any(|net| net.contains(&address.to_canonical()));
    let mut address = peer;
    let said = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = said.flat_map(|value| value.split(',')).collect();
    for hop in hops.iter().rev() {
        if !is_trusted(&address) {
            break;
        }
        match hop.trim().parse() {
            Ok(next) => address = next,
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        behind_proxies(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxy = &["10.0.0.0/8"][..];
        assert_eq!(seen("1.2.3.4", &["9.9.9.9"], proxy), "1.2.3.4");
        assert_eq!(seen("10.0.0.1", &["9.9.9.9"], proxy), "9.9.9.9");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 9.9.9.9, 10.0.0.2"], proxy), "9.9.9.9");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "9.9.9.9"], proxy), "9.9.9.9");
        assert_eq!(seen("10.0.0.1", &["nonsense"], proxy), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[], proxy), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["9.9.9.9"], &[]), "10.0.0.1");
    }
}
