//! Templates in the words of the main application.

use std::collections::BTreeMap;

use regrow_template::TemplateError;

use super::super::model::Config;
use super::super::template::render_at;

/// Renders the words of the main application. That comes last: they may name the addresses of the
/// services, which were chosen only now.
pub(in super::super) fn render_app(
    config: &mut Config,
    env: &BTreeMap<String, String>,
) -> Result<(), TemplateError> {
    let mut env = env.clone();
    let services = config.jobs.iter().filter_map(|job| job.service.as_ref());
    env.extend(services.map(|service| {
        let name = service.name.to_uppercase().replace('-', "_");
        (format!("CONTAINERPILOT_{name}_IP"), service.address.to_string())
    }));
    let mains = config.jobs.iter_mut().filter(|job| job.main);
    for exec in mains.filter_map(|job| job.exec.as_mut()) {
        for word in std::iter::once(&mut exec.program).chain(&mut exec.args) {
            if word.contains("{{") {
                *word = render_at("argument", word, &env)?;
            }
        }
    }
    Ok(())
}
