//! Coordination as domains see it: ordered keys with revisions, transactions over several keys,
//! watches, leases, and elections with a fence that only grows.
//!
//! It must never let two holders of one name see the same fence, nor lose a change between two
//! events of a watch without saying so.
