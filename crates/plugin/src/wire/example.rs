use std::time::SystemTime;

use regrow_codec::Any;
use serde::{Deserialize, Serialize};

use super::{Row, methods};
use crate::spi::Interface;
use crate::{Plugin, Vendor, typed};

/// What `/info/api.json` says (InfraKit specification §1.5).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Api {
    /// Who made the plugin.
    pub vendor: Option<Vendor>,
    /// The interfaces in short.
    pub implements: Vec<ApiName>,
    /// The interfaces with their methods.
    pub interfaces: Vec<ApiInterface>,
}

/// An interface by name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ApiName {
    /// Name, such as `Instance`.
    pub name: String,
    /// Version, such as `0.6.1`.
    pub version: String,
    /// Part of an interface, usually empty.
    pub sub: String,
}

/// An interface with an example of each method.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ApiInterface {
    /// Name, such as `Instance`.
    pub name: String,
    /// Version, such as `0.6.1`.
    pub version: String,
    /// Part of an interface, usually empty.
    pub sub: String,
    /// The methods, sorted by name.
    pub methods: Vec<ApiMethod>,
}

/// An example of a call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ApiMethod {
    /// The request with zero values.
    pub request: Any,
    /// The answer with zero values.
    pub response: Any,
}

impl Api {
    /// Describes a plugin. The original describes only the first of several interfaces.
    pub(crate) fn of(plugin: &Plugin) -> Self {
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let id = seconds.map_or(0, |since| since.as_secs()).to_string();
        let example = example_properties(plugin);
        let interfaces: Vec<Interface> =
            plugin.interfaces().into_iter().map(|(interface, _)| interface).collect();
        let describe = |interface: &Interface| {
            let ApiName { name, version, sub } = name(*interface);
            let example = match interface {
                Interface::Instance => example.as_ref(),
                _ => None,
            };
            let rows = methods(*interface).iter();
            let methods = rows.map(|row| method(row, example, &id)).collect();
            ApiInterface { name, version, sub, methods }
        };
        Self {
            vendor: plugin.vendor().cloned(),
            implements: interfaces.iter().map(|interface| name(*interface)).collect(),
            interfaces: interfaces.iter().map(describe).collect(),
        }
    }
}

fn name(interface: Interface) -> ApiName {
    ApiName {
        name: interface.name().to_owned(),
        version: interface.version().to_owned(),
        sub: String::new(),
    }
}

/// Settings that the default instance object, or else the first, shows as an example.
fn example_properties(plugin: &Plugin) -> Option<Any> {
    let objects = plugin.instances()?;
    let object =
        typed(objects, "").or_else(|| objects.get(objects.names().first().map(String::as_str)?))?;
    Some(object.example_properties()).filter(|example| !example.is_null())
}

fn method(row: &Row, example: Option<&Any>, id: &str) -> ApiMethod {
    const NO_PROPERTIES: &str = "\"Properties\":null";
    let (mut params, result) = row.zero();
    if let Some(example) = example {
        params = params.replace(NO_PROPERTIES, &format!("\"Properties\":{example}"));
    }
    let method = row.method();
    let request =
        format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params},"id":"{id}"}}"#);
    let response = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":"{id}"}}"#);
    // Both texts are put together from JSON; should one not be, the description lacks it.
    ApiMethod {
        request: Any::from_text(request).unwrap_or_default(),
        response: Any::from_text(response).unwrap_or_default(),
    }
}
