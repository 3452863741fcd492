//! What can be asked about nodes, services and checks. DNS asks here too.

use std::collections::{BTreeMap, BTreeSet};

use regrow_consensus::{TableError, View};

use super::{Found, Read, index_of, index_or};
use crate::machine::Topic;
use crate::machine::rows;
use crate::model::{Check, Indexed, Instance, Node, Service, Status};

/// A node with its services, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeServices {
    /// The node.
    pub node: Indexed<Node>,
    /// Its services.
    pub services: Vec<Indexed<Service>>,
}

/// All that the catalog has of one node, as its agent compares it with what it registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node itself.
    pub node: Option<Node>,
    /// Its services by id.
    pub services: BTreeMap<String, Service>,
    /// Its checks by id.
    pub checks: BTreeMap<String, Check>,
    /// Ids of services that were removed because they were critical for too long.
    pub reaped: BTreeSet<String>,
}

/// The names of all services, each with the tags of all its instances.
pub fn services() -> Read<BTreeMap<String, BTreeSet<String>>> {
    services_where(vec![Topic::Services], |_| true)
}

/// The names of services on nodes that `picks` picks, each with the tags of those instances.
pub fn services_on(
    picks: impl Fn(&Node) -> bool + Send + Sync + 'static,
) -> Read<BTreeMap<String, BTreeSet<String>>> {
    services_where(vec![Topic::Services, Topic::Nodes], picks)
}

fn services_where(
    topics: Vec<Topic>,
    picks: impl Fn(&Node) -> bool + Send + Sync + 'static,
) -> Read<BTreeMap<String, BTreeSet<String>>> {
    Read::new(topics.clone(), move |view| {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in rows::list::<Indexed<Node>>(view, &[rows::NODE])? {
            if picks(&node.value) {
                for service in services_of(view, &node.value.name)? {
                    let Service { name, tags, .. } = service.value;
                    found.entry(name).or_default().extend(tags);
                }
            }
        }
        Ok(Found { value: found, index: index_of(view, &topics)? })
    })
}

/// All nodes, by name.
pub fn nodes() -> Read<Vec<Indexed<Node>>> {
    Read::new(vec![Topic::Nodes], |view| {
        let index = index_of(view, &[Topic::Nodes])?;
        Ok(Found { value: rows::list(view, &[rows::NODE])?, index })
    })
}

/// One node with its services.
pub fn node(name: impl Into<String>) -> Read<Option<NodeServices>> {
    let name = name.into();
    of_node(&name.clone(), move |view| {
        let Some(node) = rows::get(view, &rows::named(rows::NODE, &[&name]))? else {
            return Ok(None);
        };
        Ok(Some(NodeServices { node, services: services_of(view, &name)? }))
    })
}

/// All that the catalog has of one node.
pub fn node_entry(name: impl Into<String>) -> Read<NodeEntry> {
    let name = name.into();
    of_node(&name.clone(), move |view| {
        let node: Option<Indexed<Node>> = rows::get(view, &rows::named(rows::NODE, &[&name]))?;
        let services = services_of(view, &name)?;
        let checks = node_checks(view, &name)?;
        let reaped = rows::rests(view, &rows::under(rows::REAPED, &[&name]))?;
        Ok(NodeEntry {
            node: node.map(|node| node.value),
            services: services.into_iter().map(|row| (row.value.id.clone(), row.value)).collect(),
            checks: checks.into_iter().map(|row| (row.value.id.clone(), row.value)).collect(),
            reaped: reaped.iter().map(|id| rows::text(id)).collect::<Result<_, _>>()?,
        })
    })
}

/// The instances of a service, by node and id.
pub fn instances(service: impl Into<String>) -> Read<Vec<Instance>> {
    let service = service.into();
    let topic = Topic::Service(service.clone());
    Read::new(vec![topic.clone()], move |view| {
        let index = index_or(view, &topic, &Topic::Services)?;
        Ok(Found { value: instances_of(view, &service)?, index })
    })
}

/// The checks of all instances of a service.
pub fn checks_of_service(service: impl Into<String>) -> Read<Vec<Indexed<Check>>> {
    instances(service).map(|instances| {
        let checks = instances.into_iter().flat_map(|instance| instance.checks);
        checks.filter(|check| !check.value.service_id.is_empty()).collect()
    })
}

/// The checks of a node and of its services, by id.
pub fn checks_of_node(node: impl Into<String>) -> Read<Vec<Indexed<Check>>> {
    let node = node.into();
    of_node(&node.clone(), move |view| node_checks(view, &node))
}

/// All checks, or those of one status, by node and id.
pub fn checks(status: Option<Status>) -> Read<Vec<Indexed<Check>>> {
    // They are shown with the tags of their services.
    let topics = [Topic::Checks, Topic::Services];
    Read::new(topics.to_vec(), move |view| {
        let mut value: Vec<Indexed<Check>> = rows::list(view, &[rows::CHECK])?;
        value.retain(|check| status.is_none_or(|status| check.value.status == status));
        add_tags(view, &mut value)?;
        Ok(Found { value, index: index_of(view, &topics)? })
    })
}

/// A look at one node, with its index.
fn of_node<T: 'static>(
    node: &str,
    look: impl Fn(&dyn View) -> Result<T, TableError> + Send + Sync + 'static,
) -> Read<T> {
    let topic = Topic::Node(node.to_owned());
    Read::new(vec![topic.clone()], move |view| {
        let index = index_or(view, &topic, &Topic::Nodes)?;
        Ok(Found { value: look(view)?, index })
    })
}

fn services_of(view: &dyn View, node: &str) -> Result<Vec<Indexed<Service>>, TableError> {
    rows::list(view, &rows::under(rows::SERVICE, &[node]))
}

fn node_checks(view: &dyn View, node: &str) -> Result<Vec<Indexed<Check>>, TableError> {
    let mut checks = rows::list(view, &rows::under(rows::CHECK, &[node]))?;
    add_tags(view, &mut checks)?;
    Ok(checks)
}

/// Gives checks the tags that their services have now.
fn add_tags(view: &dyn View, checks: &mut [Indexed<Check>]) -> Result<(), TableError> {
    for check in checks.iter_mut().map(|check| &mut check.value) {
        if !check.service_id.is_empty() {
            let row = rows::named(rows::SERVICE, &[&check.node, &check.service_id]);
            let service: Option<Indexed<Service>> = rows::get(view, &row)?;
            check.service_tags = service.map(|service| service.value.tags).unwrap_or_default();
        }
    }
    Ok(())
}

/// The checks of one service of a node; of the node itself for an empty id.
fn checks_by_service(
    view: &dyn View,
    node: &str,
    service: &str,
) -> Result<Vec<Indexed<Check>>, TableError> {
    let mut checks = Vec::new();
    for id in rows::rests(view, &rows::under(rows::CHECK_OF_SERVICE, &[node, service]))? {
        let row = rows::named(rows::CHECK, &[node, &rows::text(&id)?]);
        checks.extend(rows::get::<Indexed<Check>>(view, &row)?);
    }
    Ok(checks)
}

fn instances_of(view: &dyn View, name: &str) -> Result<Vec<Instance>, TableError> {
    let mut found = Vec::new();
    let mut on: Option<(Indexed<Node>, Vec<Indexed<Check>>)> = None;
    for place in rows::rests(view, &rows::under(rows::SERVICE_BY_NAME, &[name]))? {
        let place = rows::text(&place)?;
        let Some((node, id)) = place.split_once('\0') else { continue };
        if on.as_ref().is_none_or(|(on, _)| on.value.name != node) {
            let Some(row) = rows::get(view, &rows::named(rows::NODE, &[node]))? else { continue };
            on = Some((row, checks_by_service(view, node, "")?));
        }
        let service: Option<Indexed<Service>> =
            rows::get(view, &rows::named(rows::SERVICE, &[node, id]))?;
        let (Some((node_row, node_checks)), Some(service)) = (&on, service) else { continue };
        let mut own = checks_by_service(view, node, id)?;
        for check in &mut own {
            check.value.service_tags.clone_from(&service.value.tags);
        }
        let checks = node_checks.iter().cloned().chain(own).collect();
        found.push(Instance { node: node_row.clone(), service, checks });
    }
    Ok(found)
}
