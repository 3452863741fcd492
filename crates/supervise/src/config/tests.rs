//! Whole files.

mod added;
mod faults;
mod oddities;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::event::Code;

pub(super) fn here() -> Surroundings {
    let pairs = [("eth0", "10.0.0.5"), ("lo", "127.0.0.1")];
    Surroundings {
        env: [("NAME".to_owned(), "app".to_owned())].into(),
        hostname: "host".into(),
        interfaces: Interfaces::known(
            pairs.map(|(name, ip)| (name.into(), ip.parse().expect("an IP"))).to_vec(),
        ),
        version: Some("9.9.9".into()),
        app: Vec::new(),
    }
}

pub(super) fn loaded(text: &str) -> Loaded {
    parse(text, Path::new("app.json5"), &here()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The configuration with these jobs.
fn jobs(text: &str) -> Vec<Job> {
    loaded(&format!("{{consul: 'localhost:8500', jobs: {text}}}")).config.jobs
}

fn job(text: &str) -> Job {
    jobs(&format!("[{text}]")).remove(0)
}

#[test]
fn a_plain_file_has_all_defaults() {
    let Loaded { config, warnings, .. } = loaded("{consul: 'localhost:8500'}");
    assert_eq!(warnings, Vec::<String>::new());
    let Discovery::Consul(consul) = &config.discovery else { panic!("{config:?}") };
    assert_eq!((consul.url.as_str(), consul.verify), ("http://localhost:8500", true));
    assert_eq!(config.stop_timeout, Duration::from_secs(5));
    assert_eq!(config.control_socket, Path::new("/var/run/containerpilot.socket"));
    assert!(!config.control_named);
    let logging = Logging { level: Level::Info, format: Format::Default, output: Sink::Stdout };
    assert_eq!(config.logging, logging);
    assert!(config.jobs.is_empty() && config.watches.is_empty() && config.telemetry.is_none());
    assert!(!config.strict);
}

#[test]
fn a_job_has_all_defaults() {
    let job = job("{name: '{{ .NAME }}', exec: 'sleep 10'}");
    assert_eq!(&*job.name, "app");
    assert_eq!(job.exec, Some(Exec { program: "sleep".into(), args: vec!["10".into()] }));
    assert_eq!((job.when, job.restarts), (When::Startup, Restarts::Times(0)));
    assert_eq!((job.timeout, job.stop_timeout, job.service), (None, None, None));
    let backoff = Backoff {
        first: Duration::from_millis(100),
        most: Duration::from_secs(30),
        reset: Duration::from_secs(10),
    };
    assert_eq!(job.backoff, backoff);
    assert!(!job.main && !job.raw && !job.telemetry);
}

#[test]
fn supervisors_that_share_a_machine_can_name_their_services() {
    let job = job("{name: 'db', id: 'db-two', port: 3306, health: {interval: 1, ttl: 5}}");
    assert_eq!(job.service.expect("a service").id, "db-two");
}

#[test]
fn a_job_with_a_port_is_a_service() {
    let job = job(
        "{name: 'web', port: '8080', exec: ['nginx', '-p', 80], tags: 'a', initial_status: 'critical',
          consul: {enableTagOverride: true, deregisterCriticalServiceAfter: '10m'}, meta: {v: 2},
          health: {exec: 'curl  localhost', interval: 5, ttl: 10, timeout: '3', logging: {raw: 1}}}",
    );
    let service = job.service.expect("a service");
    assert_eq!((service.id.as_str(), service.port), ("web-host", 8080));
    assert_eq!(service.address.to_string(), "10.0.0.5");
    assert_eq!(service.tags, ["a"]);
    assert_eq!(service.meta, [("v".to_owned(), "2".to_owned())]);
    assert_eq!(service.initial_status, Some(Status::Critical));
    assert!(service.enable_tag_override);
    assert_eq!(service.deregister_critical_after.as_deref(), Some("10m"));
    let health = job.health.expect("health");
    let args = vec![String::new(), "localhost".into()];
    assert_eq!(health.check, Some(Check::Exec(Exec { program: "curl".into(), args })));
    assert_eq!(health.interval, Duration::from_secs(5));
    assert_eq!((health.timeout, health.ttl), (Duration::from_secs(3), Duration::from_secs(10)));
    assert!(health.raw && health.fail_fast);
}

#[test]
fn when_says_what_starts_a_job() {
    let all = jobs(
        "[{name: 'a', when: {interval: 5}}, {name: 'b', when: {source: 'a', once: 'stopped'}},
          {name: 'c', when: {source: 'a', each: 'exitFailed', timeout: '1m'}},
          {name: 'd', when: {source: 'SIGHUP'}}, {name: 'e', when: {}}]",
    );
    let event = |source: &str, code, each, timeout| When::Events {
        triggers: vec![Trigger { source: source.into(), code }],
        all: false,
        each,
        timeout,
    };
    assert_eq!(all[0].when, When::Interval(Duration::from_secs(5)));
    assert_eq!(all[0].restarts, Restarts::Unlimited);
    assert_eq!(all[0].timeout, Some(Duration::from_secs(5)));
    assert_eq!(all[1].when, event("a", Code::Stopped, false, None));
    assert_eq!(all[2].when, event("a", Code::ExitFailed, true, Some(Duration::from_secs(60))));
    assert_eq!(all[3].when, event("SIGHUP", Code::Signal, true, None));
    assert_eq!(all[4].when, When::Never);
}
