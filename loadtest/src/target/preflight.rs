//! What would spoil a run, said before it: limits of this machine, of the server, and its clock.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_protocol::Timestamp;
use rustix::process::{Resource, getrlimit, setrlimit};
use url::Url;

use crate::rest::{client_of, url_of};

/// Something that would spoil the run, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the run cannot work with it.
    pub fatal: bool,
    pub what: String,
    /// What to change.
    pub remedy: String,
}

/// Files beside the sockets: logs, the runtime's own, connections for REST.
const OTHER_FILES: u64 = 200;
/// A server whose clock is this far off is said.
const CLOCK: Duration = Duration::from_secs(2);

/// Beyond it a limit helps nobody, and there are programs that look at every file they might have open.
const MOST_FILES: u64 = 1 << 20;

/// Raises this process's limit of open files as far as it may: beside its sockets it makes REST calls, as many at once as are
/// due and not answered yet. A server that is started afterwards has it too.
pub fn raise_open_files(sockets: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = raised(limit.current, limit.maximum, sockets as u64 + OTHER_FILES);
    if raised != limit.current {
        limit.current = raised;
        // What it came to, the preflight says.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Up to the hard limit anybody may. None is no limit.
fn raised(current: Option<u64>, maximum: Option<u64>, wanted: u64) -> Option<u64> {
    let current = current?;
    let enough = wanted.max(MOST_FILES);
    let may = maximum.map_or(enough, |most| most.min(enough));
    Some(may.max(current))
}

/// Looks at everything.
pub async fn preflight(nodes: &[Url], sockets: usize, on_this_machine: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(files(sockets, on_this_machine));
    findings.extend(ports(nodes, sockets));
    for node in nodes {
        match client_of(node).build() {
            Ok(client) => findings.extend(server(&client, node).await),
            Err(error) => findings.push(Finding {
                fatal: true,
                what: format!("{node}: no client can be made: {}", innermost(&error)),
                remedy: "an https address needs the certificates of authorities: install ca-certificates".into(),
            }),
        }
    }
    findings
}

/// What lies beneath an error says most.
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}

/// One socket is one file, and another one in a server on this machine.
fn files(sockets: usize, on_this_machine: bool) -> Option<Finding> {
    let wanted = sockets as u64 + OTHER_FILES;
    let now = getrlimit(Resource::Nofile).current;
    let enough = now.is_none_or(|current| current >= wanted);
    (!enough).then(|| Finding {
        fatal: true,
        what: format!(
            "{sockets} sockets need {wanted} open files, and {} are allowed",
            now.unwrap_or_default()
        ),
        remedy: format!(
            "ulimit -Hn {0} in this shell{1}",
            wanted + 1000,
            if on_this_machine {
                ", which a server that is started here inherits"
            } else {
                ""
            }
        ),
    })
}

/// From one address to one port there are as many connections as there are ports of one's own.
fn ports(nodes: &[Url], sockets: usize) -> Option<Finding> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<usize>().ok());
    let available = ends
        .next()
        .zip(ends.next())
        .map(|(from, to)| to.saturating_sub(from) + 1)?;
    let targets: BTreeSet<_> = nodes.iter().map(Url::as_str).collect();
    let each = sockets.div_ceil(targets.len().max(1));
    // Some are in use by others, and some wait for the end of an old connection.
    let usable = available * 9 / 10;
    (each > usable).then(|| Finding {
        fatal: true,
        what: format!(
            "{each} sockets to one address and port, and this machine has {available} ports to make them from"
        ),
        remedy:
            "sysctl -w net.ipv4.ip_local_port_range='1024 65535'; beyond that, several --url or several generators \
                 (--shard)"
                .into(),
    })
}

async fn server(client: &reqwest::Client, node: &Url) -> Vec<Finding> {
    let finding = |fatal, what: String, remedy: &str| Finding {
        fatal,
        what: format!("{node}: {what}"),
        remedy: remedy.into(),
    };
    let asked = client
        .get(url_of(node, "/api/users/online"))
        .timeout(Duration::from_secs(10));
    let answer = match asked.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let (what, remedy) = unreachable(&innermost(&error));
            return vec![finding(true, what, remedy)];
        }
    };
    let mut findings = Vec::new();
    // By the contract every call below /api says which limits hold.
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    if header("ratelimit-policy").is_some_and(limits) {
        findings.push(finding(
            false,
            "it limits how much one may ask: refusals will count as errors".into(),
            "start it with RATE_LIMIT_MAX_REQUESTS=0 AUTH_RATE_LIMIT_MAX_REQUESTS=0 SOCKET_RATE_LIMIT_MAX_EVENTS=0",
        ));
    }
    if let Some(off) = header("date").and_then(clock)
        && off > CLOCK
    {
        findings.push(finding(
            false,
            format!("its clock is {} s from this machine's", off.as_secs()),
            "run NTP on both: latencies are taken from one clock, but tokens end by the server's",
        ));
    }
    if answer.status().as_u16() != 401 {
        findings.push(finding(
            true,
            format!(
                "GET /api/users/online without a token answers {}, not 401",
                answer.status()
            ),
            "is it a server of this API?",
        ));
    }
    findings
}

/// What is wrong with a server that was not reached, and what to do. Of certificates the error says it in words alone.
fn unreachable(why: &str) -> (String, &'static str) {
    match why.contains("certificate") {
        true => (
            format!("its certificate is not taken: {why}"),
            "have this machine know its authority (SSL_CERT_FILE names a file of them), or name the --url that it is for",
        ),
        false => (format!("no server answers: {why}"), "start it, or name another --url"),
    }
}

/// More than anybody asks in a window is no limit.
fn limits(policy: &str) -> bool {
    let quotas = policy
        .split([';', ','])
        .filter_map(|part| part.trim().strip_prefix("q=")?.parse::<u64>().ok());
    quotas.into_iter().any(|quota| quota < 100_000_000)
}

/// How far a clock is off that said this in a `Date` header.
fn clock(date: &str) -> Option<Duration> {
    let there = super::clock::read(date)?;
    let here = Timestamp::now().as_millis() / 1000;
    Some(Duration::from_secs(there.abs_diff(here)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_sockets_than_files_or_ports_are_said() {
        let nodes = ["http://127.0.0.1:1".parse().unwrap()];
        assert_eq!(ports(&nodes, 100), None);
        assert!(ports(&nodes, 70_000).unwrap().fatal);
        let two = [nodes[0].clone(), "http://127.0.0.1:2".parse().unwrap()];
        let most = 20_000;
        assert_eq!(ports(&two, 2 * most).is_some(), ports(&nodes, most).is_some());
        assert_eq!(files(10, true), None);
    }

    #[test]
    fn open_files_are_raised_to_what_there_may_be_and_never_lowered() {
        // Enough for its sockets is not enough for its calls.
        assert_eq!(raised(Some(1024), Some(65_536), 240), Some(65_536));
        assert_eq!(raised(Some(1024), Some(u64::MAX), 240), Some(MOST_FILES));
        assert_eq!(raised(Some(1024), None, 2 * MOST_FILES), Some(2 * MOST_FILES));
        assert_eq!(
            raised(Some(4 * MOST_FILES), Some(4 * MOST_FILES), 240),
            Some(4 * MOST_FILES)
        );
        assert_eq!(raised(None, None, 240), None);
    }

    #[test]
    fn a_certificate_that_is_not_taken_is_said() {
        let (what, remedy) = unreachable("invalid peer certificate: UnknownIssuer");
        assert!(what.contains("UnknownIssuer") && remedy.contains("authority"), "{what}");
        let (what, remedy) = unreachable("Connection refused (os error 111)");
        assert!(what.contains("refused") && remedy.contains("start it"), "{what}");
    }

    #[test]
    fn a_limit_is_told_from_none() {
        assert!(limits("\"default\";q=100;w=900"));
        assert!(!limits("\"default\";q=4294967295;w=900"));
        assert!(!limits(""));
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_fatal() {
        let nodes = ["http://127.0.0.1:1".parse().unwrap()];
        let findings = preflight(&nodes, 1, false).await;
        assert_eq!(findings.iter().map(|finding| finding.fatal).collect::<Vec<_>>(), [true]);
    }
}
