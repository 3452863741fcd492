//! The correct systems that exist as models. Their operations are also the stored forms of histories.

pub mod collection;
pub mod lock;
pub mod register;
pub mod store;

pub use collection::{List, Set};
pub use lock::Lock;
pub use register::Register;
pub use store::Store;
