//! What was read from version 2, as version 3 says it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::document::{Document, Health, Job, Metric, Raw, Telemetry, Watch, When};
use super::read::{self, Backend, Coprocess, File, Sensor, Service, Task};

/// Name of the application's job where it cannot have that of a service.
const APP: &str = "app";
/// Name of the job of the hook, and the source of its events.
const PRE_START: &str = "preStart";
/// Runs a check (the words after it), and hands what it prints to the metric that `$0` names. The
/// program is found through the process that supervises, wherever its file is.
const SENSOR_LINE: &str =
    r#"value=$("$@") && exec "/proc/$CONTAINERPILOT_PID/exe" supervise putmetric "$0=$value""#;

/// The document, and what is otherwise than it was.
pub(super) fn to_v3(file: File, app: &[String]) -> (Document, Vec<String>) {
    let plan = Plan::of(&file, app);
    let warnings = warnings(&file, &plan);
    let mut jobs: Vec<Job> = file.pre_start.iter().cloned().map(pre_start).collect();
    jobs.extend(applications(file.services, app, &plan));
    jobs.extend(file.coprocesses.into_iter().map(|it| coprocess(it, &plan)));
    jobs.extend(file.tasks.into_iter().map(task));
    let watches = file.backends.iter().map(watch).collect();
    jobs.extend(file.backends.into_iter().map(on_change));
    if let Some(source) = &plan.main {
        let hooks =
            [("preStop", file.pre_stop, "stopping"), ("postStop", file.post_stop, "stopped")];
        jobs.extend(hooks.into_iter().filter_map(|(name, exec, event)| {
            // Where `preStart` failed nothing was begun that they could end.
            let when = Some(match plan.after_hook {
                Some(_) => When::all(&[(PRE_START, "exitSuccess"), (source, event)]),
                None => When::once(source, event),
            });
            Some(Job { name: name.to_owned(), exec: Some(exec?), when, ..Job::default() })
        }));
    }
    let sensors = file.telemetry.iter().flat_map(|telemetry| &telemetry.sensors);
    jobs.extend(sensors.map(sensor));
    let document = Document {
        compatibility: app.is_empty().then_some("containerpilot"),
        consul: file.consul,
        logging: file.logging,
        stop_timeout: file.stop_timeout,
        signals: BTreeMap::from([("SIGHUP", "reload"), ("SIGUSR1", "maintenance")]),
        jobs,
        watches,
        telemetry: file.telemetry.map(telemetry),
    };
    (document, warnings)
}

/// How the parts hang together.
struct Plan {
    /// Name of the job that the hooks at the end look at: the application, or the first service where
    /// there is none.
    main: Option<String>,
    /// The service that is announced by the application's own job.
    own_service: Option<String>,
    /// What the jobs wait for that version 2 starts after its hook.
    after_hook: Option<When>,
}

impl Plan {
    fn of(file: &File, app: &[String]) -> Self {
        let own_service = match &file.services[..] {
            _ if app.is_empty() => None,
            [only] => Some(only.name.clone()),
            // The variable of its pid is named after the job: CONTAINERPILOT_APP_PID.
            several => several.iter().any(|it| it.name == APP).then(|| APP.to_owned()),
        };
        let first = file.services.first().map(|service| service.name.clone());
        let alone = (!app.is_empty()).then(|| APP.to_owned());
        let after_hook = file.pre_start.as_ref().map(|_| When::once(PRE_START, "exitSuccess"));
        Self { main: own_service.clone().or(alone).or(first), own_service, after_hook }
    }
}

fn pre_start(exec: Value) -> Job {
    Job { name: PRE_START.to_owned(), exec: Some(exec), ..Job::default() }
}

/// The application and the services, the application first.
fn applications(services: Vec<Service>, app: &[String], plan: &Plan) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut main = (!app.is_empty()).then(|| Job {
        name: APP.to_owned(),
        exec: Some(json!(app)),
        main: Some(true),
        logging: Some(Raw { raw: true }),
        when: plan.after_hook.clone(),
        ..Job::default()
    });
    for service in services {
        let own = plan.own_service.as_ref() == Some(&service.name);
        match main.take_if(|_| own) {
            Some(main) => jobs.insert(0, announced(main, service)),
            None => {
                let job = Job { when: plan.after_hook.clone(), ..Job::default() };
                jobs.push(announced(job, service));
            }
        }
    }
    main.into_iter().chain(jobs).collect()
}

fn announced(job: Job, service: Service) -> Job {
    let Service { name, port, poll, ttl, health, timeout, interfaces, tags, consul } = service;
    // Version 2 lets a check take as long as it likes, and what comes after the TTL is of no use;
    // version 3 would end it at the next one.
    let patience = (health.is_some() && ttl > poll).then(|| json!(format!("{ttl}s")));
    let timeout = timeout.or(patience);
    let health = Some(Health { exec: health, interval: poll, ttl, timeout });
    Job { name, port: Some(port), interfaces, tags, consul, health, ..job }
}

fn coprocess(it: Coprocess, plan: &Plan) -> Job {
    let when = plan.after_hook.clone();
    let Coprocess { name, command, restarts } = it;
    Job { name, exec: Some(command), when, restarts, ..Job::default() }
}

fn task(it: Task) -> Job {
    let Task { name, command, frequency, timeout } = it;
    let when = Some(When::interval(frequency));
    Job { name, exec: Some(command), when, timeout, ..Job::default() }
}

fn watch(it: &Backend) -> Watch {
    Watch { name: it.name.clone(), interval: it.poll, tag: it.tag.clone() }
}

fn on_change(it: Backend) -> Job {
    let Backend { name, on_change, timeout, .. } = it;
    let when = Some(When::each(format!("watch.{name}"), "changed"));
    let name = format!("onChange-{name}");
    Job { name, exec: Some(on_change), when, timeout, ..Job::default() }
}

fn sensor(it: &Sensor) -> Job {
    let parts = [&it.namespace, &it.subsystem, &it.name];
    let parts: Vec<_> =
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
    let metric = parts.join("_");
    let name = format!("sensor-{metric}");
    let mut exec = vec![json!("/bin/sh"), json!("-c"), json!(SENSOR_LINE), json!(metric)];
    exec.extend(it.check.iter().cloned());
    let when = Some(When::interval(json!(format!("{}s", it.poll))));
    Job { name, exec: Some(exec.into()), when, timeout: it.timeout.clone(), ..Job::default() }
}

fn telemetry(it: read::Telemetry) -> Telemetry {
    let read::Telemetry { port, interfaces, tags, sensors } = it;
    let metrics = sensors.into_iter().map(|sensor| Metric {
        namespace: Some(sensor.namespace).filter(|part| !part.is_empty()),
        subsystem: Some(sensor.subsystem).filter(|part| !part.is_empty()),
        name: sensor.name,
        help: sensor.help,
        kind: sensor.kind,
    });
    Telemetry { port, interfaces, tags, metrics: metrics.collect() }
}

/// What somebody who comes from version 2 would not expect.
fn warnings(file: &File, plan: &Plan) -> Vec<String> {
    let stops = file.pre_stop.is_some() || file.post_stop.is_some();
    let hook = file.pre_start.is_some();
    let early = if hook { ", even before `preStart` has ended" } else { "" };
    let mut notes = vec![
        (file.on_start, "`onStart` is not run, as in version 2; use `preStart`".to_owned()),
        (
            stops && plan.main.is_none(),
            "`preStop` and `postStop` are left out: there is neither an application nor a service \
             whose end they could follow"
                .to_owned(),
        ),
        (
            file.pre_stop.is_some() && plan.main.is_some(),
            "`preStop` runs also when the application ends by itself; in version 2 on SIGTERM only"
                .to_owned(),
        ),
        (
            file.post_stop.is_some() && plan.main.is_some(),
            "the exit code is that of the application also where `postStop` fails; in version 2 it \
             was that of `postStop`"
                .to_owned(),
        ),
        (
            !file.tasks.is_empty(),
            format!(
                "tasks run for the first time at the start{early}; in version 2 after one `frequency`"
            ),
        ),
        (
            hook && !file.backends.is_empty(),
            "`onChange` may run before `preStart` has ended; in version 2 never".to_owned(),
        ),
    ];
    notes.extend(renamed_pid(plan).map(|text| (true, text)));
    let mut seen = BTreeSet::new();
    notes.extend(file.backends.iter().map(|it| {
        let name = &it.name;
        let text =
            format!("backend {name} is there twice: a change of either runs both `onChange`");
        (!seen.insert(name), text)
    }));
    notes.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text).collect()
}

/// The variable with the pid of a job is named after the job.
fn renamed_pid(plan: &Plan) -> Option<String> {
    let name = plan.own_service.as_ref().filter(|name| *name != APP)?;
    let variable = name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    Some(format!(
        "the pid of the application is in CONTAINERPILOT_{variable}_PID; in version 2 in \
         CONTAINERPILOT_APP_PID"
    ))
}
