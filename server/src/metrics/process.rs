//! What this process uses, under the names that Prometheus' own libraries give it. Looked up when it is asked for; on Linux alone but
//! for the processor time.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::time::{ClockId, clock_gettime};

#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = ConstCounter::new(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9);
        let seconds = Some(&Unit::Seconds);
        cpu.encode(encoder.encode_descriptor("process_cpu", "Processor time", seconds, cpu.metric_type())?)?;
        if let Some(memory) = resident_memory() {
            let memory = ConstGauge::new(memory);
            let bytes = Some(&Unit::Bytes);
            memory.encode(encoder.encode_descriptor(
                "process_resident_memory",
                "Memory that is not swapped out",
                bytes,
                memory.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

/// In bytes.
fn resident_memory() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
