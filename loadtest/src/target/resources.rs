//! What a server uses: from the kernel when its processes are on this machine, and from its `/metrics`.

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::rest::{client_of, is_encrypted};

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    /// Processes of this machine.
    pub processes: Vec<u32>,
    /// Those of the database that a server of ours runs on.
    pub databases: Vec<u32>,
    /// Pages of metrics in Prometheus' format.
    pub metrics: Vec<Url>,
    /// Opens them.
    pub token: Option<String>,
}

/// What was used in one second, by all nodes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    pub second: u32,
    /// Seconds of processor time since the look before, per second.
    pub cores: Option<f64>,
    /// Resident memory in MiB.
    pub memory: Option<f64>,
    /// Connected sockets.
    pub sockets: Option<u64>,
    /// Writes that wait to be committed.
    pub queue: Option<u64>,
    /// Of the database, where it is a process of ours.
    #[serde(default)]
    pub database_cores: Option<f64>,
    #[serde(default)]
    pub database_memory: Option<f64>,
}

/// One look.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Look {
    /// Processor time so far.
    pub cpu: Option<Duration>,
    pub memory: Option<f64>,
    pub sockets: Option<u64>,
    pub queue: Option<u64>,
    pub database_cpu: Option<Duration>,
    pub database_memory: Option<f64>,
}

const SOCKETS: &str = "chat_sockets";
const QUEUE: &str = "chat_store_queue_depth";
/// As Prometheus' own libraries name them.
const CPU: &str = "process_cpu_seconds_total";
const MEMORY: &str = "process_resident_memory_bytes";
/// What is looked for on a page.
const NAMES: [&str; 4] = [SOCKETS, QUEUE, CPU, MEMORY];

impl Resources {
    /// What asks for the metrics; none when there are none to ask for.
    pub(crate) fn client(&self) -> Option<reqwest::Client> {
        let page = self.metrics.iter().max_by_key(|page| is_encrypted(page))?;
        client_of(page).build().ok()
    }

    /// Whether anybody tells how much memory a server uses.
    pub async fn tell_memory(&self) -> bool {
        self.look(self.client().as_ref()).await.memory.is_some()
    }

    /// What is wrong with the pages of metrics that were named: whoever asks for them wants them.
    ///
    /// # Errors
    ///
    /// Says which page, and why it cannot be read.
    pub async fn check(&self) -> Result<(), String> {
        let Some(client) = self.client() else {
            return match self.metrics.first() {
                Some(page) => Err(format!("{page}: no client can be made")),
                None => Ok(()),
            };
        };
        for page in &self.metrics {
            let text = self
                .read(&client, page)
                .await
                .map_err(|error| format!("{page}: {error}"))?;
            if NAMES.iter().all(|name| value(&text, name).is_none()) {
                return Err(format!("{page}: it has none of {}", NAMES.join(", ")));
            }
        }
        Ok(())
    }

    async fn read(&self, client: &reqwest::Client, page: &Url) -> reqwest::Result<String> {
        let mut request = client.get(page.clone()).timeout(Duration::from_millis(800));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await?.error_for_status()?.text().await
    }

    /// Looks at all nodes at once. What one of them does not tell this time, is not known of all.
    pub async fn look(&self, client: Option<&reqwest::Client>) -> Look {
        let pages = match client {
            Some(client) => join_all(self.metrics.iter().map(|page| self.read(client, page))).await,
            None => Vec::new(),
        };
        let of_pages = |name| sum(pages.iter().map(|page| value(page.as_ref().ok()?, name)));
        let (cpu, memory) = match self.processes.is_empty() {
            true => (of_pages(CPU), of_pages(MEMORY).map(|bytes| bytes / MIB)),
            false => of_processes(&self.processes),
        };
        let (database_cpu, database_memory) = of_processes(&self.databases);
        let time = |seconds: Option<f64>| Duration::try_from_secs_f64(seconds?).ok();
        Look {
            cpu: time(cpu),
            memory,
            sockets: of_pages(SOCKETS).map(|count| count as u64),
            queue: of_pages(QUEUE).map(|count| count as u64),
            database_cpu: time(database_cpu),
            database_memory,
        }
    }
}

/// Seconds of processor time and MiB of all of them together.
fn of_processes(processes: &[u32]) -> (Option<f64>, Option<f64>) {
    let names: Vec<String> = processes.iter().map(u32::to_string).collect();
    let times = names.iter().map(|name| cpu(name).map(|time| time.as_secs_f64()));
    (sum(times), sum(names.iter().map(|name| memory(name))))
}

/// All of them together; `None` when there are none, or one is missing.
fn sum(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.iter().sum())
}

/// A server that uses fewer cores has nothing to do.
const IDLE: f64 = 0.05;
/// Between two looks at that.
const MEANWHILE: Duration = Duration::from_secs(1);

impl Resources {
    /// Waits until the server has nothing to do: what it put off while it was busy is then done. At most so long; not at all when
    /// nobody tells what it uses.
    pub async fn settle(&self, at_most: Duration) {
        let client = self.client();
        let began = Instant::now();
        let mut before = self.look(client.as_ref()).await.cpu;
        while let Some(used) = before
            && began.elapsed() + MEANWHILE <= at_most
        {
            sleep(MEANWHILE).await;
            let now = self.look(client.as_ref()).await.cpu;
            let is_idle = |now: Duration| now.saturating_sub(used) < MEANWHILE.mul_f64(IDLE);
            if now.is_none_or(is_idle) {
                return;
            }
            before = now;
        }
    }
}

/// Processor time of this process so far.
#[must_use]
pub fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of this process in MiB.
#[must_use]
pub fn own_memory() -> Option<f64> {
    memory("self")
}

const MIB: f64 = 1024.0 * 1024.0;
/// Clock ticks in a second, as Linux reports processor time.
const TICKS: u64 = 100;

fn cpu(process: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before may hold anything, spaces and brackets too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let (user, system) = (ticks()?, ticks()?);
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

fn memory(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The sum of all lines of this name, whatever their labels.
fn value(page: &str, name: &str) -> Option<f64> {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest,
        };
        rest.strip_prefix(' ')?.split(' ').next()?.trim().parse::<f64>().ok()
    };
    let values: Vec<f64> = page.lines().filter_map(of).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_read_with_and_without_labels() {
        let page = "# HELP chat_sockets Connected sockets.\n# TYPE chat_sockets gauge\nchat_sockets 12\n\
                    chat_sockets_more 5\nx_total{a=\"1\"} 2\nx_total{a=\"2\"} 0.5 1700000000\n# EOF\n";
        assert_eq!(value(page, "chat_sockets"), Some(12.0));
        assert_eq!(value(page, "x_total"), Some(2.5));
        assert_eq!(value(page, "absent"), None);
    }

    #[test]
    fn what_one_node_does_not_tell_is_not_known_of_all() {
        assert_eq!(sum([Some(1.0), Some(2.5)].into_iter()), Some(3.5));
        assert_eq!(sum([Some(1.0), None].into_iter()), None);
        assert_eq!(sum(std::iter::empty()), None);
    }

    #[test]
    fn this_process_uses_something() {
        assert!(own_cpu() > Duration::ZERO);
        assert!(cpu("self").is_some());
        assert!(own_memory().is_some_and(|mib| mib > 1.0));
    }
}
