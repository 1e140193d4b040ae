//! How many connections there may be: in total, and of one address.

use super::AcceptConfig;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Descriptors kept for everything that is not a client: database, platforms, providers, files.
const RESERVED_DESCRIPTORS: u64 = 128;

/// What the listener counts, for metrics.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    open: AtomicU64,
    refused_total: AtomicU64,
    refused_address: AtomicU64,
}

/// Counts connections and says whether there is room for one more.
#[derive(Debug)]
pub(super) struct Limits {
    total: usize,
    per_address: usize,
    exempt: Vec<IpAddr>,
    counts: Arc<ConnectionCounts>,
    /// Guards both numbers, so that looking and taking are one step. An address without connections has no entry: the
    /// map is never larger than `total`.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    limits: Arc<Limits>,
    address: Option<IpAddr>,
}

/// The most connections that leave descriptors for the rest of the process.
pub(crate) fn descriptor_bound(wanted: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    bound(wanted, limit)
}

fn bound(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else {
        return wanted;
    };
    let left = limit.saturating_sub(RESERVED_DESCRIPTORS).max(limit / 4).max(1);
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
}

// === impl ConnectionCounts ===

impl ConnectionCounts {
    /// Connections open now.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections refused because there were too many.
    pub(crate) fn refused_total(&self) -> u64 {
        self.refused_total.load(Ordering::Relaxed)
    }

    /// Connections refused because their address had too many.
    pub(crate) fn refused_address(&self) -> u64 {
        self.refused_address.load(Ordering::Relaxed)
    }
}

// === impl Limits ===

impl Limits {
    pub(super) fn new(config: &AcceptConfig, counts: Arc<ConnectionCounts>) -> Self {
        Self {
            total: config.max_connections,
            per_address: config.max_connections_per_address,
            exempt: config.exempt.iter().map(IpAddr::to_canonical).collect(),
            counts,
            open: Mutex::new(Open::default()),
        }
    }

    /// A place for a connection, if there is one.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let counted = !peer.is_loopback() && !self.exempt.contains(&peer);
        let address = counted.then(|| network(peer));
        {
            let mut open = self.open.lock();
            if open.total >= self.total {
                self.counts.refused_total.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            if let Some(address) = address {
                let of_address = open.by_address.entry(address).or_default();
                if *of_address >= self.per_address {
                    self.counts.refused_address.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                *of_address += 1;
            }
            open.total += 1;
        }
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        Some(Place {
            limits: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(of_address) = open.by_address.get_mut(&address)
        {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                open.by_address.remove(&address);
            }
        }
        self.limits.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is counted as one address: one customer usually has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total: usize, per_address: usize, exempt: &[&str]) -> Arc<Limits> {
        Arc::new(Limits::new(
            &AcceptConfig {
                max_connections: total,
                max_connections_per_address: per_address,
                exempt: exempt.iter().map(|address| address.parse().unwrap()).collect(),
                ..AcceptConfig::default()
            },
            Arc::default(),
        ))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_refused_at_its_limit_and_admitted_when_one_ends() {
        let limits = limits(10, 2, &[]);
        let first = limits.take(ip("192.0.2.1")).unwrap();
        let _second = limits.take(ip("::ffff:192.0.2.1")).unwrap();
        assert!(limits.take(ip("192.0.2.1")).is_none());
        assert!(limits.take(ip("192.0.2.2")).is_some());
        assert_eq!(limits.counts.refused_address(), 1);
        drop(first);
        assert!(limits.take(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn loopback_and_trusted_proxies_are_not_counted_by_address_but_in_total() {
        let limits = limits(4, 1, &["192.0.2.9"]);
        let held: Vec<_> = ["127.0.0.1", "::1", "192.0.2.9", "::ffff:192.0.2.9"]
            .into_iter()
            .map(|address| limits.take(ip(address)).unwrap())
            .collect();
        assert!(limits.take(ip("127.0.0.1")).is_none());
        assert_eq!((limits.counts.open(), limits.counts.refused_total()), (4, 1));
        drop(held);
        assert_eq!(limits.counts.open(), 0);
        assert!(limits.open.lock().by_address.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let limits = limits(10, 1, &[]);
        let _one = limits.take(ip("2001:db8:1:2::1")).unwrap();
        assert!(limits.take(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(limits.take(ip("2001:db8:1:3::1")).is_some());
        drop(_one);
        assert_eq!(limits.open.lock().by_address.len(), 0);
    }

    #[test]
    fn descriptors_are_left_for_the_rest() {
        assert_eq!(bound(16_384, Some(256)), 128);
        assert_eq!(bound(16_384, Some(64)), 16);
        assert_eq!(bound(16_384, Some(1_000_000)), 16_384);
        assert_eq!(bound(16_384, None), 16_384);
    }
}
