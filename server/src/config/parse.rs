//! How the text of a variable becomes a value. An error says what is wrong; what to do instead stands in the table.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::Uri;
use ipnet::IpNet;

use super::{CorsConfig, Environment, LogLevel};

type Parsed<T> = Result<T, String>;

/// Longer lives are a slip of the pen, and would overflow dates.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(super) fn number(text: &str, least: u64, most: u64) -> Parsed<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("is not a whole number".into());
    }
    match text.parse() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("is not between {least} and {most}")),
    }
}

/// `15m`, `7d`, `1.5h`, `2 days`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let not_one = || "is not a duration".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let seconds = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 0.001,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 7.0 * 86_400.0,
        "y" | "yr" | "yrs" | "year" | "years" => 365.25 * 86_400.0,
        _ => return Err(not_one()),
    };
    let amount: f64 = amount.parse().map_err(|_| not_one())?;
    let length = Duration::try_from_secs_f64(amount * seconds).map_err(|_| not_one())?;
    if length < Duration::from_secs(1) {
        return Err("is shorter than one second".into());
    }
    if length > LONGEST {
        return Err("is longer than 100 years".into());
    }
    Ok(Duration::from_secs(length.as_secs())) // Tokens count whole seconds.
}

/// At most what the contract says.
pub(super) fn authenticate_within(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        length if length > Duration::from_secs(10) => Err("is longer than the contract allows".into()),
        length => Ok(length),
    }
}

pub(super) fn host(text: &str) -> Parsed<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text).parse().map_err(|_| "is not an IP address".into())
}

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    local
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| "is not an address with a port".into())
}

/// Without TLS: the connection to Redis stays within the deployment. Says nothing of the text, which may carry a password.
pub(super) fn redis(text: &str) -> Parsed<String> {
    let Ok(address) = url::Url::parse(text) else {
        return Err("is not an address".into());
    };
    match address.scheme() {
        "rediss" | "valkeys" => Err("asks for TLS, which this build does not have towards Redis".into()),
        "redis" if address.host_str().is_none_or(str::is_empty) => Err("names no host".into()),
        "redis" => Ok(text.to_owned()),
        _ => Err("does not begin with redis://".into()),
    }
}

pub(super) fn word(text: &str) -> Parsed<String> {
    let is_word = |text: &str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    match is_word(text) {
        true => Ok(text.to_owned()),
        false => Err("has other characters, or is too long".into()),
    }
}

pub(super) fn environment(text: &str) -> Parsed<Environment> {
    match text {
        "development" => Ok(Environment::Development),
        "test" => Ok(Environment::Test),
        "production" => Ok(Environment::Production),
        _ => Err("is not an environment that the server knows".into()),
    }
}

pub(super) fn log_level(text: &str) -> Parsed<LogLevel> {
    match text.to_ascii_lowercase().as_str() {
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "http" => Ok(LogLevel::Http),
        "verbose" => Ok(LogLevel::Verbose),
        "debug" => Ok(LogLevel::Debug),
        "silly" => Ok(LogLevel::Silly),
        _ => Err("is not a level".into()),
    }
}

/// Names as Express knows them, addresses and networks.
pub(super) fn networks(text: &str) -> Parsed<Vec<IpNet>> {
    let mut networks = Vec::new();
    for item in list(text) {
        let known: &[&str] = match item {
            "loopback" => &["127.0.0.0/8", "::1/128"],
            "linklocal" => &["169.254.0.0/16", "fe80::/10"],
            "uniquelocal" => &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
            _ => &[item],
        };
        for network in known {
            let parsed = network.parse().or_else(|_| network.parse::<IpAddr>().map(IpNet::from));
            networks.push(parsed.map_err(|_| format!("names {network:?}, which is not an address or a network"))?);
        }
    }
    Ok(networks)
}

pub(super) fn cors(text: &str) -> Parsed<CorsConfig> {
    if text == "*" {
        return Ok(CorsConfig::Any);
    }
    let origins: Parsed<Vec<String>> = list(text).map(origin).collect();
    match origins? {
        origins if origins.is_empty() => Err("names no origin".into()),
        origins => Ok(CorsConfig::Origins(origins)),
    }
}

/// As a browser writes it, or it would never match.
fn origin(text: &str) -> Parsed<String> {
    let wrong = |why: &str| Err(format!("names {text:?}, which {why}"));
    if text == "*" {
        return wrong("stands alone or not at all");
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return wrong("is not an origin");
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if !authority.as_str().contains('@') => {}
        _ => return wrong("is not an origin"),
    }
    match text.split_once("://") {
        Some((_, host)) if host.contains(['/', '?', '#']) => wrong("has something behind the host"),
        _ => Ok(text.to_ascii_lowercase()),
    }
}

/// Travels in a header.
pub(super) fn bearer(text: &str) -> Parsed<String> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("has characters that a header cannot carry".into())
    }
}

/// Looks at the form alone: whether somebody answers there, the store finds out.
pub(super) fn mongodb_uri(text: &str) -> Parsed<String> {
    let rest = text
        .strip_prefix("mongodb://")
        .or_else(|| text.strip_prefix("mongodb+srv://"));
    let rest = rest.ok_or("does not begin with mongodb:// or mongodb+srv://")?;
    let (address, _options) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = address.split_once('/').unwrap_or((address, ""));
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.is_empty() || hosts.split(',').any(|host| host.is_empty() || host.starts_with(':')) {
        return Err("names no host".into());
    }
    if database.len() > 63 || database.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|']) {
        return Err("names a database as MongoDB does not allow".into());
    }
    Ok(text.to_owned())
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_jsonwebtoken_reads_them() {
        for (text, seconds) in [
            ("15m", 900),
            ("7d", 604_800),
            ("3600", 3600),
            ("1h", 3600),
            ("1s", 1),
            ("1500ms", 1),
            ("1.5h", 5400),
            ("2 days", 172_800),
            ("1w", 604_800),
            ("1y", 31_557_600),
            ("90 MIN", 5400),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "m",
            "abc",
            "-5m",
            "15 parsecs",
            "1.2.3s",
            "0",
            "0d",
            "500ms",
            "101y",
            "1e3",
            "9".repeat(400).as_str(),
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_bounds_and_no_signs() {
        assert_eq!(number("0", 0, 10), Ok(0));
        assert_eq!(number("10", 0, 10), Ok(10));
        for text in ["", "+1", "-1", "1.0", "11", " 1", "99999999999999999999999"] {
            assert!(number(text, 0, 10).is_err(), "{text}");
        }
    }

    #[test]
    fn proxies_are_addresses_networks_and_the_names_of_express() {
        let nets = networks("10.1.2.3, 192.168.0.0/16,::1 , loopback").unwrap();
        assert_eq!(nets.len(), 5);
        assert!(
            nets.iter()
                .any(|net| net.contains(&"127.5.5.5".parse::<IpAddr>().unwrap()))
        );
        assert!(
            !nets
                .iter()
                .any(|net| net.contains(&"10.1.2.4".parse::<IpAddr>().unwrap()))
        );
        assert_eq!(networks(" , "), Ok(vec![]));
        for text in ["true", "*", "10.0.0.0/33", "proxy.local"] {
            assert!(networks(text).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_are_written_as_a_browser_writes_them() {
        assert_eq!(cors("*"), Ok(CorsConfig::Any));
        assert_eq!(
            cors("https://Chat.example, http://localhost:5173"),
            Ok(CorsConfig::Origins(vec![
                "https://chat.example".into(),
                "http://localhost:5173".into()
            ]))
        );
        for text in [
            "chat.example",
            "https://a.example/",
            "https://a.example/x",
            "ftp://a.example",
            "*,https://a.example",
        ] {
            assert!(cors(text).is_err(), "{text}");
        }
        assert!(cors(",").is_err());
    }

    #[test]
    fn addresses_of_mongodb_name_hosts_and_perhaps_a_database() {
        for text in [
            "mongodb://localhost",
            "mongodb://localhost:27017/chat",
            "mongodb://ann:p%40ss@a:1,b:2,c/talk?replicaSet=rs0&authSource=admin",
            "mongodb+srv://cluster.example.org/chat",
            "mongodb://localhost/?replicaSet=rs0",
        ] {
            assert_eq!(mongodb_uri(text).as_deref(), Ok(text));
        }
        for text in [
            "localhost:27017",
            "http://localhost",
            "mongodb://",
            "mongodb:///chat",
            "mongodb://a,,b",
            "mongodb://:27017",
            "mongodb://localhost/a.b",
            "mongodb://localhost/a/b",
        ] {
            assert!(mongodb_uri(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_redis_is_an_address_with_a_host() {
        for good in ["redis://localhost:6379", "redis://:secret@10.0.0.7/2", "redis://[::1]"] {
            assert_eq!(redis(good).as_deref(), Ok(good));
        }
        for bad in [
            "localhost:6379",
            "http://localhost",
            "rediss://localhost",
            "redis://",
            "redis:///2",
            "",
        ] {
            assert!(redis(bad).is_err(), "{bad}");
        }
        let told = redis("http://:secret@localhost").unwrap_err();
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn hosts_and_addresses_know_localhost() {
        assert_eq!(host("localhost"), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(host("[::1]"), host("::1"));
        assert!(host("example.org").is_err());
        assert_eq!(address("localhost:9464"), address("127.0.0.1:9464"));
        assert!(address("9464").is_err());
    }
}
