use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Result, Spec, SpecObject};

/// Where the leader answers: the parts of a URL that InfraKit's clients read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LeaderLocation {
    /// `http` or `https`.
    pub scheme: String,
    /// `host:port`.
    pub host: String,
    /// Path, usually empty.
    pub path: String,
}

/// The manager of a whole stack: `Stack/0.1.1`, service name `Manager`.
#[async_trait]
pub trait Stack: Send + Sync {
    /// True on the replica that leads.
    ///
    /// # Errors
    /// Leadership is unknown (`cannot determine leader`).
    async fn is_leader(&self) -> Result<bool>;

    /// Where the leader answers; `None` when nobody said.
    ///
    /// # Errors
    /// The location cannot be read.
    async fn leader_location(&self) -> Result<Option<LeaderLocation>>;

    /// Makes all the specs true and remembers them.
    ///
    /// # Errors
    /// This replica does not lead, or one of the specs is not valid: then none is stored.
    async fn enforce(&self, specs: &[Spec]) -> Result<()>;

    /// The specs that are stored.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn specs(&self) -> Result<Vec<Spec>>;

    /// The stored specs with their state.
    ///
    /// # Errors
    /// The store or a controller cannot be asked.
    async fn inspect(&self) -> Result<Vec<SpecObject>>;

    /// Destroys what the specs describe and forgets them.
    ///
    /// # Errors
    /// This replica does not lead, or a controller refused.
    async fn terminate(&self, specs: &[Spec]) -> Result<()>;
}
