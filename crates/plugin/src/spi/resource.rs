use async_trait::async_trait;

use super::{ResourceSpec, Result};

/// Manages named resources: `Resource/0.1.1`. The returned texts are for people.
#[async_trait]
pub trait Resource: Send + Sync {
    /// Makes the resources of a document; `pretend` only says what that takes.
    ///
    /// # Errors
    /// The document is not valid or a resource could not be made.
    async fn commit(&self, spec: &ResourceSpec, pretend: bool) -> Result<String>;

    /// Destroys the resources of a document; `pretend` only says what that takes.
    ///
    /// # Errors
    /// A resource could not be destroyed.
    async fn destroy(&self, spec: &ResourceSpec, pretend: bool) -> Result<String>;

    /// Describes the resources of a document.
    ///
    /// # Errors
    /// The plugin cannot tell.
    async fn describe_resources(&self, spec: &ResourceSpec) -> Result<String>;
}
