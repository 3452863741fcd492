//! The environment of jobs: the supervisor's own, what `putenv` set, and where and as what others run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::config::Config;

/// A name and its value.
pub type Variable<'a> = (&'a OsStr, &'a OsStr);

/// The variables that this program was started with.
#[derive(Debug)]
pub struct Environment {
    inherited: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The environment of this process.
    pub fn inherited() -> Self {
        Self { inherited: std::env::vars_os().collect() }
    }

    /// One variable as bytes, an added one before an inherited one.
    pub fn bytes(&self, added: &BTreeMap<String, String>, name: &str) -> Option<Vec<u8>> {
        let added = added.get(name).map(OsStr::new);
        let value = added.or_else(|| self.inherited.get(OsStr::new(name)).map(OsString::as_os_str));
        value.map(|value| value.as_encoded_bytes().to_vec())
    }

    /// All variables; of those with the same name the last one counts.
    pub fn with<'a>(
        &'a self,
        added: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = Variable<'a>> {
        let inherited = self.inherited.iter().map(|(name, value)| (&**name, &**value));
        let added = added.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
        inherited.chain(added)
    }
}

/// Where the services of a configuration are, for the environment of its jobs.
pub fn addresses(config: &Config) -> BTreeMap<String, String> {
    let services = config.jobs.iter().filter_map(|job| Some((job, job.service.as_ref()?)));
    services
        .map(|(job, service)| (address_variable(&job.name), service.address.to_string()))
        .collect()
}

/// `CONTAINERPILOT_<NAME>_IP`, where others find the address of a service.
fn address_variable(job: &str) -> String {
    format!("CONTAINERPILOT_{}_IP", job.to_uppercase().replace('-', "_"))
}

/// `CONTAINERPILOT_<NAME>_PID`: the last part of a path, without its last extension. A check is
/// called `check.JOB`, so all checks share one variable, as they did in ContainerPilot.
pub fn pid_variable(label: &str) -> String {
    let base = label.rsplit('/').next().unwrap_or(label);
    let stem = base.rfind('.').map_or(base, |dot| &base[..dot]);
    format!("CONTAINERPILOT_{}_PID", words(stem))
}

/// `REGROW_LOCK_<NAME>_FENCE`: under which fence a leader-only process runs.
pub fn fence_variable(lock: &str) -> String {
    format!("REGROW_LOCK_{}_FENCE", words(lock))
}

/// Upper case, each run of other characters than letters and digits one `_`.
fn words(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars() {
        match character {
            letter if letter.is_ascii_alphanumeric() => name.push(letter.to_ascii_uppercase()),
            _ if name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    name
}

/// The environment as strings, for templates; what is not UTF-8 is left out.
pub fn texts<'a>(all: impl Iterator<Item = Variable<'a>>) -> BTreeMap<String, String> {
    let text = |(name, value): Variable<'a>| Some((name.to_str()?, value.to_str()?));
    all.filter_map(text).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_as_containerpilot_names_them() {
        assert_eq!(address_variable("my-app"), "CONTAINERPILOT_MY_APP_IP");
        assert_eq!(pid_variable("my-app"), "CONTAINERPILOT_MY_APP_PID");
        assert_eq!(pid_variable("/bin/my  app.sh"), "CONTAINERPILOT_MY_APP_PID");
        assert_eq!(pid_variable("check.web"), "CONTAINERPILOT_CHECK_PID");
        assert_eq!(fence_variable("primary"), "REGROW_LOCK_PRIMARY_FENCE");
    }

    #[test]
    fn what_was_added_wins_and_values_keep_their_equals_signs() {
        let added = [("PATH".to_owned(), "/nowhere=at=all".to_owned())].into();
        let environment = Environment::inherited();
        assert_eq!(environment.bytes(&added, "PATH"), Some(b"/nowhere=at=all".to_vec()));
        let all = texts(environment.with(&added));
        assert_eq!(all.get("PATH"), Some(&"/nowhere=at=all".to_owned()));
    }
}
