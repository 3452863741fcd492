//! An instance as lists show it, shared between lists instead of copied.

use std::sync::{Arc, OnceLock};

use regrow_codec::Any;
use regrow_plugin::spi::{Description, Tags};

/// The description for lists without properties is kept ready; the one with properties is made when
/// somebody first asks, because controllers hardly do.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    bare: Arc<Description>,
    properties: Any,
    full: OnceLock<Arc<Description>>,
}

impl Row {
    pub(crate) fn new(mut description: Description) -> Self {
        let properties = std::mem::take(&mut description.properties);
        Self { bare: Arc::new(description), properties, full: OnceLock::new() }
    }

    pub(crate) fn tags(&self) -> &Tags {
        &self.bare.tags
    }

    pub(crate) fn matches(&self, tags: &Tags) -> bool {
        self.bare.matches(tags)
    }

    pub(crate) fn description(&self, properties: bool) -> Arc<Description> {
        if !properties || self.properties.is_null() {
            return Arc::clone(&self.bare);
        }
        Arc::clone(self.full.get_or_init(|| {
            let properties = self.properties.clone();
            Arc::new(Description { properties, ..Description::clone(&self.bare) })
        }))
    }
}
