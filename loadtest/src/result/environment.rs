//! The machine that a run was made on.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

/// What figures depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    pub system: String,
    pub processor: String,
    pub cores: usize,
    /// Which cores these are: generators of one run that say the same share them. A digest, which tells nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
    /// In GiB.
    pub memory: f64,
    /// Whether this program was built without optimization: then its own cost is several times what it should be.
    pub debug_build: bool,
    /// What else the machine had to do before the run: the load average of the last minute.
    pub load_before: f64,
}

impl Environment {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kib =
            field(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        let kernel = read("/proc/sys/kernel/osrelease");
        let processors = read("/proc/cpuinfo");
        let all = processors.lines().filter(|line| line.starts_with("processor")).count();
        Self {
            system: format!("{} {} {}", std::env::consts::OS, kernel.trim(), std::env::consts::ARCH),
            processor: field(&processors, "model name").unwrap_or_else(|| "unknown".into()),
            cores: cores(),
            shares: shares(cores() == all),
            memory: kib.map_or(0.0, |kib| (kib / 1024.0 / 1024.0 * 10.0).round() / 10.0),
            debug_build: cfg!(debug_assertions),
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

/// That this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What the kernel says there; nothing where it says nothing.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Which cores they are: all of the machine, or those that a container, a control group or an affinity leaves. `None` where the kernel
/// does not tell one machine from another.
fn shares(all: bool) -> Option<String> {
    let boot = read("/proc/sys/kernel/random/boot_id");
    if boot.trim().is_empty() {
        return None;
    }
    let mut digest = DefaultHasher::new();
    boot.trim().hash(&mut digest);
    if !all {
        std::fs::read_link("/proc/self/ns/uts").ok().hash(&mut digest);
        read("/proc/self/cgroup").hash(&mut digest);
        let status = read("/proc/self/status");
        let allowed = status.lines().find(|line| line.starts_with("Cpus_allowed_list"));
        allowed.hash(&mut digest);
    }
    Some(format!("{:016x}", digest.finish()))
}
