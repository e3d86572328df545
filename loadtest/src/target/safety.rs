//! Load goes to loopback addresses only, unless its owner names the host.

use std::net::{IpAddr, ToSocketAddrs as _};

use url::{Host, Url};

/// The target is not one that may be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SafetyError {
    #[error("{0} is not an http or https address")]
    NoAddress(String),
    #[error(
        "{host} is not this machine. A load test of a server that is not yours is an attack: if it is yours, or its owner \
         agreed, say so with --i-own-this-target {host}"
    )]
    NotOurs { host: String },
    #[error("{0} cannot be resolved")]
    Unknown(String),
}

/// Passes loopback addresses, names that stand for nothing but loopback addresses, and hosts that are named in `owned`.
///
/// # Errors
///
/// Says what is wrong, and what to do when it is not.
pub fn check(url: &Url, owned: &[String]) -> Result<(), SafetyError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(SafetyError::NoAddress(url.to_string()));
    }
    let host = url.host().ok_or_else(|| SafetyError::NoAddress(url.to_string()))?;
    let name = host.to_string();
    if owned.iter().any(|owned| owned.eq_ignore_ascii_case(&name)) {
        return Ok(());
    }
    let loopback = match host {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => is_loopback(ip.into()),
        Host::Domain(domain) => {
            let port = url.port_or_known_default().unwrap_or(80);
            let addresses = (domain, port)
                .to_socket_addrs()
                .map_err(|_| SafetyError::Unknown(name.clone()))?;
            let addresses: Vec<_> = addresses.collect();
            !addresses.is_empty() && addresses.iter().all(|address| is_loopback(address.ip()))
        }
    };
    if loopback {
        Ok(())
    } else {
        Err(SafetyError::NotOurs { host: name })
    }
}

/// An IPv4 address in IPv6 clothes is looked at as what it is.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str, owned: &[&str]) -> Result<(), SafetyError> {
        let owned: Vec<String> = owned.iter().map(|&host| host.into()).collect();
        check(&url.parse().unwrap(), &owned)
    }

    #[test]
    fn only_this_machine_is_loaded_without_a_word() {
        for own in [
            "http://127.0.0.1:3000",
            "http://127.9.8.7/",
            "http://localhost:1",
            "https://[::1]:2",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert_eq!(checked(own, &[]), Ok(()), "{own}");
        }
        for other in [
            "http://10.0.0.1",
            "http://192.168.1.5:3000",
            "http://0.0.0.0:3000",
            "http://[::]:3000",
            "http://[::ffff:10.0.0.1]/",
            "http://127.0.0.1@198.51.100.7/",
        ] {
            assert!(
                matches!(checked(other, &[]), Err(SafetyError::NotOurs { .. })),
                "{other}"
            );
        }
        assert!(matches!(
            checked("ftp://127.0.0.1", &[]),
            Err(SafetyError::NoAddress(_))
        ));
    }

    #[test]
    fn the_owner_names_the_host_and_no_other() {
        assert_eq!(checked("http://chat.example:3000", &["CHAT.example"]), Ok(()));
        assert_eq!(checked("http://198.51.100.7", &["198.51.100.7"]), Ok(()));
        assert!(checked("http://198.51.100.8", &["198.51.100.7"]).is_err());
    }
}
