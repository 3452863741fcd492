//! Every text of a fault, with its place: people search for these texts.

use std::path::Path;

use super::super::*;
use super::here;

fn fault(text: &str) -> String {
    match parse(text, Path::new("app.json5"), &here()) {
        Ok(loaded) => panic!("{text}: {:?}", loaded.config),
        Err(error) => error.to_string(),
    }
}

/// Text of a file, and what is said of it.
pub(super) type Row = (&'static str, &'static str);

pub(super) fn check(rows: &[Row], wrap: impl Fn(&str) -> String) {
    let all = rows.iter().map(|(text, expected)| (fault(&wrap(text)), *expected));
    let wrong: Vec<(String, &str)> = all.filter(|(found, expected)| found != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn faults_of_the_file() {
    let rows: &[Row] = &[
        ("{ a: 1 }", "unknown config keys: [a]\n  at app.json5:1:6"),
        (
            "{\n consul: 'c:1',\n b: 1,\n  a: 2 }",
            "unknown config keys: [a b]\n  at app.json5:3:5\n  at app.json5:4:6",
        ),
        ("{}", "no discovery backend defined\n  at app.json5:1:1"),
        ("{ consul: null }", "no discovery backend defined\n  at app.json5:1:1"),
        ("{ consul: 5 }", "no discovery backend defined\n  at app.json5:1:11"),
        ("{ consul: [] }", "no discovery backend defined\n  at app.json5:1:11"),
        (
            "{ consul: { adress: 'a', x: 1 } }",
            "1 error(s) decoding:\n\n* '' has invalid keys: adress, x\n  at app.json5:1:21",
        ),
        (
            "{ consul: { tls: { verify: 'maybe', x: 1 } } }",
            "2 error(s) decoding:\n\n* 'tls' has invalid keys: x\n* cannot parse 'tls.verify' as \
             bool: strconv.ParseBool: parsing \"maybe\": invalid syntax\n  at app.json5:1:28\n  at app.json5:1:40",
        ),
        (
            "{ consul: 'ftp://a:1' }",
            "consul: unknown scheme 'ftp': use http, https or unix\n  at app.json5:1:11",
        ),
        (
            "{ consul: { address: 'a:1', scheme: 'ftp' } }",
            "consul: unknown scheme 'ftp': use http, https or unix\n  at app.json5:1:11",
        ),
        (
            "{ consul: 'a:1', stopTimeout: 'soon' }",
            "1 error(s) decoding:\n\n* cannot parse 'stopTimeout' as int: strconv.ParseInt: parsing \
             \"soon\": invalid syntax\n  at app.json5:1:31",
        ),
        (
            "{ consul: 'a:1', control: { socket: '' } }",
            "control: validate failed with control server not loading due to missing config\n  at app.json5:1:27",
        ),
        (
            "{ consul: 'a:1', control: { path: '' } }",
            "control config parsing error: 1 error(s) decoding:\n\n* '' has invalid keys: path\n  at app.json5:1:35",
        ),
        (
            "{ consul: 'a:1', control: 'x' }",
            "control config parsing error: 1 error(s) decoding:\n\n* '' expected a map, got 'string'\n  at app.json5:1:27",
        ),
        (
            "{ consul: 'a:1', logging: { level: 'LOUD' } }",
            "Unknown log level 'LOUD': not a valid logrus Level: \"LOUD\"\n  at app.json5:1:36",
        ),
        (
            "{ consul: 'a:1', logging: { format: 'xml' } }",
            "Unknown log format 'xml'\n  at app.json5:1:37",
        ),
        (
            "{ consul: 'a:1', logging: { colour: 1 } }",
            "1 error(s) decoding:\n\n* '' has invalid keys: colour\n  at app.json5:1:37",
        ),
        (
            "[1]",
            "could not parse configuration: an object is wanted, and this is a []interface {}\n  at app.json5:1:1",
        ),
        (
            "{ consul: 'a:1', discovery: 'dns' }",
            "discovery must be 'consul', 'embedded' or 'none', not 'dns'\n  at app.json5:1:29",
        ),
        (
            "{ consul: 'a:1', compatibility: 'swarm' }",
            "compatibility must be 'containerpilot' or absent, not 'swarm'\n  at app.json5:1:33",
        ),
        (
            "{ consul: 'a:1', signals: { SIGTERM: 'reload' } }",
            "signals: 'SIGTERM' is none of SIGHUP, SIGUSR1 and SIGUSR2\n  at app.json5:1:27",
        ),
        (
            "{ consul: 'a:1', signals: { SIGHUP: 'dance' } }",
            "signals.SIGHUP must be 'reload' or 'maintenance', not 'dance'\n  at app.json5:1:27",
        ),
    ];
    check(rows, str::to_owned);
}

#[test]
fn faults_of_the_text() {
    let text = fault("{ consul: 'a:1' jobs: [] }");
    let expected = "parse error at line:col [1:17]: expected comma\n    1: { consul: 'a:1' jobs: [] }\n-----------------------^";
    assert_eq!(text, expected);
    let text = fault("{ consul: {{ .NAME | nope }} }");
    assert!(text.starts_with("could not apply template to config: "), "{text}");
    assert!(text.contains("app.json5:1:") && text.contains("\"nope\" not defined"), "{text}");
    assert_eq!(load(None, &here()).expect_err("none").to_string(), "-config flag is required");
    let absent = load(Some(Path::new("/no/such.json5")), &here()).expect_err("absent").to_string();
    let expected = "could not read config file: /no/such.json5: No such file or directory";
    assert!(absent.starts_with(expected), "{absent}");
}

#[test]
fn faults_of_jobs_as_blocks() {
    let rows: &[Row] = &[
        (
            "{name: 'a', comand: 1, health: {x: 1}},\n {y: 1}",
            "unable to parse jobs: job configuration error: 3 error(s) decoding:\n\n\
             * '[0]' has invalid keys: comand\n* '[0].health' has invalid keys: x\n\
             * '[1]' has invalid keys: y\n  at app.json5:1:50\n  at app.json5:1:65\n  at app.json5:2:6",
        ),
        (
            "null, 'a'",
            "unable to parse jobs: job configuration error: 1 error(s) decoding:\n\n\
             * '[1]' expected a map, got 'string'\n  at app.json5:1:36",
        ),
        (
            "{name: [], when: 5, port: 'http', consul: {enableTagOverride: 'nope'}}",
            "unable to parse jobs: job configuration error: 4 error(s) decoding:\n\n\
             * '[0].name' expected type 'string', got unconvertible type '[]interface {}'\n\
             * '[0].when' expected a map, got 'float64'\n\
             * cannot parse '[0].consul.enableTagOverride' as bool: strconv.ParseBool: parsing \"nope\": invalid syntax\n\
             * cannot parse '[0].port' as int: strconv.ParseInt: parsing \"http\": invalid syntax\n  \
             at app.json5:1:37\n  at app.json5:1:47\n  at app.json5:1:56\n  at app.json5:1:92",
        ),
    ];
    check(rows, |jobs| format!("{{ consul: 'a:1', jobs: [     {jobs}] }}"));
}

/// The text of a fault in a job, without its prefix and place.
pub(super) fn job_fault(job: &str) -> String {
    let text = fault(&format!("{{ consul: 'a:1', jobs: [{job}] }}"));
    let text = text.strip_prefix("unable to parse jobs: ").unwrap_or(&text);
    let (text, place) = text.rsplit_once("\n  at app.json5:1:").expect("a place");
    let column: usize = place.parse().expect("a column");
    assert!(column > 24, "the place is within the job: {column}");
    text.to_owned()
}

#[test]
fn faults_of_jobs() {
    let health = "health: {interval: 1, ttl: 2}";
    let service = format!("name: 'web', port: 80, {health}");
    for (job, expected) in [
        ("{}".to_owned(), "'name' must not be blank"),
        ("{exec: 'a'}".to_owned(), "'name' must not be blank"),
        ("{name: 'a', port: 80}".to_owned(), "job[a].health must be set if 'port' is set"),
        ("{name: 'a', health: {}}".to_owned(), "job[a].health.interval must be > 0"),
        ("{name: 'a', health: {interval: 1}}".to_owned(), "job[a].health.ttl must be > 0"),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, timeout: 'xx'}}".to_owned(),
            "could not parse job[a].health.timeout 'xx': time: invalid duration \"xx\"",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, exec: ''}}".to_owned(),
            "unable to create job[a].health.exec: received zero-length argument",
        ),
        (
            format!("{{{service}, initial_status: 'up'}}"),
            "job[web].initialStatus must be one of 'passing', 'warning' or 'critical'",
        ),
        (
            format!("{{name: 'a', port: 80, {health}}}"),
            "service names must be alphanumeric with dashes to comply with service discovery",
        ),
        (format!("{{port: 80, {health}}}"), "'name' must not be blank"),
        (
            format!("{{name: 'web', port: 70000, {health}}}"),
            "job[web].port '70000' must be between 1 and 65535",
        ),
        (
            format!("{{{service}, interfaces: ['eth0', '[x']}}"),
            "Unable to parse interface spec: [x",
        ),
        (
            format!("{{{service}, interfaces: 'static:5'}}"),
            "Unable to parse static ip static: in static:5",
        ),
        (
            format!("{{{service}, interfaces: 'eth9'}}"),
            "none of the interface specifications were able to match\nSpecifications: [eth9]\n\
             Interfaces IPs: [eth0:10.0.0.5 lo:127.0.0.1]",
        ),
        (
            format!("{{{service}, consul: {{deregisterCriticalServiceAfter: 'nope'}}}}"),
            "unable to parse job[web].consul.deregisterCriticalServiceAfter: time: invalid duration \"nope\"",
        ),
        (
            "{name: 'a', when: {interval: 1, each: 'healthy'}}".to_owned(),
            "job[a].when can have only one of 'interval', 'once', or 'each'",
        ),
        (
            "{name: 'a', when: {interval: 'xx'}}".to_owned(),
            "unable to parse job[a].when.interval 'xx': time: invalid duration \"xx\"",
        ),
        (
            "{name: 'a', when: {interval: '10us'}}".to_owned(),
            "job[a].when.interval '10us' cannot be less than 1ms",
        ),
        (
            "{name: 'a', when: {source: 'b', once: 'done'}}".to_owned(),
            "unable to parse job[a].when.event: done is not a valid event code",
        ),
        (
            "{name: 'a', when: {source: 'SIGHUP', each: 'done'}}".to_owned(),
            "unable to parse job[a].when.event: done is not a valid event code",
        ),
        (
            "{name: 'a', when: {source: 'b', once: 'stopped', timeout: 'xx'}}".to_owned(),
            "unable to parse job[a].when.timeout: time: invalid duration \"xx\"",
        ),
        (
            "{name: 'a', stopTimeout: 'xx'}".to_owned(),
            "unable to parse job[a].stopTimeout 'xx': time: invalid duration \"xx\"",
        ),
        (
            "{name: 'a', restarts: 'often'}".to_owned(),
            "job[a].restarts field 'often' invalid: accepts positive integers, \"unlimited\", or \"never\"",
        ),
        (
            "{name: 'a', restarts: true}".to_owned(),
            "job[a].restarts field 'true' invalid: accepts positive integers, \"unlimited\", or \"never\"",
        ),
        (
            "{name: 'a', restarts: -1}".to_owned(),
            "job[a].restarts field '-1' invalid: number must be positive integer",
        ),
        (
            "{name: 'a', restarts: 'unlimited', when: {source: 'b', each: 'changed'}}".to_owned(),
            "job[a].restarts field 'unlimited' invalid: may not be used when 'job.when.each' is \
             set because it may result in infinite processes",
        ),
        (
            "{name: 'a', timeout: 'xx'}".to_owned(),
            "unable to parse job[a].timeout 'xx': time: invalid duration \"xx\"",
        ),
        ("{name: 'a', timeout: '-1s'}".to_owned(), "job[a].timeout '-1s' cannot be less than 1ms"),
        ("{name: 'a', timeout: '0'}".to_owned(), "job[a].timeout '0' cannot be less than 1ms"),
        (
            "{name: 'a', exec: ' '}".to_owned(),
            "unable to create job[a].exec: received zero-length argument",
        ),
        (
            "{name: 'a', exec: []}".to_owned(),
            "unable to create job[a].exec: received zero-length argument",
        ),
    ] {
        assert_eq!(job_fault(&job), expected, "{job}");
    }
}

#[test]
fn faults_of_watches() {
    let rows: &[Row] = &[
        (
            "{name: 'db', onChange: 'x'}",
            "unable to parse watches: Watch configuration error: 1 error(s) decoding:\n\n\
             * '[0]' has invalid keys: onChange\n  at app.json5:1:52",
        ),
        ("{interval: 1}", "unable to parse watches: 'name' must not be blank\n  at app.json5:1:29"),
        (
            "{name: 'a_b', interval: 1}",
            "unable to parse watches: service names must be alphanumeric with dashes to comply \
             with service discovery\n  at app.json5:1:36",
        ),
        (
            "{name: 'db'}",
            "unable to parse watches: watch[db].interval must be > 0\n  at app.json5:1:29",
        ),
        (
            "{name: 'db', interval: -1}",
            "unable to parse watches: watch[db].interval must be > 0\n  at app.json5:1:52",
        ),
    ];
    check(rows, |watch| format!("{{ consul: 'a:1', watches: [ {watch}] }}"));
}

#[test]
fn faults_of_telemetry() {
    let rows: &[Row] = &[
        (
            "{ sensor: [] }",
            "telemetry configuration error: 1 error(s) decoding:\n\n* '' has invalid keys: sensor\n  at app.json5:1:39",
        ),
        (
            "{ interfaces: 'eth9' }",
            "telemetry validation error: none of the interface specifications were able to match\n\
             Specifications: [eth9]\nInterfaces IPs: [eth0:10.0.0.5 lo:127.0.0.1]\n  at app.json5:1:43",
        ),
        (
            "{ port: 0 }",
            "telemetry validation error: port '0' must be between 1 and 65535\n  at app.json5:1:37",
        ),
        (
            "{ metrics: [{ nam: 'a' }] }",
            "MetricConfig configuration error: 1 error(s) decoding:\n\n* '[0]' has invalid keys: nam\n  at app.json5:1:48",
        ),
        ("{ metrics: [{ type: 'x' }] }", "invalid metric type: x\n  at app.json5:1:49"),
        ("{ metrics: [{}] }", "invalid metric type: \n  at app.json5:1:41"),
    ];
    check(rows, |telemetry| format!("{{ consul: 'a:1', telemetry: {telemetry} }}"));
}

#[test]
fn the_first_fault_in_containerpilots_order_is_told() {
    let all = "{x: 1, consul: 5, stopTimeout: 'x', control: {x: 1}, jobs: [{x: 1}, {name: 'a', \
               health: {}}], watches: [{x: 1}], telemetry: {x: 1}, logging: {x: 1}}";
    let steps = [
        ("x: 1, ", "unknown config keys: [x]"),
        ("consul: 5", "no discovery backend defined"),
        ("stopTimeout: 'x', ", "cannot parse 'stopTimeout'"),
        ("control: {x: 1}, ", "control config parsing error: "),
        ("{x: 1}, {name", "unable to parse jobs: job configuration error: "),
        ("health: {}", "unable to parse jobs: job[a].health.interval must be > 0"),
        ("watches: [{x: 1}], ", "unable to parse watches: "),
        ("telemetry: {x: 1}, ", "telemetry configuration error: "),
        ("logging: {x: 1}", "'' has invalid keys: x"),
    ];
    let mut text = all.to_owned();
    for (wrong, expected) in steps {
        let found = fault(&text);
        assert!(found.contains(expected), "{expected}: {found}");
        let right = match wrong {
            "consul: 5" => "consul: 'a:1'",
            "{x: 1}, {name" => "{name",
            "health: {}" => "",
            "logging: {x: 1}" => "logging: {}",
            _ => "",
        };
        text = text.replacen(wrong, right, 1);
    }
    super::loaded(&text);
}

#[test]
fn jobs_that_can_start_only_after_each_other_are_a_fault() {
    let text = |jobs: &str| format!("{{discovery: 'none', jobs: [{jobs}]}}");
    for (jobs, expected) in [
        (
            "{name: 'a', when: {source: 'b', once: 'healthy'}}, {name: 'b', when: {source: 'a', each: 'exitSuccess'}}",
            "jobs that can start only after each other never do: 'a', 'b'\n  at app.json5:1:46\n  at app.json5:1:97",
        ),
        (
            "{name: 'a', when: {source: 'a', once: 'healthy'}}",
            "jobs that can start only after each other never do: 'a'\n  at app.json5:1:46",
        ),
        (
            "{name: 'a', when: {all: [{source: 'check.b', once: 'exitFailed'}, {source: 'global', once: 'startup'}]}},
             {name: 'b', when: {source: 'a', once: 'changed'}}, {name: 'c', when: {source: 'a', once: 'healthy'}}",
            "jobs that can start only after each other never do: 'a', 'b'\n  at app.json5:1:46\n  at app.json5:2:32",
        ),
    ] {
        assert_eq!(fault(&text(jobs)), expected, "{jobs}");
    }
    let circle = "{name: 'a', when: {source: 'b', once: 'healthy'}}, {name: 'b', when: {source: 'a', once: 'healthy'}}";
    let warnings = |text: &str| {
        parse(text, Path::new("app.json5"), &here()).expect("it loads").warnings.join("; ")
    };
    let strict = text(circle).replacen('{', "{compatibility: 'containerpilot', ", 1);
    let said = warnings(&strict);
    assert!(said.contains("app.json5:1:79: job[a].when: it never starts"), "{said}");
    for works in [
        // Any of two, and one of them comes.
        "{name: 'a', when: {any: [{source: 'b', each: 'healthy'}, {source: 'SIGHUP'}]}}, {name: 'b', when: {source: 'a', once: 'healthy'}}",
        // A job that only counts time, which another waits for.
        "{name: 'a', when: {source: 'a', once: 'healthy', timeout: 5}}, {name: 'b', when: {source: 'a', once: 'timerExpired'}}",
        "{name: 'a', when: {source: 'b', once: 'stopped'}}, {name: 'b', when: {source: 'a', once: 'stopping'}}",
    ] {
        assert!(parse(&text(works), Path::new("app.json5"), &here()).is_ok(), "{works}");
    }
}
