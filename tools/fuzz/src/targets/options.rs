//! Options and settings.

use std::fmt::Debug;
use std::sync::Arc;

use regrow_codec::Any;
use regrow_flavors::{Templates, vanilla};
use regrow_manager::Options as ManagerOptions;
use regrow_plugin::spi::{Allocation, Flavor, Index, Instance, InstanceSpec};
use regrow_plugin::{Lookup, Registry};
use regrow_providers::process::Processes;
use regrow_providers::selector::{Choices, Selector, Strategy};
use regrow_providers::settings::{self, SettingsError};
use regrow_providers::{file, process, simulator};
use serde::Serialize;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::codec::has_a_place;
use super::template::bounded;
use crate::scratch::{choice, folder, must, runtime, text, two};

/// Options read back from their print; the environment counts where the document is silent.
pub fn options(data: &[u8]) {
    let (kind, rest) = choice(data, 4);
    let (variable, document) = two(rest);
    let variable = text(variable);
    let env = |_: &str| Some(variable.clone()).filter(|value| !value.is_empty());
    let Ok(document) = Any::from_text(text(document)) else { return };
    match kind {
        0 => provider::<file::Options>(&document, env),
        1 => provider::<process::Options>(&document, env),
        2 => provider::<simulator::Options>(&document, env),
        _ => match ManagerOptions::read(&document, &env) {
            Ok(options) => {
                let printed = Any::from_serialize(&options);
                assert_eq!(
                    must(ManagerOptions::read(&printed, &|_| None), printed.as_text()),
                    options
                );
            }
            Err(fault) => assert!(!fault.to_string().is_empty()),
        },
    }
}

fn provider<O>(document: &Any, env: impl Fn(&str) -> Option<String>)
where
    O: settings::Options + Serialize + Debug + PartialEq,
{
    match settings::load::<O>(document, env) {
        Ok(options) => {
            let printed = Any::from_serialize(&options);
            let again = settings::load::<O>(&printed, |_| None);
            assert_eq!(must(again, printed.as_text()), options);
        }
        Err(SettingsError::Field(fault)) => assert!(!fault.reason.is_empty()),
        Err(fault) => assert!(fault.to_string().contains("expected a JSON object")),
    }
}

/// Choices read back from their print; properties are taken or refused with a text.
pub fn selectors(data: &[u8]) {
    let (choices, properties) = two(data);
    let Ok(choices) = Any::from_text(text(choices)) else { return };
    let choices = match Choices::read(&choices) {
        Ok(choices) => choices,
        Err(fault) => return assert!(!fault.to_string().is_empty()),
    };
    let printed = Any::from_serialize(choices.as_slice());
    assert_eq!(must(Choices::read(&printed), printed.as_text()), choices);
    let Ok(properties) = Any::from_text(text(properties)) else { return };
    let lookup: Arc<dyn Lookup> = Arc::new(Registry::default());
    for strategy in Strategy::ALL {
        let selector = Selector::new(strategy, choices.clone(), Arc::clone(&lookup));
        // There are no plugins behind it, so it refuses at the latest when it asks them.
        if let Err(fault) = runtime().block_on(selector.validate(&properties)) {
            assert!(!fault.to_string().is_empty());
        }
    }
}

/// What is accepted can be prepared, or says why not; a template gets at nothing outside.
pub fn vanilla_settings(data: &[u8]) {
    let Ok(properties) = Any::from_text(text(data)) else { return };
    let flavor = vanilla::Vanilla::new(Templates::new(bounded()));
    let (allocation, index) = (Allocation { size: 1, logical_ids: None }, Index::default());
    runtime().block_on(async {
        if let Err(fault) = flavor.validate(&properties, &allocation).await {
            assert!(!fault.to_string().is_empty());
        }
        let spec = InstanceSpec { init: "before".to_owned(), ..InstanceSpec::default() };
        match flavor.prepare(&properties, spec, &allocation, &index).await {
            Ok(spec) => assert!(spec.logical_id.is_none()),
            Err(fault) => assert!(!fault.to_string().is_empty()),
        }
    });
}

/// A provider without instances, for as long as its thread.
struct Provider {
    processes: Processes,
    runtime: Runtime,
    _dir: TempDir,
}

thread_local! {
    static PROVIDER: Provider = {
        let (dir, runtime) = (folder(), runtime());
        let options = process::Options { dir: Some(dir.path().into()), ..process::Options::default() };
        let processes = must(runtime.block_on(Processes::open(&options)), "open the provider");
        Provider { processes, runtime, _dir: dir }
    };
}

/// What is accepted reads as properties and back; a fault names the field.
pub fn process_properties(data: &[u8]) {
    let Ok(document) = Any::from_text(text(data)) else { return };
    let found =
        PROVIDER.with(|provider| provider.runtime.block_on(provider.processes.validate(&document)));
    match found {
        Ok(()) => {
            let read = must(document.decode::<process::Properties>(), "read what was accepted");
            let printed = Any::from_serialize(&read);
            assert_eq!(must(printed.decode::<process::Properties>(), printed.as_text()), read);
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
    if let Err(fault) = document.decode::<process::Properties>() {
        has_a_place(&fault);
    }
}
