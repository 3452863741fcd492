//! Documents of groups.

use regrow_codec::Any;
use regrow_groups::config::{ConfigError, GroupConfig};
use regrow_plugin::spi::GroupSpec;

use super::codec::has_a_place;
use crate::scratch::{must, text};

/// A document reads back from its print with the same hash; what strict reading takes, lenient
/// reading takes; an accepted group can move and stays within its limits.
pub fn group_specs(data: &[u8]) {
    let Ok(properties) = Any::from_text(text(data)) else { return };
    let spec = GroupSpec { id: "fuzzed".into(), properties };
    let strict = GroupConfig::parse_strict(&spec);
    let config = match GroupConfig::parse(&spec) {
        Ok(config) => config,
        Err(fault) => {
            assert!(strict.is_err() && !fault.to_string().is_empty());
            if let ConfigError::Properties(fault) = fault {
                has_a_place(&fault);
            }
            return;
        }
    };
    if let Ok(strict) = strict {
        same(&strict, &config);
    }
    let printed = config.spec();
    let again = must(GroupConfig::parse(&printed), "read a document back");
    same(&again, &config);
    let size = config.membership.size();
    assert!(size == 0 || config.max_surge() > 0 || config.max_unavailable() > 0);
    assert!(config.max_instances().is_none_or(|most| most >= size));
    let _ = (config.destroy_budget(size), config.backoff(), config.flap_window());
    if let Ok(resized) = config.resized(3) {
        assert_eq!((resized.membership.size(), &resized.hash), (3, &config.hash));
    }
}

fn same(one: &GroupConfig, other: &GroupConfig) {
    assert_eq!(one.document, other.document);
    assert_eq!((&one.id, &one.membership, &one.hash), (&other.id, &other.membership, &other.hash));
}
