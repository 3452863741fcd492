//! Checks: what they found, and what follows from it.

use super::refusal::Refusal;
use super::rows::{self, Due};
use super::topic::Topic;
use super::work::{Step, Work, check_name};
use crate::model::{
    Check, CheckDefinition, CheckSpec, Indexed, Indexes, SERF_HEALTH, Service, Status,
};

/// Longest output of a check in bytes.
pub const OUTPUT_BYTES_MAX: usize = 4 << 10;

const TTL_EXPIRED: &str = "TTL expired";
const ALIVE: &str = "Agent alive and reachable";
const NOT_ALIVE: &str = "Agent not live or unreachable";

fn row(node: &str, id: &str) -> Vec<u8> {
    rows::named(rows::CHECK, &[node, id])
}

fn of_service(node: &str, service: &str, id: &str) -> Vec<u8> {
    rows::named(rows::CHECK_OF_SERVICE, &[node, service, id])
}

/// The start of a text, at most as long as an output may be.
pub(super) fn cut(text: &str) -> &str {
    let end = (0..=OUTPUT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

impl Work<'_> {
    /// Ids of the checks of a service; of the node itself for an empty service.
    pub fn checks_of(&self, node: &str, service: &str) -> Step<Vec<String>> {
        let ids = rows::rests(self.view(), &rows::under(rows::CHECK_OF_SERVICE, &[node, service]))?;
        ids.iter().map(|id| Ok(rows::text(id)?)).collect()
    }

    pub fn check(&self, node: &str, id: &str) -> Step<Option<Indexed<Check>>> {
        self.get(&row(node, id))
    }

    /// Enters a check, or makes one that is there so.
    pub fn set_check(&mut self, node: &str, spec: &CheckSpec) -> Step {
        let mut service_name = String::new();
        if !spec.service_id.is_empty() {
            let service = self.service(node, &spec.service_id)?;
            let service = service.ok_or_else(|| Refusal::NoService(spec.service_id.clone()))?;
            service_name = service.value.name;
        }
        let before = self.check(node, &spec.id)?;
        let kept = before.as_ref().map(|before| &before.value);
        let check = Check {
            node: node.to_owned(),
            id: spec.id.clone(),
            name: spec.name.clone(),
            status: spec.status.or(kept.map(|kept| kept.status)).unwrap_or(Status::Critical),
            notes: spec.notes.clone(),
            output: match (&spec.output, kept) {
                (Some(output), _) => cut(output).to_owned(),
                (None, kept) => kept.map_or_else(String::new, |kept| kept.output.clone()),
            },
            service_id: spec.service_id.clone(),
            service_name,
            service_tags: Vec::new(),
            definition: spec.definition.clone(),
        };
        if let Some(before) = &before
            && before.value.service_id != check.service_id
        {
            self.delete(&of_service(node, &before.value.service_id, &check.id))?;
        }
        self.mark(&of_service(node, &check.service_id, &check.id))?;
        self.start_ttl(&check)?;
        self.write_check(before, check)
    }

    /// Writes a check. Another output alone is seen at once and wakes nobody.
    fn write_check(&mut self, before: Option<Indexed<Check>>, check: Check) -> Step {
        let place = row(&check.node, &check.id);
        if let Some(before) = &before {
            let silent =
                Check { output: before.value.output.clone(), ..check.clone() } == before.value;
            if silent {
                let indexes = before.indexes;
                return match before.value == check {
                    true => Ok(()),
                    false => self.put(&place, &Indexed { value: check, indexes }),
                };
            }
        }
        let was_critical =
            before.as_ref().is_some_and(|before| before.value.status == Status::Critical);
        let indexes = Indexes::write(before.map(|before| before.indexes), self.at.index);
        self.put(&place, &Indexed { value: check.clone(), indexes })?;
        self.bump_check(&check)?;
        self.follow_status(&check, was_critical)
    }

    fn bump_check(&mut self, check: &Check) -> Step {
        self.bump(&Topic::Checks)?;
        if check.service_id.is_empty() {
            return self.bump_node(&check.node);
        }
        self.bump(&Topic::Node(check.node.clone()))?;
        self.bump(&Topic::Service(check.service_name.clone()))
    }

    /// What hangs on a check that became critical, or is no longer.
    fn follow_status(&mut self, check: &Check, was_critical: bool) -> Step {
        let critical = check.status == Status::Critical;
        let reap = Due::Reap { node: check.node.clone(), check: check.id.clone() };
        match check.definition.deregister_critical_after {
            Some(after) if critical && !check.service_id.is_empty() => {
                if !was_critical || self.due(&reap)?.is_none() {
                    self.schedule(&reap, self.at.time.after(after))?;
                }
            }
            _ => self.cancel(&reap)?,
        }
        if critical && !was_critical {
            self.end_sessions_of_check(&check.node, &check.id)?;
        }
        Ok(())
    }

    fn start_ttl(&mut self, check: &Check) -> Step {
        let due = Due::Ttl { node: check.node.clone(), check: check.id.clone() };
        match check.definition.ttl {
            Some(ttl) => self.schedule(&due, self.at.time.after(ttl)),
            None => self.cancel(&due),
        }
    }

    /// Says what a check found.
    pub fn update_check(&mut self, node: &str, id: &str, status: Status, output: &str) -> Step {
        let before = self.check(node, id)?;
        let before = before.ok_or_else(|| Refusal::NoCheck(id.to_owned()))?;
        self.start_ttl(&before.value)?;
        self.turn(before, status, output)
    }

    fn turn(&mut self, before: Indexed<Check>, status: Status, output: &str) -> Step {
        let output = cut(output).to_owned();
        let check = Check { status, output, ..before.value.clone() };
        self.write_check(Some(before), check)
    }

    /// A TTL check was not updated in time.
    pub fn expire_ttl(&mut self, node: &str, id: &str) -> Step {
        match self.check(node, id)? {
            Some(before) => self.turn(before, Status::Critical, TTL_EXPIRED),
            None => Ok(()),
        }
    }

    /// A check was critical for as long as its service may be: the service goes away, and its agent
    /// finds a note that this was meant.
    pub fn reap_service(&mut self, node: &str, id: &str) -> Step {
        let Some(check) = self.check(node, id)? else { return Ok(()) };
        let service = check.value.service_id;
        self.put(&rows::named(rows::REAPED, &[node, &service]), &self.at.index.clone())?;
        self.remove_service(node, &service)
    }

    /// Takes a check out, if it is there; sessions that hang on it end.
    pub fn remove_check(&mut self, node: &str, id: &str) -> Step {
        let Some(check) = self.check(node, id)? else { return Ok(()) };
        let check = check.value;
        self.delete(&row(node, id))?;
        self.delete(&of_service(node, &check.service_id, id))?;
        self.cancel(&Due::Ttl { node: node.to_owned(), check: id.to_owned() })?;
        self.cancel(&Due::Reap { node: node.to_owned(), check: id.to_owned() })?;
        self.bump_check(&check)?;
        self.end_sessions_of_check(node, id)
    }

    /// Gives the checks of a service its name.
    pub fn rename_checks(&mut self, node: &str, service: &Service) -> Step {
        for id in self.checks_of(node, &service.id)? {
            if let Some(before) = self.check(node, &id)?
                && before.value.service_name != service.name
            {
                let service_name = service.name.clone();
                let check = Check { service_name, ..before.value.clone() };
                self.write_check(Some(before), check)?;
            }
        }
        Ok(())
    }

    /// Says whether the agent of a node is alive. A node that is not entered has nothing to say.
    pub fn node_alive(&mut self, node: &str, alive: bool) -> Step {
        check_name("node name", node)?;
        if self.view().get(&rows::named(rows::NODE, &[node]))?.is_none() {
            return Err(Refusal::NoNode.into());
        }
        let (status, output) =
            if alive { (Status::Passing, ALIVE) } else { (Status::Critical, NOT_ALIVE) };
        self.set_check(
            node,
            &CheckSpec {
                id: SERF_HEALTH.to_owned(),
                name: "Serf Health Status".to_owned(),
                notes: String::new(),
                service_id: String::new(),
                status: Some(status),
                output: Some(output.to_owned()),
                definition: CheckDefinition::default(),
            },
        )
    }
}
