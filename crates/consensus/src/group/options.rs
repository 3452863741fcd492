//! How a member of a group behaves.

use std::time::Duration;

/// Options of one member. All members of a group should have the same times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOptions {
    /// Number of the group: its stream in the journal, its name on the wire.
    pub group: u32,
    /// This node's id, never used by another node before or after.
    pub node: u64,
    /// How often the leader tells that it lives. Default 200 ms.
    pub heartbeat: Duration,
    /// A follower trusts a silent leader for the larger of these times, its lease, and stands for
    /// election a random time of this range later. Default 0.5 to 1 s, so after 1.5 to 2 s of silence:
    /// seven heartbeats at least, as a busy disk must not look like a dead leader.
    pub election: (Duration, Duration),
    /// Commands after which a snapshot lets the log be shortened. Default 20,000.
    pub snapshot_every: u64,
    /// Bytes of entries after which the same happens, whatever their number. Default 256 MiB.
    pub snapshot_bytes: u64,
    /// Entries that stay in the log behind a snapshot, for members that are a little behind.
    /// Default 5,000.
    pub keep: u64,
    /// Longest time for which a command or read looks for a leader and a majority. Default 10 s.
    pub within: Duration,
    /// Largest command in bytes. Default 1 MiB less 1 KiB, so that it fits a frame; less where the
    /// journal has small segments.
    pub command_limit: usize,
}

impl GroupOptions {
    /// The defaults for `node` in `group`.
    pub const fn new(group: u32, node: u64) -> Self {
        Self {
            group,
            node,
            heartbeat: Duration::from_millis(200),
            election: (Duration::from_millis(500), Duration::from_millis(1_000)),
            snapshot_every: 20_000,
            snapshot_bytes: 256 << 20,
            keep: 5_000,
            within: Duration::from_secs(10),
            command_limit: (1 << 20) - (1 << 10),
        }
    }

    /// As the engine wants them.
    pub(super) fn engine(&self) -> Result<openraft::Config, String> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let config = openraft::Config {
            cluster_name: format!("group-{}", self.group),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election.0),
            election_timeout_max: millis(self.election.1),
            install_snapshot_timeout: 600_000,
            max_payload_entries: 1024,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            max_in_snapshot_log_to_keep: self.keep,
            // A member that was cut off must not depose a leader that the others follow.
            enable_pre_vote: Some(true),
            // A leader that restarts does not know what it had committed: its tables are older than
            // what it acknowledged, and reads in the same term would show that. It stands again.
            enable_leader_restore: Some(false),
            ..openraft::Config::default()
        };
        config.validate().map_err(|error| error.to_string())
    }
}
