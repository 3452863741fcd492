use regrow_plugin::spi::{Attachment, InstanceSpec};

/// Puts together what several flavors made of copies of the same spec.
///
/// Only what a flavor added or changed counts:
/// * tags that differ from the incoming ones; of two flavors that set the same tag the later wins;
/// * attachments beyond the incoming ones, in the order of the flavors; the same thing twice stays
///   twice, because an attachment may mean one of several alike;
/// * the script without the incoming one at its start, joined with newlines. A script that does not
///   start with the incoming one is taken whole.
///
/// Nothing is taken away: a flavor that drops a tag, an attachment or the script from its copy does
/// not drop it from the result. Properties and logical id stay as they came, as in the original.
pub fn merge(incoming: &InstanceSpec, prepared: Vec<InstanceSpec>) -> InstanceSpec {
    let mut merged = incoming.clone();
    for spec in prepared {
        if let Some(script) = added_script(&incoming.init, &spec.init) {
            if !merged.init.is_empty() {
                merged.init.push('\n');
            }
            merged.init.push_str(script);
        }
        let changed = |(key, value): &(String, String)| incoming.tags.get(key) != Some(value);
        merged.tags.extend(spec.tags.into_iter().filter(changed));
        let known = incoming.attachments.as_deref().unwrap_or_default();
        let added = added_attachments(known, spec.attachments.unwrap_or_default());
        if !added.is_empty() {
            merged.attachments.get_or_insert_default().extend(added);
        }
    }
    merged
}

/// What a flavor's script has beyond the incoming one; `None` when nothing.
fn added_script<'a>(incoming: &str, script: &'a str) -> Option<&'a str> {
    let added = match script.strip_prefix(incoming) {
        Some("") => return None,
        Some(rest) if incoming.is_empty() => rest,
        Some(rest) => match rest.strip_prefix('\n') {
            Some(rest) => rest,
            None if incoming.ends_with('\n') => rest,
            // The last incoming line only begins alike: this is another script.
            None => script,
        },
        None => script,
    };
    (!script.is_empty()).then_some(added)
}

/// The attachments that are not among the known ones, each known one counted once.
fn added_attachments(known: &[Attachment], mut all: Vec<Attachment>) -> Vec<Attachment> {
    for attachment in known {
        if let Some(at) = all.iter().position(|other| other == attachment) {
            all.remove(at);
        }
    }
    all
}
