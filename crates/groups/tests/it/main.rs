//! The group controller as a service, with plugins that live in memory.

mod fakes;
mod texts;
mod weaknesses;
