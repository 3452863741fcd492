use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{ObjectMeta, Result, Spec, SpecObject};

/// What a controller is asked to do. On the wire a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Operation {
    /// Make the spec true (0).
    #[default]
    Enforce,
    /// Remove what the spec describes (1).
    Destroy,
}

impl From<u8> for Operation {
    fn from(number: u8) -> Self {
        if number == 1 { Self::Destroy } else { Self::Enforce }
    }
}

impl From<Operation> for u8 {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Enforce => 0,
            Operation::Destroy => 1,
        }
    }
}

/// What an operation would take, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Plan {
    /// One line for each part; absent after a commit.
    pub message: Option<Vec<String>>,
}

/// Makes specs of one kind true: `Controller/0.1.1`.
#[async_trait]
pub trait Controller: Send + Sync {
    /// Says what an operation would take.
    ///
    /// # Errors
    /// The spec is not valid.
    async fn plan(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)>;

    /// Does an operation, or starts it.
    ///
    /// # Errors
    /// The spec is not valid; nothing changed.
    async fn commit(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)>;

    /// Lists objects: those with the given name and tags, or all.
    ///
    /// # Errors
    /// The controller cannot tell.
    async fn describe(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>>;

    /// Stops watching objects and leaves what they stand for alone.
    ///
    /// # Errors
    /// There is no such object.
    async fn free(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>>;
}
