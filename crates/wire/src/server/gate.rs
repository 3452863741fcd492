//! Counts connections, in all and by address, and lets no more in than allowed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lets a bounded number of connections in.
#[derive(Clone)]
pub(super) struct Gate(Arc<Inner>);

struct Inner {
    limit: usize,
    per_address: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Inner {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place; given back when dropped.
pub(super) struct Pass {
    gate: Arc<Inner>,
    address: IpAddr,
}

impl Gate {
    pub(super) fn new(limit: usize, per_address: usize) -> Self {
        Self(Arc::new(Inner { limit, per_address, counts: Mutex::default() }))
    }

    /// A place for a connection from this address; none when all are taken.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Pass> {
        let address = address.to_canonical();
        let mut counts = self.0.counts();
        let here = counts.by_address.get(&address).copied().unwrap_or_default();
        if counts.all >= self.0.limit || here >= self.0.per_address {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, here + 1);
        Some(Pass { gate: self.0.clone(), address })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.all -= 1;
        if let Some(here) = counts.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let gate = Gate::new(3, 2);
        let [one, two, three] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        let first = gate.enter(one);
        let second = gate.enter(one);
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter(one).is_none(), "two from one address");
        let third = gate.enter(two);
        assert!(third.is_some());
        assert!(gate.enter(three).is_none(), "three in all");
        drop(first);
        let again = gate.enter(one);
        assert!(again.is_some());
        drop((second, third, again));
        assert!(gate.0.counts().by_address.is_empty());
    }

    #[test]
    fn both_forms_of_an_address_are_one() {
        let gate = Gate::new(9, 1);
        let v4 = Ipv4Addr::new(10, 0, 0, 1);
        let _held = gate.enter(v4.into());
        assert!(gate.enter(v4.to_ipv6_mapped().into()).is_none());
        assert!(gate.enter(Ipv6Addr::LOCALHOST.into()).is_some());
    }
}
