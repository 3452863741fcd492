//! `port` and its kin: what a job is announced as.

use super::super::address::{DEFAULT, choose};
use super::super::decode::{Block, Faults};
use super::super::error::Fault;
use super::super::job::{Service, Status};
use super::super::{duration, keys};
use super::{Context, Place};
use std::net::{IpAddr, Ipv4Addr};

/// What a job says of its service.
pub(super) struct ServiceFields {
    pub(super) port: i64,
    id: String,
    pub(super) interfaces: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) meta: Vec<(String, String)>,
    initial_status: String,
    extras: Option<Extras>,
    places: Places,
}

struct Extras {
    enable_tag_override: bool,
    deregister_after: String,
    place: Option<Place>,
}

struct Places {
    name: Option<Place>,
    port: Option<Place>,
    initial_status: Option<Place>,
    interfaces: Option<Place>,
}

impl ServiceFields {
    pub(super) fn read(faults: &mut Faults, block: &Block<'_>) -> Self {
        let extras = block.block(faults, "consul", keys::JOB_CONSUL).map(|extras| Extras {
            enable_tag_override: extras.flag(faults, "enableTagOverride").unwrap_or(false),
            deregister_after: extras.text(faults, "deregisterCriticalServiceAfter"),
            place: extras.place_of("deregisterCriticalServiceAfter"),
        });
        Self {
            port: block.int(faults, "port"),
            id: block.text(faults, "id"),
            interfaces: block.texts(faults, "interfaces"),
            tags: block.texts(faults, "tags"),
            meta: block.pairs(faults, "meta"),
            initial_status: block.text(faults, "initial_status"),
            extras,
            places: Places {
                name: block.place_of("name"),
                port: block.place_of("port"),
                initial_status: block.place_of("initial_status"),
                interfaces: block.place_of("interfaces"),
            },
        }
    }

    /// The service of the job `name`; none without a port.
    pub(super) fn check(self, context: &Context<'_>, name: &str) -> Result<Option<Service>, Fault> {
        if self.port == 0 {
            let blank = || Fault::new("'name' must not be blank", self.places.name);
            return if name.is_empty() { Err(blank()) } else { Ok(None) };
        }
        let initial_status = self.status(name)?;
        service_name(name).map_err(|text| Fault::new(text, self.places.name))?;
        let port = u16::try_from(self.port).map_err(|_| {
            let text = format!("job[{name}].port '{}' must be between 1 and 65535", self.port);
            Fault::new(text, self.places.port)
        })?;
        let address = address(context, &self.interfaces)
            .map_err(|text| Fault::new(text, self.places.interfaces))?;
        let (enable_tag_override, deregister_critical_after) = match &self.extras {
            Some(extras) => (extras.enable_tag_override, extras.deregister(name)?),
            None => (false, None),
        };
        let own = || format!("{name}-{}", context.surroundings.hostname);
        Ok(Some(Service {
            id: if self.id.is_empty() { own() } else { self.id },
            name: name.to_owned(),
            port,
            address,
            tags: self.tags,
            meta: self.meta,
            initial_status,
            enable_tag_override,
            deregister_critical_after,
        }))
    }

    fn status(&self, job: &str) -> Result<Option<Status>, Fault> {
        match self.initial_status.as_str() {
            "" => Ok(None),
            "passing" => Ok(Some(Status::Passing)),
            "warning" => Ok(Some(Status::Warning)),
            "critical" => Ok(Some(Status::Critical)),
            _ => Err(Fault::new(
                format!(
                    "job[{job}].initialStatus must be one of 'passing', 'warning' or 'critical'"
                ),
                self.places.initial_status,
            )),
        }
    }
}

impl Extras {
    /// The time in Go's form; a bare number is made one of seconds. Empty is none: the original
    /// refused it.
    fn deregister(&self, job: &str) -> Result<Option<String>, Fault> {
        let text = &self.deregister_after;
        if text.is_empty() {
            return Ok(None);
        }
        duration::parse(text).map_err(|error| {
            let what = format!("job[{job}].consul.deregisterCriticalServiceAfter");
            Fault::new(format!("unable to parse {what}: {error}"), self.place)
        })?;
        let bare = text.bytes().all(|byte| byte.is_ascii_digit());
        Ok(Some(if bare { format!("{text}s") } else { text.clone() }))
    }
}

/// What a name in a catalog must be.
pub(super) fn service_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("'name' must not be blank".to_owned());
    }
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    if first && name.len() > 1 && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(());
    }
    Err("service names must be alphanumeric with dashes to comply with service discovery"
        .to_owned())
}

/// The address that is announced. Where nobody is told of it, a machine without addresses has its
/// own.
pub(super) fn address(context: &Context<'_>, specs: &[String]) -> Result<IpAddr, String> {
    let given = if specs.is_empty() { &DEFAULT.map(str::to_owned) } else { specs };
    let found = choose(given, &context.surroundings.interfaces);
    let any = specs.is_empty() && context.alone;
    if any { Ok(found.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))) } else { found }
}
