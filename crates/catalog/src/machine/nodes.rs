//! Nodes and services: how they come and go.

use super::command::{NodePart, Registration, Removal};
use super::refusal::Refusal;
use super::rows;
use super::topic::Topic;
use super::work::{Step, Work};
use crate::model::{Indexed, Indexes, Node, Service};

fn node_row(name: &str) -> Vec<u8> {
    rows::named(rows::NODE, &[name])
}

fn service_row(node: &str, id: &str) -> Vec<u8> {
    rows::named(rows::SERVICE, &[node, id])
}

fn by_name(name: &str, node: &str, id: &str) -> Vec<u8> {
    rows::named(rows::SERVICE_BY_NAME, &[name, node, id])
}

impl Work<'_> {
    pub fn register(&mut self, registration: &Registration) -> Step {
        registration.check_names()?;
        let node = registration.node.name();
        match &registration.node {
            NodePart::Set(node) => self.set_node(node)?,
            NodePart::Keep(name) if self.view().get(&node_row(name))?.is_none() => {
                return Err(Refusal::NoNode.into());
            }
            NodePart::Keep(_) => {}
        }
        if let Some(service) = &registration.service {
            self.set_service(node, service)?;
        }
        for check in &registration.checks {
            self.set_check(node, check)?;
        }
        if let (true, Some(service)) = (registration.replace_checks, &registration.service) {
            for id in self.checks_of(node, &service.id)? {
                if registration.checks.iter().all(|kept| kept.id != id) {
                    self.remove_check(node, &id)?;
                }
            }
        }
        Ok(())
    }

    pub fn remove(&mut self, removal: &Removal) -> Step {
        match removal {
            Removal::Node { node } => self.remove_node(node),
            Removal::Service { node, id } => {
                // Whoever removes it knows that it is gone.
                self.delete(&rows::named(rows::REAPED, &[node, id]))?;
                self.remove_service(node, id)
            }
            Removal::Check { node, id } => self.remove_check(node, id),
        }
    }

    pub fn node(&self, name: &str) -> Step<Option<Indexed<Node>>> {
        self.get(&node_row(name))
    }

    /// Enters a node, or makes it so.
    pub fn set_node(&mut self, node: &Node) -> Step {
        let row = node_row(&node.name);
        let before = self.node(&node.name)?;
        if before.as_ref().is_some_and(|before| before.value == *node) {
            return Ok(());
        }
        let indexes = Indexes::write(before.map(|before| before.indexes), self.at.index);
        self.put(&row, &Indexed { value: node.clone(), indexes })?;
        self.bump(&Topic::Nodes)?;
        self.bump_node(&node.name)
    }

    /// Says that something changed which readers of all services of a node see.
    pub fn bump_node(&mut self, node: &str) -> Step {
        self.bump(&Topic::Node(node.to_owned()))?;
        let services: Vec<Indexed<Service>> =
            rows::list(self.view(), &rows::under(rows::SERVICE, &[node]))?;
        for service in services {
            self.bump(&Topic::Service(service.value.name))?;
        }
        Ok(())
    }

    pub fn service(&self, node: &str, id: &str) -> Step<Option<Indexed<Service>>> {
        self.get(&service_row(node, id))
    }

    /// Enters a service of a node that is there, or makes it so.
    pub fn set_service(&mut self, node: &str, service: &Service) -> Step {
        self.delete(&rows::named(rows::REAPED, &[node, &service.id]))?;
        let before = self.service(node, &service.id)?;
        if let Some(before) = &before {
            if before.value == *service {
                return Ok(());
            }
            if before.value.name != service.name {
                self.leave_name(node, &before.value)?;
            }
        }
        let indexes = Indexes::write(before.map(|before| before.indexes), self.at.index);
        let row = Indexed { value: service.clone(), indexes };
        self.put(&service_row(node, &service.id), &row)?;
        self.mark(&by_name(&service.name, node, &service.id))?;
        self.rename_checks(node, service)?;
        self.bump_service(node, &service.name)
    }

    /// Says that a service changed.
    fn bump_service(&mut self, node: &str, name: &str) -> Step {
        self.bump(&Topic::Services)?;
        self.bump(&Topic::Node(node.to_owned()))?;
        self.bump(&Topic::Service(name.to_owned()))
    }

    /// Takes an instance from its name; the last one takes the name's index with it, and readers of
    /// the name are shown the index of all services from then on, which this command moves.
    fn leave_name(&mut self, node: &str, service: &Service) -> Step {
        self.delete(&by_name(&service.name, node, &service.id))?;
        self.bump_service(node, &service.name)?;
        let left = rows::any(self.view(), &rows::under(rows::SERVICE_BY_NAME, &[&service.name]))?;
        if !left {
            Topic::Service(service.name.clone()).forget(self.tables)?;
        }
        Ok(())
    }

    /// Takes a service and its checks out, if it is there.
    pub fn remove_service(&mut self, node: &str, id: &str) -> Step {
        let Some(service) = self.service(node, id)? else { return Ok(()) };
        for check in self.checks_of(node, id)? {
            self.remove_check(node, &check)?;
        }
        self.delete(&service_row(node, id))?;
        self.leave_name(node, &service.value)
    }

    fn remove_node(&mut self, node: &str) -> Step {
        let row = node_row(node);
        if self.view().get(&row)?.is_none() {
            return Ok(());
        }
        self.end_sessions_of_node(node)?;
        let services: Vec<Indexed<Service>> =
            rows::list(self.view(), &rows::under(rows::SERVICE, &[node]))?;
        for service in services {
            self.remove_service(node, &service.value.id)?;
        }
        for check in self.checks_of(node, "")? {
            self.remove_check(node, &check)?;
        }
        let notes = rows::under(rows::REAPED, &[node]);
        for id in rows::rests(self.view(), &notes)? {
            self.delete(&rows::key(rows::REAPED, &[node.as_bytes(), &[0], &id]))?;
        }
        self.delete(&row)?;
        Topic::Node(node.to_owned()).forget(self.tables)?;
        self.bump(&Topic::Nodes)
    }
}
