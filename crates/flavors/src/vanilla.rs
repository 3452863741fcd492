//! The flavor of members that need nothing special: a script, tags, attachments.
//!
//! Settings are those of [`Settings`]; `Init` and `InitScriptTemplateURL` exclude each other. Their
//! text comes after the script that the instance already has. Members are always healthy, and
//! draining them takes nothing.
//!
//! # What a script's template sees
//!
//! The original renders the template without any context. Here it has one, so that members can
//! differ; a template that was written for the original renders as before.
//!
//! | field | value |
//! |---|---|
//! | `.LogicalID` | stable identity of the member, nothing if it has none |
//! | `.Index.Group`, `.Index.Sequence` | its group and its number therein |
//! | `.Allocation.Size`, `.Allocation.LogicalIDs` | how many members, or which |
//! | `.Tags` | its tags, those of the settings included |
//! | `.Attachments` | list of `{ID, Type}`, those of the settings included |
//! | `.Properties` | settings of its instance plugin |
//! | `.Init` | the script so far |
//!
//! [`validate`](Flavor::validate) renders the template for the first member, so that a fault shows
//! before anything is provisioned; tags of the group and properties are not known there yet.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_codec::decode::{self, DecodeError};
use regrow_plugin::spi::{
    Allocation, Attachment, Description, Flavor, Health, Index, InstanceSpec, Result, Tags, tags,
};
use regrow_plugin::{Plugin, PluginError};
use serde::Deserialize;
use serde_json::json;

use crate::Templates;

/// Usual name of the plugin.
pub const KIND: &str = "vanilla";

/// A plugin with this flavor, whose templates see no metadata.
pub fn plugin(name: &str) -> Plugin {
    plugin_with(name, Templates::default())
}

/// A plugin with this flavor.
pub fn plugin_with(name: &str, templates: Templates) -> Plugin {
    Plugin::flavor(name, Vanilla::new(templates))
}

/// What the user writes. Every field may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Settings {
    /// Lines of the script.
    pub init: Vec<String>,
    /// URL of a template of the script; `str://` and a text is that text.
    #[serde(rename = "InitScriptTemplateURL")]
    pub init_script_template_url: String,
    /// Tags to add; they replace those of the same name.
    pub tags: Tags,
    /// Things to attach to every member.
    pub attachments: Vec<Attachment>,
}

#[derive(Debug, thiserror::Error)]
enum VanillaError {
    #[error("read settings of flavor vanilla: {0}")]
    Settings(#[from] DecodeError),
    // InfraKit's text, which scripts may look for.
    #[error("Either \"Init\" or \"InitScriptTemplateURL\" can be specified but not both")]
    TwoScripts,
    #[error(
        "set tag {0:?} by flavor vanilla: it belongs to the group controller; remove it from Tags"
    )]
    ReservedTag(String),
    #[error("make Init from InitScriptTemplateURL: {0}")]
    Template(String),
}

impl From<VanillaError> for PluginError {
    fn from(fault: VanillaError) -> Self {
        Self::refused(fault.to_string())
    }
}

/// Tags that decide about membership and identity. A flavor that changed them would make the group
/// lose sight of its own members and provision others without end.
const RESERVED: [&str; 4] = [tags::GROUP, tags::CONFIG_HASH, tags::LOGICAL_ID, tags::STEP_KEY];

/// The flavor.
#[derive(Clone, Default)]
pub struct Vanilla {
    templates: Templates,
}

impl Vanilla {
    /// A flavor that renders scripts with these templates.
    pub fn new(templates: Templates) -> Self {
        Self { templates }
    }

    async fn complete(
        &self,
        settings: Settings,
        mut spec: InstanceSpec,
        allocation: &Allocation,
        index: &Index,
    ) -> std::result::Result<InstanceSpec, VanillaError> {
        spec.tags.extend(settings.tags);
        if !settings.attachments.is_empty() {
            spec.attachments.get_or_insert_default().extend(settings.attachments);
        }
        let mut lines = settings.init;
        if !settings.init_script_template_url.is_empty() {
            let context = context(&spec, allocation, index);
            let url = &settings.init_script_template_url;
            let script = self.templates.render(url, context).await;
            lines = vec![script.map_err(VanillaError::Template)?.text];
        }
        if !spec.init.is_empty() {
            lines.insert(0, spec.init);
        }
        spec.init = lines.join("\n");
        Ok(spec)
    }
}

fn context(spec: &InstanceSpec, allocation: &Allocation, index: &Index) -> serde_json::Value {
    json!({
        "LogicalID": spec.logical_id,
        "Tags": spec.tags,
        "Attachments": spec.attachments,
        "Properties": spec.properties.to_value(),
        "Init": spec.init,
        "Allocation": allocation,
        "Index": index,
    })
}

fn read(properties: &Any) -> std::result::Result<Settings, VanillaError> {
    Ok(properties.decode()?)
}

#[async_trait]
impl Flavor for Vanilla {
    /// Stricter than the other calls: an unknown field is refused here, where a person can still
    /// correct it, and ignored there.
    async fn validate(&self, properties: &Any, allocation: &Allocation) -> Result<()> {
        let settings: Settings = decode::from_slice_strict(properties.as_text().as_bytes())
            .map_err(VanillaError::Settings)?;
        if !settings.init.is_empty() && !settings.init_script_template_url.is_empty() {
            return Err(VanillaError::TwoScripts.into());
        }
        if let Some(tag) = settings.tags.keys().find(|tag| RESERVED.contains(&tag.as_str())) {
            return Err(VanillaError::ReservedTag(tag.clone()).into());
        }
        let first = allocation.logical_ids.iter().flatten().next().cloned();
        let sample = InstanceSpec { logical_id: first, ..InstanceSpec::default() };
        self.complete(settings, sample, allocation, &Index::default()).await?;
        Ok(())
    }

    async fn prepare(
        &self,
        properties: &Any,
        spec: InstanceSpec,
        allocation: &Allocation,
        index: &Index,
    ) -> Result<InstanceSpec> {
        Ok(self.complete(read(properties)?, spec, allocation, index).await?)
    }

    async fn healthy(&self, _: &Any, _: &Description) -> Result<Health> {
        Ok(Health::Healthy)
    }

    async fn drain(&self, _: &Any, _: &Description) -> Result<()> {
        Ok(())
    }
}
