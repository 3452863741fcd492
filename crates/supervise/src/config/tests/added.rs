//! Texts of faults in what ContainerPilot does not have.

use super::faults::{Row, check, job_fault};

#[test]
fn faults_of_what_containerpilot_does_not_have() {
    for (job, expected) in [
        (
            "{name: 'a', when: {any: [{source: 'b', once: 'healthy'}], source: 'c'}}",
            "job[a].when can have only one of 'any', 'all', or 'source' and its fields",
        ),
        (
            "{name: 'a', when: {all: [{source: 'b'}]}}",
            "job[a].when: each entry needs one of 'once' or 'each'",
        ),
        (
            "{name: 'a', when: {all: [{source: 'b', once: 'healthy'}, {source: 'b', each: 'healthy'}]}}",
            "job[a].when: either all entries say 'once' or all say 'each'",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, exec: 'a', tcp: 'a:1'}}",
            "job[a].health can have only one of 'exec', 'http', 'tcp' or 'grpc': 'tcp' is another",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, http: 'a:1', tcp: 'a:1'}}",
            "job[a].health can have only one of 'exec', 'http', 'tcp' or 'grpc': 'tcp' is another",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, http: 'localhost'}}",
            "job[a].health.http: 'localhost' is no URL: relative URL without a base",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, http: 'ftp://a'}}",
            "job[a].health.http: 'ftp://a' is no URL of http or https",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, http: {url: 'http://a', method: 'G T'}}}",
            "job[a].health.http: 'G T' is no method",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, http: {url: 'http://a', headers: {'a b': 1}}}}",
            "job[a].health.http: header 'a b' cannot be sent",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, tcp: ':80'}}",
            "job[a].health.tcp: ':80' is no address: write HOST:PORT",
        ),
        (
            "{name: 'a', health: {interval: 1, ttl: 1, grpc: {address: 'a:0'}}}",
            "job[a].health.grpc: 'a:0' is no address: write HOST:PORT",
        ),
        (
            "{name: 'a', liveness: {interval: 1}}",
            "job[a].liveness needs one of 'exec', 'http', 'tcp' or 'grpc'",
        ),
        (
            "{name: 'a', liveness: {tcp: 'a:1', failures: 0}}",
            "job[a].liveness.failures must be > 0",
        ),
        (
            "{name: 'a', liveness: {tcp: 'a:1', grace: 'xx'}}",
            "unable to parse job[a].liveness.grace 'xx': time: invalid duration \"xx\"",
        ),
        (
            "{name: 'a', restartDelay: 'xx'}",
            "unable to parse job[a].restartDelay 'xx': time: invalid duration \"xx\"",
        ),
        (
            "{name: 'a', notify: {watchdog: '0'}}",
            "job[a].notify.watchdog '0' cannot be less than 1ms",
        ),
        ("{name: 'a', env: {'A=B': 1}}", "job[a].env: 'A=B' cannot be a variable"),
        (
            "{name: 'a', secrets: [{name: '../x', env: 'A'}]}",
            "job[a].secrets: '../x' cannot be the name of a file",
        ),
        (
            "{name: 'a', secrets: [{name: 'x', env: 'A', key: 'b'}]}",
            "job[a].secrets: 'x' needs one of 'env', 'file' or 'key'",
        ),
        (
            "{name: 'a', exec: ['a\\0b']}",
            "unable to create job[a].exec: \"a\\0b\" has a NUL character in it",
        ),
    ] {
        assert_eq!(job_fault(job), expected, "{job}");
    }
}

#[test]
fn faults_of_locks() {
    let mut rows: Vec<Row> = Vec::new();
    for (rest, expected) in [
        (
            "consul: 'a:1', locks: [{name: 'a b'}]",
            "lock[a b]: 'a b' cannot be the name of a lock: letters, digits and '-_./', at most 128\n  at app.json5:1:25",
        ),
        (
            "consul: 'a:1', locks: [{name: 'a', ttl: 5}]",
            "lock[a].ttl '5' must be between 10s and 24h: Consul allows no other\n  at app.json5:1:25",
        ),
        (
            "discovery: 'embedded', locks: [{name: 'a', ttl: '1ms'}]",
            "lock[a].ttl '1ms' cannot be less than 1s\n  at app.json5:1:33",
        ),
        (
            "discovery: 'embedded', locks: [{name: 'a', ttl: 5, stopBefore: '5s'}]",
            "lock[a].stopBefore '5s' must be shorter than its ttl\n  at app.json5:1:33",
        ),
        (
            "discovery: 'embedded', locks: [{name: 'a'}, {name: 'a'}]",
            "lock[a] is there twice\n  at app.json5:1:46",
        ),
        (
            "discovery: 'embedded', locks: [{name: 'a', time: 5}]",
            "locks: 1 error(s) decoding:\n\n* '[0]' has invalid keys: time\n  at app.json5:1:51",
        ),
        (
            "discovery: 'none', jobs: [{name: 'j', when: {source: 'lock:l', once: 'acquired'}}]",
            "job[j] waits for lock 'l', and nobody gives locks: set 'consul', or 'discovery' to 'embedded'\n  at app.json5:1:13",
        ),
        (
            "discovery: 'none', watches: [{name: 'ww', lock: 'l'}]",
            "watch[ww] follows lock 'l', and nobody gives locks: set 'consul', or 'discovery' to 'embedded'\n  at app.json5:1:13",
        ),
        (
            "consul: 'a:1', watches: [{name: 'ww', lock: 'a b'}]",
            "watch[ww].lock: 'a b' cannot be the name of a lock: letters, digits and '-_./', at most 128\n  at app.json5:1:26",
        ),
        (
            "consul: 'a:1', watches: [{name: 'ww', lock: 'l', key: 'k'}]",
            "unable to parse watches: watch[ww] can have only one of 'key' and 'lock'\n  at app.json5:1:46",
        ),
        (
            "consul: 'a:1', jobs: [{name: 'j', when: {source: 'lock:', once: 'acquired'}}]",
            "job[j].when.source: '' cannot be the name of a lock: letters, digits and '-_./', at most 128\n  at app.json5:1:23",
        ),
    ] {
        rows.push((rest, expected));
    }
    check(&rows, |rest| format!("{{{rest}}}"));
}
