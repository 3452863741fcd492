//! `watches`.

use super::super::decode::{Block, Faults, blocks};
use super::super::error::Fault;
use super::super::keys;
use super::super::model::{Watch, Watched};
use super::super::tree::Node;
use super::service::service_name;
use super::{Context, checked, seconds};

/// Pace of looks at a key or a lock, in seconds, where the file does not say and the catalog cannot hold a
/// question open.
const KEY_INTERVAL: i64 = 10;

struct Fields<'a> {
    block: Block<'a>,
    name: String,
    interval: i64,
    tag: String,
    dc: String,
    key: String,
    lock: String,
}

/// The watches of the file.
pub(super) fn watches(context: &mut Context<'_>, items: &[Node]) -> Result<Vec<Watch>, Fault> {
    let fields: Vec<Fields<'_>> = checked(|faults| {
        let blocks = blocks(faults, "", items, keys::WATCH);
        blocks.into_iter().map(|block| Fields::read(faults, block)).collect()
    })
    .map_err(|fault| fault.within("Watch configuration error: "))?;
    fields.into_iter().map(|fields| fields.check(context)).collect()
}

impl<'a> Fields<'a> {
    fn read(faults: &mut Faults, block: Block<'a>) -> Self {
        Self {
            name: block.text(faults, "name"),
            interval: block.int(faults, "interval"),
            tag: block.text(faults, "tag"),
            dc: block.text(faults, "dc"),
            key: block.text(faults, "key"),
            lock: block.text(faults, "lock"),
            block,
        }
    }

    fn check(mut self, context: &mut Context<'_>) -> Result<Watch, Fault> {
        let place = |name: &str| self.block.place_of(name);
        service_name(&self.name).map_err(|text| Fault::new(text, place("name")))?;
        if !self.key.is_empty() && !self.lock.is_empty() {
            let text = format!("watch[{}] can have only one of 'key' and 'lock'", self.name);
            return Err(Fault::new(text, place("lock")));
        }
        let other = if self.key.is_empty() { ("lock", &self.lock) } else { ("key", &self.key) };
        let service = other.1.is_empty();
        if !service && self.block.get("interval").is_none() {
            self.interval = KEY_INTERVAL;
        }
        if self.interval < 1 {
            let text = format!("watch[{}].interval must be > 0", self.name);
            return Err(Fault::new(text, place("interval")));
        }
        let some = |text: String| (!text.is_empty()).then_some(text);
        if !service && !self.tag.is_empty() {
            let text = format!("watch[{}] has a '{}', so its 'tag' is ignored", self.name, other.0);
            context.warn(text, place("tag"));
        }
        let what = match (self.key.is_empty(), self.lock.is_empty()) {
            (true, true) => Watched::Service { service: self.name.clone(), tag: some(self.tag) },
            (true, false) => Watched::Lock(self.lock.into()),
            (false, _) => Watched::Key(self.key),
        };
        let interval = seconds(self.interval);
        Ok(Watch { name: self.name.into(), what, interval, dc: some(self.dc) })
    }
}
