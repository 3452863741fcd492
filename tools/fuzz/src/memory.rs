//! A bound on memory: who believes a length that it was told fails here, and is found.

use std::sync::Once;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one input may take beside what there was, in bytes: far above any target's own needs, far
/// below the 4 GiB that a length of four bytes can claim.
const ROOM: u64 = 512 << 20;

/// Lets this process take no more than 512 MiB from now on; an allocation beyond it fails, which
/// ends the process. Does nothing where the system does not tell what there is.
pub fn bound() {
    static BOUND: Once = Once::new();
    BOUND.call_once(|| {
        let Some(now) = taken() else { return };
        let limit = Rlimit { current: Some(now + ROOM), ..getrlimit(Resource::Data) };
        if let Err(fault) = setrlimit(Resource::Data, limit) {
            panic!("bound the memory: {fault}");
        }
    });
}

/// Bytes of memory that this process can write to, as Linux counts them for the limit.
fn taken() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}
