//! Services, checks, sessions and keys, answered as Consul answers: HTTP and DNS.
//!
//! It must never let an index go back, nor end a session before its time.
