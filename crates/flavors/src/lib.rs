//! flavors
