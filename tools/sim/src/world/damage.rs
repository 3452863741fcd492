//! Damage to the journal of one node while it is down.

use regrow_journal::disk::Disk as _;

use super::World;
use super::fault::Fault;

const SECOND: u64 = 1_000_000;

impl World {
    /// Damages the disk of a node, where the others are whole.
    pub(super) fn damage(&mut self, fault: Fault, node: u64) {
        let whole = self.nemesis.lost.is_none() && self.operator.plan.is_empty();
        let voters = self.voters();
        // One that is down after a flip may turn out to be lost.
        let sound = |voter: &u64| !self.damaged.contains(voter) || self.nodes[voter].runs();
        let others = voters.iter().all(|voter| !self.dead.contains(voter) && sound(voter));
        if !whole || !others || voters.len() < 3 || !voters.contains(&node) {
            return;
        }
        self.kill(node, false);
        let disk = &self.nodes[&node].disk;
        let names = disk.list().unwrap_or_default();
        if let Some(name) = self.nemesis.random.pick(&names) {
            let (place, other) = (self.nemesis.random.next_u64(), self.nemesis.random.below(8));
            disk.edit(name, |bytes| match fault {
                Fault::Misdirected => misdirect(bytes, place),
                _ => flip(bytes, place, other),
            });
        }
        self.damaged.insert(node);
        self.nemesis.start_later(self.now + SECOND, node);
    }
}

fn flip(bytes: &mut [u8], place: u64, bit: u64) {
    let at = (place % (bytes.len() as u64).max(1)) as usize;
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

/// Writes a block that holds something over another one that does.
fn misdirect(bytes: &mut [u8], place: u64) {
    const BLOCK: usize = 512;
    let full = |block: &&usize| bytes[**block..**block + BLOCK].iter().any(|byte| *byte != 0);
    let starts: Vec<usize> = (0..bytes.len() / BLOCK).map(|block| block * BLOCK).collect();
    let written: Vec<usize> = starts.iter().filter(full).copied().collect();
    let count = (written.len() as u64).max(1);
    let (from, to) = (place % count, place / count % count);
    if let (Some(from), Some(to)) = (written.get(from as usize), written.get(to as usize)) {
        bytes.copy_within(*from..*from + BLOCK, *to);
    }
}
