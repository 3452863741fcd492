//! Looks at real servers on loopback ports and at real programs, and the runner in paused time.

mod looks;
mod runs;
mod scripts;
