//! Who is who in a cluster: its certificate authority, join tokens, node certificates and the rules
//! of their renewal. No sockets and no files.
//!
//! It must never print, log or serialize a secret by accident.
