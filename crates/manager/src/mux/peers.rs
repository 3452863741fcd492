use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of one peer that are served at once. Behind one address there may be many clients.
const MAX_PER_PEER: usize = 256;

/// How many connections each peer has.
#[derive(Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one connection; free again when this is dropped.
pub(super) struct Place {
    peers: Peers,
    peer: IpAddr,
}

impl Peers {
    /// A place for a further connection, if the peer has not too many.
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Place> {
        let peer = network(peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= MAX_PER_PEER {
            return None;
        }
        *count += 1;
        Some(Place { peers: self.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

/// What one peer can choose its addresses from: with version 6 a whole network of 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PER_PEER, Peers};

    #[test]
    fn one_peer_does_not_take_the_room_of_others() {
        let peers = Peers::default();
        let ip = |text: &str| text.parse().expect("address");
        let mut places: Vec<_> =
            (0..MAX_PER_PEER).filter_map(|_| peers.admit(ip("10.0.0.1"))).collect();
        assert_eq!(places.len(), MAX_PER_PEER);
        assert!(peers.admit(ip("10.0.0.1")).is_none());
        assert!(peers.admit(ip("::ffff:10.0.0.1")).is_none(), "the same peer");
        assert!(peers.admit(ip("10.0.0.2")).is_some());
        places.pop();
        assert!(peers.admit(ip("10.0.0.1")).is_some());
        drop(places);
        assert!(peers.0.lock().expect("lock").is_empty());
        let many: Vec<_> = (0..MAX_PER_PEER)
            .filter_map(|n| peers.admit(ip(&format!("2001:db8::{n:x}"))))
            .collect();
        assert_eq!(many.len(), MAX_PER_PEER);
        assert!(peers.admit(ip("2001:db8::ffff")).is_none(), "one network is one peer");
    }
}
