use std::sync::Arc;

use regrow_template::{JsonNumbers, MetadataLookup, Options, Rendered, Template, Value};

/// Renders the templates that settings name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Templates {
    options: Options,
    metadata: Option<Arc<dyn MetadataLookup>>,
}

impl Templates {
    /// Loads and renders with these options.
    pub fn new(options: Options) -> Self {
        Self { options, metadata: None }
    }

    /// Where the functions `metadata` and `var` look.
    #[must_use]
    pub fn metadata(mut self, lookup: Arc<dyn MetadataLookup>) -> Self {
        self.metadata = Some(lookup);
        self
    }

    /// The same, but an unset `var` does not print itself back for a later pass.
    #[must_use]
    pub fn final_pass(mut self) -> Self {
        self.options.multi_pass = false;
        self
    }

    /// Renders the template at a URL; a text without `://`, or after `str://`, is the template.
    ///
    /// # Errors
    /// The whole chain of causes, with the template's name and line.
    pub async fn render(&self, url: &str, context: serde_json::Value) -> Result<Rendered, String> {
        let (this, url) = (self.clone(), url.to_owned());
        // Loading may block on a network, and rendering may take long.
        let rendering = tokio::task::spawn_blocking(move || this.render_now(&url, &context));
        match rendering.await {
            Ok(rendered) => rendered,
            Err(fault) => Err(format!("render template: {fault}")),
        }
    }

    fn render_now(&self, url: &str, context: &serde_json::Value) -> Result<Rendered, String> {
        let mut template =
            Template::from_url(url, &self.options).map_err(|fault| fault.report())?;
        if let Some(lookup) = &self.metadata {
            template = template.metadata(lookup.clone());
        }
        // The context is ours and not a document that somebody wrote for Go: a sequence number of
        // a million must not print as 1e+06.
        let context = Value::from_json(context, JsonNumbers::Exact);
        template.render_value(context).map_err(|fault| fault.report())
    }
}
