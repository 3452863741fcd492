//! Addresses, topics and tags.

use regrow_codec::decode;
use regrow_plugin::spi::{Description, Tags};
use regrow_plugin::{Endpoint, topics};

use super::codec::has_a_place;
use crate::scratch::{must, text, two};

/// An address prints and reads back; a topic matches itself.
pub fn endpoints(data: &[u8]) {
    let whole = text(data);
    match whole.parse::<Endpoint>() {
        Ok(endpoint) => {
            let printed = endpoint.to_string();
            let again: Endpoint = must(printed.parse(), &printed);
            assert_eq!(again, endpoint, "{printed:?}");
            let _ = endpoint.plugin();
        }
        Err(fault) => assert!(fault.to_string().contains("write it like"), "{fault}"),
    }
    let (subscribed, topic) = two(data);
    let (subscribed, topic) = (text(subscribed), text(topic));
    assert!(topics::matches(&topic, &topic), "{topic:?}");
    assert!(topics::matches("", &topic) && topics::matches("/", &topic), "{topic:?}");
    if topics::matches(&subscribed, &topic) {
        assert!(topics::matches(&format!("/{subscribed}"), &topic), "{subscribed:?} {topic:?}");
    }
}

/// A description reads back, and matches its own tags and none that it lacks.
pub fn tags(data: &[u8]) {
    let description: Description = match decode::from_slice(data) {
        Ok(description) => description,
        Err(fault) => return has_a_place(&fault),
    };
    let json = must(serde_json::to_vec(&description), "print a description");
    let again: Description = must(decode::from_slice(&json), "read a description back");
    assert_eq!(again, description);
    assert!(description.matches(&description.tags) && description.matches(&Tags::new()));
    let mut more = description.tags.clone();
    let name = more.keys().fold("x".to_owned(), |longest, key| longest + key);
    more.insert(name, String::new());
    assert!(!description.matches(&more));
    assert!(description.logical_id().is_none_or(|id| {
        description.logical_id.as_ref() == Some(&id)
            || description.tags.values().any(|tag| tag == id.as_str())
    }));
}
