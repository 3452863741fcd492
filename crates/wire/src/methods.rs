//! The one table of methods: number, name, class, who may call, size limits.
//!
//! A handler is registered under a [`Method`] or a [`StreamMethod`], and both exist only as rows of
//! this table, so a method without an entry does not compile. Numbers are never used again.

use regrow_pki::{NodeIdentity, Role};

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

/// Limit of a body in bytes where the table names no other.
pub const DEFAULT_BODY_LIMIT: u32 = MIB;

/// Limit of one chunk of a stream in bytes.
pub const CHUNK_LIMIT: u32 = MIB;

/// Largest body that is read, even if only to forget it; above it the connection ends.
pub(crate) const MAX_BODY: u32 = 16 * MIB;

/// Which connection to a peer carries a method, so that one kind of traffic never waits behind
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Consensus: small, frequent, urgent.
    Raft,
    /// Everything else that is asked and answered.
    Calls,
    /// One connection for each stream.
    Bulk,
}

/// What a caller is, as far as the table cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallerKind {
    /// Holds a server's certificate of this cluster.
    Server,
    /// Holds a worker's certificate of this cluster.
    Worker,
    /// Holds a certificate of this cluster that has expired: a node that was off for too long.
    Lapsed,
    /// Shows no certificate: somebody who wants to join.
    Stranger,
}

impl CallerKind {
    /// All kinds, for tests over the table.
    pub const ALL: [Self; 4] = [Self::Server, Self::Worker, Self::Lapsed, Self::Stranger];

    /// The kind of a verified identity whose certificate holds, or of its absence.
    pub fn of(identity: Option<&NodeIdentity>) -> Self {
        match identity.map(|identity| identity.role) {
            Some(Role::Server) => Self::Server,
            Some(Role::Worker) => Self::Worker,
            None => Self::Stranger,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Number on the wire.
    pub number: u16,
    /// Name in logs, errors and metrics.
    pub name: &'static str,
    /// The connection that carries it.
    pub class: Class,
    /// Who may call; everybody else is refused before the handler runs.
    pub accepts: &'static [CallerKind],
    /// Limit of the request body in bytes.
    pub request_limit: u32,
    /// Limit of the reply body in bytes; not used for streams.
    pub reply_limit: u32,
}

impl Row {
    /// True if such a caller may call.
    pub fn accepts(&self, kind: CallerKind) -> bool {
        self.accepts.contains(&kind)
    }
}

macro_rules! table {
    ($(#[$about:meta])* $enum:ident { $(
        $(#[$doc:meta])* $method:ident = $number:literal, $name:literal, $class:ident,
        [$($kind:ident)+], $request:expr, $reply:expr;
    )+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum { $( $(#[$doc])* $method, )+ }

        impl $enum {
            /// Every row, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$method,)+];

            /// The row of this method.
            pub const fn row(self) -> &'static Row {
                match self { $(
                    Self::$method => &Row {
                        number: $number,
                        name: $name,
                        class: Class::$class,
                        accepts: &[$(CallerKind::$kind,)+],
                        request_limit: $request,
                        reply_limit: $reply,
                    },
                )+ }
            }

            /// The method of a number on the wire.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $( $number => Some(Self::$method), )+ _ => None }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.row().name)
            }
        }
    };
}

table! {
    /// Methods that are asked and answered: one request, one reply.
    Method {
        /// Answers its own body: is somebody there, and who.
        Ping = 1, "wire.ping", Calls, [Server Worker], 64 * KIB, 64 * KIB;
        /// Entries and heartbeats of a Raft group.
        RaftAppend = 10, "raft.append", Raft, [Server], 8 * MIB, 64 * KIB;
        /// A candidate asks for a vote, or whether it would get one.
        RaftVote = 11, "raft.vote", Raft, [Server], 64 * KIB, 64 * KIB;
        /// The leader hands over to a voter.
        RaftTransfer = 12, "raft.transfer", Raft, [Server], 64 * KIB, 64 * KIB;
        /// A command for the state machine, sent to the leader.
        ControlPropose = 20, "control.propose", Calls, [Server Worker], MIB, MAX_BODY;
        /// A read of the state machine.
        ControlRead = 21, "control.read", Calls, [Server Worker], DEFAULT_BODY_LIMIT, 8 * MIB;
        /// The index up to which a linearizable read must wait.
        ControlReadIndex = 22, "control.read-index", Calls, [Server Worker], 64 * KIB, 64 * KIB;
        /// A change of the control group's membership.
        ControlMembers = 23, "control.members", Calls, [Server], 64 * KIB, 64 * KIB;
        /// A newcomer shows its token and gets a certificate.
        Join = 30, "node.join", Calls, [Stranger], 16 * KIB, 64 * KIB;
        /// A node asks for its next certificate, though the last one may have expired.
        Renew = 31, "node.renew", Calls, [Server Worker Lapsed], 16 * KIB, 64 * KIB;
        /// A node says that it is alive and how it is.
        Heartbeat = 32, "node.heartbeat", Calls, [Server Worker], 64 * KIB, 64 * KIB;
        /// A node that lost what it had acknowledged asks for another number in its place, though its
        /// certificate may have expired.
        Replace = 33, "node.replace", Calls, [Server Worker Lapsed], 16 * KIB, 64 * KIB;
    }
}

table! {
    /// Methods that open a stream on a connection of its own.
    StreamMethod {
        /// A snapshot of a Raft group for a member that is too far behind.
        RaftSnapshot = 100, "raft.snapshot", Bulk, [Server], 64 * KIB, 0;
        /// Changes of the state machine from a revision on.
        ControlWatch = 101, "control.watch", Bulk, [Server Worker], 64 * KIB, 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::{ClientLimits, ServerLimits};

    fn rows() -> impl Iterator<Item = &'static Row> {
        let calls = Method::ALL.iter().map(|method| method.row());
        calls.chain(StreamMethod::ALL.iter().map(|method| method.row()))
    }

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: BTreeSet<_> = rows().map(|row| row.number).collect();
        let names: BTreeSet<_> = rows().map(|row| row.name).collect();
        assert_eq!((numbers.len(), names.len()), (rows().count(), rows().count()));
    }

    #[test]
    fn every_limit_is_below_what_is_read_and_held() {
        let (server, client) = (ServerLimits::default(), ClientLimits::default());
        for row in rows() {
            let largest = row.request_limit.max(row.reply_limit);
            assert!(largest <= MAX_BODY, "{}", row.name);
            assert!(largest as usize <= server.bytes.min(client.bytes), "{}", row.name);
        }
    }

    #[test]
    fn numbers_lead_back_and_zero_means_nothing() {
        for method in Method::ALL {
            assert_eq!(Method::from_number(method.row().number), Some(*method));
            assert_eq!(StreamMethod::from_number(method.row().number), None);
        }
        assert_eq!(Method::from_number(0), None);
    }

    #[test]
    fn strangers_get_small_frames_and_methods_that_no_node_needs() {
        for row in rows().filter(|row| row.accepts(CallerKind::Stranger)) {
            assert!(row.request_limit <= 16 * KIB, "{}", row.name);
            assert_eq!(row.accepts, [CallerKind::Stranger], "{}", row.name);
        }
    }

    #[test]
    fn an_expired_certificate_is_good_for_another_one_alone() {
        let accepting: Vec<_> = rows().filter(|row| row.accepts(CallerKind::Lapsed)).collect();
        let names: Vec<_> = accepting.iter().map(|row| row.name).collect();
        assert_eq!(names, ["node.renew", "node.replace"]);
        assert!(accepting.iter().all(|row| row.request_limit <= 16 * KIB));
    }

    #[test]
    fn only_servers_take_part_in_consensus() {
        for row in rows().filter(|row| row.name.starts_with("raft.")) {
            assert_eq!(row.accepts, [CallerKind::Server], "{}", row.name);
        }
    }
}
