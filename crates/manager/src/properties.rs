//! The little that the manager knows of the properties of a group: its allocation, the plugin that shows
//! its members, and that its controller rolled it back. Pure.

use regrow_codec::Any;
use regrow_ids::PluginName;
use regrow_plugin::spi::RolledBack;
use serde_json::{Map, Value};

/// The parts that make a member: what a rollback goes back on.
const MEMBER_PARTS: [&str; 2] = ["Instance", "Flavor"];
/// Where a controller notes a rollback.
const ROLLED_BACK: &str = "RolledBack";

/// True for a group whose members are named, and which therefore has no size to set.
pub(crate) fn has_logical_ids(properties: &Any) -> bool {
    let properties = properties.to_value();
    field(&properties, "Allocation")
        .and_then(|allocation| field(allocation, "LogicalIDs"))
        .and_then(Value::as_array)
        .is_some_and(|ids| !ids.is_empty())
}

/// The plugin whose instances are the members of a group, where one is named.
pub(crate) fn instance_plugin(properties: &Any) -> Option<PluginName> {
    let properties = properties.to_value();
    let plugin = field(field(&properties, "Instance")?, "Plugin")?.as_str()?;
    (!plugin.is_empty()).then(|| PluginName::new(plugin))
}

/// The properties with another size; `None` when they are not a map.
pub(crate) fn with_size(properties: &Any, size: u32) -> Option<Any> {
    let mut properties = properties.to_value();
    let allocation = entry(&mut properties, "Allocation")?;
    if !allocation.is_object() {
        *allocation = Value::Object(Map::new());
    }
    *entry(allocation, "Size")? = size.into();
    Some(properties.into())
}

/// A field by Go's rule: exact, else without regard to case.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    fields
        .get(name)
        .or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

fn entry<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let fields = value.as_object_mut()?;
    let key = if fields.contains_key(name) {
        name.to_owned()
    } else {
        let alike = fields.keys().find(|key| key.eq_ignore_ascii_case(name));
        alike.cloned().unwrap_or_else(|| name.to_owned())
    };
    Some(fields.entry(key).or_insert(Value::Null))
}

/// The stored properties with what is in force in their place, when the group's controller has rolled
/// back the very members that are stored. What else is stored stays as the user wrote it.
pub(crate) fn rolled_back(stored: &Any, in_force: &Any) -> Option<Any> {
    let (mut stored, in_force) = (stored.to_value(), in_force.to_value());
    let note = field(&in_force, ROLLED_BACK).filter(|note| !note.is_null())?;
    let tried: RolledBack = Any::from(note).decode().ok()?;
    let tried = [tried.instance, tried.flavor].map(|part| part.to_value());
    let is_tried = |(name, tried)| is_same_plugin(field(&stored, name), Some(tried));
    if !MEMBER_PARTS.into_iter().zip(&tried).all(is_tried) {
        return None;
    }
    for name in MEMBER_PARTS {
        *entry(&mut stored, name)? = field(&in_force, name)?.clone();
    }
    *entry(&mut stored, ROLLED_BACK)? = note.clone();
    Some(stored.into())
}

/// True when both name the same plugin with the same settings.
fn is_same_plugin(a: Option<&Value>, b: Option<&Value>) -> bool {
    let nothing = Value::Object(Map::new());
    let part = |of: Option<&Value>, name| {
        let value = field(of.unwrap_or(&nothing), name).cloned();
        // Go reads an absent field and `null` alike.
        value.filter(|value| !value.is_null() && *value != "")
    };
    ["Plugin", "Properties"].into_iter().all(|name| part(a, name) == part(b, name))
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use serde_json::{Value, json};

    use super::{has_logical_ids, rolled_back, with_size};

    #[test]
    fn sizes_are_found_and_set_by_gos_field_rule() {
        let properties = Any::from(json!({"allocation": {"size": 3}, "Other": [1]}));
        assert!(!has_logical_ids(&properties));
        let changed = with_size(&properties, 5).expect("a map");
        assert_eq!(changed.to_value(), json!({"allocation": {"size": 5}, "Other": [1]}));
        let made = with_size(&Any::from(json!({})), 1).expect("a map");
        assert_eq!(made.to_value(), json!({"Allocation": {"Size": 1}}));
        assert!(with_size(&Any::from(json!([])), 1).is_none());
        let pets = Any::from(json!({"Allocation": {"LogicalIDs": ["a"]}}));
        assert!(has_logical_ids(&pets));
    }

    /// As the group controller prints it.
    fn in_force() -> Value {
        json!({
            "Instance": {"Plugin": "file", "Properties": {"v": 1}},
            "Flavor": {"Plugin": "vanilla", "Properties": null},
            "Allocation": {"Size": 3, "LogicalIDs": null},
            "RolledBack": {
                "Instance": {"Plugin": "file", "Properties": {"v": 2}},
                "Flavor": {"Plugin": "vanilla", "Properties": null},
                "Failures": 2,
            },
        })
    }

    #[test]
    fn what_was_rolled_back_is_replaced_and_the_rest_stays() {
        // Written in another way than the controller prints it; one change was not handed over yet.
        let stored = json!({
            "instance": {"plugin": "file", "Properties": {"v": 2}},
            "Flavor": {"Plugin": "vanilla"},
            "Allocation": {"Size": 5},
            "Own": [1],
        });
        let in_force = in_force();
        let kept = rolled_back(&stored.into(), &Any::from(&in_force)).expect("rolled back");
        assert_eq!(
            kept.to_value(),
            json!({
                "instance": in_force["Instance"],
                "Flavor": in_force["Flavor"],
                "Allocation": {"Size": 5},
                "Own": [1],
                "RolledBack": in_force["RolledBack"],
            })
        );
        assert_eq!(rolled_back(&kept, &in_force.into()), None, "it is stored already");
    }

    #[test]
    fn what_was_not_rolled_back_is_left_alone() {
        let in_force = in_force();
        let tried =
            json!({"Instance": in_force["RolledBack"]["Instance"], "Flavor": in_force["Flavor"]});
        let mut without = in_force.clone();
        without["RolledBack"] = Value::Null;
        let mut newer = tried.clone();
        newer["Instance"]["Properties"]["v"] = 3.into();
        let mut other = tried.clone();
        other["Flavor"]["Plugin"] = "swarm".into();
        for (stored, in_force) in
            [(&tried, &without), (&newer, &in_force), (&other, &in_force), (&json!([]), &in_force)]
        {
            assert_eq!(rolled_back(&stored.into(), &in_force.into()), None, "{stored}");
        }
        assert!(rolled_back(&tried.into(), &in_force.into()).is_some());
    }
}
