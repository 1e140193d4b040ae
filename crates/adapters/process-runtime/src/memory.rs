//! How much memory a child and its descendants have resident.

use rustix::process::Pid;

/// Descendants that are looked at. A child with more is far beyond what a worker needs, and is seen in what these use.
#[cfg(target_os = "linux")]
const MAX_PROCESSES: usize = 256;

/// Kilobytes resident, of the process and those that descend from it; `None` where the system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn resident_kb(pid: Pid) -> Option<u64> {
    let leader = pid.as_raw_nonzero().get();
    let mut total = one_kb(leader)?;
    let mut seen = 1;
    let mut waiting = children(leader);
    while let Some(pid) = waiting.pop() {
        seen += 1;
        if seen > MAX_PROCESSES {
            break;
        }
        // One that is gone meanwhile uses nothing.
        total = total.saturating_add(one_kb(pid).unwrap_or(0));
        waiting.extend(children(pid));
    }
    Some(total)
}

/// Kilobytes resident, of the process and those that descend from it; `None` where the system does not say.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident_kb(_: Pid) -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
fn one_kb(pid: i32) -> Option<u64> {
    vm_rss_kb(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Those a process has forked and that live. Empty where the kernel does not list them.
#[cfg(target_os = "linux")]
fn children(pid: i32) -> Vec<i32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

#[cfg(target_os = "linux")]
fn vm_rss_kb(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_resident_set_is_read_from_a_status_file() {
        assert_eq!(
            vm_rss_kb("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t    1768 kB\nRssAnon: 1 kB\n"),
            Some(1768)
        );
        assert_eq!(vm_rss_kb("Name:\tzombie\nState:\tZ\n"), None);
    }

    #[test]
    fn this_process_uses_some_memory() {
        let used = resident_kb(rustix::process::getpid()).expect("Linux says");
        assert!((500..10_000_000).contains(&used), "{used} kB");
    }
}
