//! What one look at the catalog shows, and how two looks differ.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Deserialize;

use crate::config::{Watch, Watched};
use crate::discovery::client::{Answer, escape, escape_path};
use crate::event::Code;

/// What a watch sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The passing instances, by identity.
    Instances(Vec<Instance>),
    /// When the key was made and when it was changed last; `None` while it is not there.
    Key(Option<(u64, u64)>),
}

/// An instance of a service, with everything that makes it another one for those who use it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instance {
    id: String,
    /// Its own address, or its node's where it has none.
    address: String,
    port: u16,
    tags: Vec<String>,
    meta: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    node: Node,
    service: Service,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    address: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    address: String,
    port: u16,
    tags: Option<Vec<String>>,
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    create_index: u64,
    modify_index: u64,
}

impl From<Entry> for Instance {
    fn from(Entry { node, service }: Entry) -> Self {
        let Service { id, address, port, tags, meta } = service;
        let address = if address.is_empty() { node.address } else { address };
        let (tags, meta) = (tags.unwrap_or_default(), meta.unwrap_or_default());
        Self { id, address, port, tags, meta }
    }
}

/// The question of a watch, without what holds it open, and what was seen before the first look: nothing.
/// `None`: the locks answer it.
pub(super) fn question(watch: &Watch) -> Option<(String, Seen)> {
    let dc = watch.dc.as_ref().map(|dc| format!("dc={}", escape(dc)));
    let (path, more, nothing) = match &watch.what {
        Watched::Service { service, tag } => {
            let tag = tag.as_ref().map(|tag| format!("tag={}", escape(tag)));
            let more = [Some("passing=1".to_owned()), tag];
            (format!("/v1/health/service/{}", escape(service)), more, Seen::Instances(Vec::new()))
        }
        Watched::Key(key) => {
            (format!("/v1/kv/{}", escape_path(key)), [None, None], Seen::Key(None))
        }
        Watched::Lock(_) => return None,
    };
    let query: Vec<String> = [dc].into_iter().chain(more).flatten().collect();
    let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    Some((path, nothing))
}

impl Seen {
    /// What the next answer shows.
    pub fn next(&self, answer: &Answer) -> Result<Self, String> {
        let json = |error: serde_json::Error| error.to_string();
        let missing = answer.status == StatusCode::NOT_FOUND;
        match self {
            Self::Instances(_) if missing => Err("it does not know services".to_owned()),
            Self::Instances(_) => {
                let entries: Vec<Entry> = serde_json::from_slice(&answer.body).map_err(json)?;
                let mut instances: Vec<Instance> = entries.into_iter().map(Into::into).collect();
                instances.sort();
                Ok(Self::Instances(instances))
            }
            Self::Key(_) if missing => Ok(Self::Key(None)),
            Self::Key(_) => {
                let pairs: Vec<Pair> = serde_json::from_slice(&answer.body).map_err(json)?;
                let pair = pairs.first().map(|pair| (pair.create_index, pair.modify_index));
                Ok(Self::Key(pair))
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Instances(instances) => instances.len(),
            Self::Key(pair) => usize::from(pair.is_some()),
        }
    }

    /// The events of a look that follows another, in order.
    pub fn events(&self, before: &Self) -> &'static [Code] {
        match (self == before, self.count()) {
            (true, _) => &[],
            (false, 0) => &[Code::Changed, Code::Unhealthy],
            (false, _) => &[Code::Changed, Code::Healthy],
        }
    }
}
