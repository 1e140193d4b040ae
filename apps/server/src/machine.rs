//! What the machine has, as far as advice depends on it.

use std::path::Path;

/// Cores and memory. What could not be found out is not advised upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachineFacts {
    /// Processor cores this process may use.
    pub(crate) cores: Option<usize>,
    /// Memory in megabytes: the machine's, or what a container leaves of it.
    pub(crate) memory_mb: Option<u64>,
}

// === impl MachineFacts ===

impl MachineFacts {
    /// Of this machine.
    pub(crate) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
        Self {
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory_mb: memory_mb(
                read("/proc/meminfo").as_deref(),
                read("/sys/fs/cgroup/memory.max").as_deref(),
            ),
        }
    }
}

/// The smaller of what the machine has and what its container may have.
fn memory_mb(meminfo: Option<&str>, container: Option<&str>) -> Option<u64> {
    let machine = meminfo
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("MemTotal:")))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kilobytes| kilobytes / 1024);
    let limit = container
        .and_then(|text| text.trim().parse::<u64>().ok())
        .map(|bytes| bytes >> 20);
    machine.into_iter().chain(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_limit_counts_where_it_is_lower() {
        let machine = "MemFree: 1 kB\nMemTotal:       16384000 kB\n";
        assert_eq!(memory_mb(Some(machine), Some("max\n")), Some(16_000));
        assert_eq!(memory_mb(Some(machine), Some("536870912\n")), Some(512));
        assert_eq!(memory_mb(Some("nonsense"), None), None);
    }
}
