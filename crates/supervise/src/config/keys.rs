//! The names of all fields, block by block. The JSON Schema has the same ones; a test compares.

pub(super) const TOP: &[&str] = &[
    "consul",
    "logging",
    "stopTimeout",
    "control",
    "jobs",
    "watches",
    "telemetry",
    "discovery",
    "compatibility",
    "locks",
    "signals",
];
pub(super) const CONSUL: &[&str] = &["address", "scheme", "token", "tls", "tokenFile"];
pub(super) const TLS: &[&str] =
    &["cafile", "capath", "clientcert", "clientkey", "servername", "verify"];
pub(super) const CONTROL: &[&str] = &["socket"];
pub(super) const LOGGING: &[&str] = &["level", "format", "output"];
pub(super) const TELEMETRY: &[&str] = &["port", "interfaces", "tags", "metrics"];
pub(super) const METRIC: &[&str] = &["namespace", "subsystem", "name", "help", "type"];
pub(super) const WATCH: &[&str] = &["name", "interval", "tag", "dc", "key", "lock"];
pub(super) const LOCK: &[&str] = &["name", "ttl", "stopBefore"];
pub(super) const JOB: &[&str] = &[
    "name",
    "exec",
    "when",
    "timeout",
    "stopTimeout",
    "restarts",
    "health",
    "port",
    "initial_status",
    "interfaces",
    "tags",
    "consul",
    "logging",
    "main",
    "env",
    "restartDelay",
    "maxRestartDelay",
    "restartReset",
    "liveness",
    "notify",
    "secrets",
    "meta",
    "id",
];
pub(super) const WHEN: &[&str] = &["interval", "source", "once", "each", "timeout", "any", "all"];
pub(super) const TRIGGER: &[&str] = &["source", "once", "each"];
pub(super) const HEALTH: &[&str] =
    &["exec", "interval", "ttl", "timeout", "logging", "http", "tcp", "grpc", "failFast"];
pub(super) const JOB_CONSUL: &[&str] = &["enableTagOverride", "deregisterCriticalServiceAfter"];
pub(super) const JOB_LOGGING: &[&str] = &["raw"];
pub(super) const LIVENESS: &[&str] =
    &["exec", "http", "tcp", "grpc", "interval", "timeout", "failures", "grace"];
pub(super) const HTTP: &[&str] = &["url", "method", "headers", "insecure"];
pub(super) const GRPC: &[&str] = &["address", "service", "tls"];
pub(super) const NOTIFY: &[&str] = &["readyWithin", "watchdog"];
pub(super) const SECRET: &[&str] = &["name", "env", "file", "key"];
