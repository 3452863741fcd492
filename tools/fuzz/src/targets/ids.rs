//! Durations and names.

use regrow_ids::{GoDuration, PluginName};

use crate::scratch::{must, text};

/// A duration prints and reads back as itself; a fault shows how one is written.
pub fn durations(data: &[u8]) {
    let text = text(data);
    match text.parse::<GoDuration>() {
        Ok(duration) => reads_back(duration),
        Err(fault) => assert!(fault.to_string().contains("write it like"), "{fault}"),
    }
    if let Ok(duration) = serde_json::from_slice::<GoDuration>(data) {
        let json = must(serde_json::to_string(&duration), "print a duration");
        // A number of nanoseconds reaches further than the text form.
        if duration.as_duration().as_nanos() <= i64::MAX as u128 {
            assert_eq!(must(serde_json::from_str::<GoDuration>(&json), &json), duration);
        }
    }
}

fn reads_back(duration: GoDuration) {
    let printed = duration.to_string();
    assert_eq!(must(printed.parse::<GoDuration>(), &printed), duration);
    assert!(printed.is_ascii() || printed.ends_with("µs"), "{printed}");
}

/// Every text is a name; its parts make it again.
pub fn plugin_names(data: &[u8]) {
    let text = text(data);
    let name = PluginName::new(text.as_str());
    assert_eq!(name.as_str(), text);
    assert!(!name.lookup().contains('/'), "{name:?}");
    if !name.subtype().is_empty() {
        assert_eq!(PluginName::with_subtype(name.lookup(), name.subtype()), name);
    }
    let json = must(serde_json::to_string(&name), "print a name");
    assert_eq!(must(serde_json::from_str::<PluginName>(&json), &json), name);
}
