//! The systemd unit of the agent, started by a systemd.

mod machine;

use std::path::Path;

use anyhow::{Result, ensure};

use machine::Machine;

/// The unit as it is shipped.
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/regrow-agent.service");
/// How the unit is told to run as a user of its own, as its first lines say.
const AS_A_USER: &str = "/etc/systemd/system/regrow-agent.service.d/user.conf";

/// Waits until the agent has said that it is ready, and the key that was written is read.
fn serves(machine: &mut Machine, value: &str) -> Result<()> {
    machine.until("the unit is active", |machine| {
        ensure!(machine.property("ActiveState")? != "failed", "the unit failed");
        Ok(machine.property("ActiveState")? == "active")
    })?;
    machine.until("the key is there", |machine| {
        Ok(machine.run(&["regrow", "kv", "get", "unit"]).is_ok_and(|found| found == value))
    })
}

/// The process is without a right, a way to get one, and most calls of the kernel.
fn confined(machine: &Machine) -> Result<()> {
    let status = format!("/proc/{}/status", machine.property("MainPID")?);
    let status = machine.run(&["cat", &status])?;
    for line in
        ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        ensure!(status.contains(line), "expected {line:?} in\n{status}");
    }
    Ok(())
}

#[test]
fn systemd_starts_restarts_and_stops_the_unit() -> Result<()> {
    let promise = "the systemd unit starts an agent";
    let Some(mut machine) = Machine::or_say(&e2e::binary()?, Path::new(UNIT), promise)? else {
        return Ok(());
    };
    machine.run(&["systemctl", "enable", "--now", "regrow-agent"])?;
    // It leads a moment after it is ready.
    machine.until("a key is written", |machine| {
        Ok(machine.run(&["regrow", "kv", "put", "unit", "first"]).is_ok())
    })?;
    serves(&mut machine, "first")?;
    confined(&machine)?;
    ensure!(machine.run(&["stat", "--format", "%a %U", "/var/lib/regrow"])? == "700 root");

    // A crash: systemd starts it again, and it has what it had.
    let before = machine.property("MainPID")?;
    machine.run(&["kill", "-KILL", &before])?;
    machine.until("another process", |machine| {
        let now = machine.property("MainPID")?;
        Ok(now != "0" && now != before)
    })?;
    serves(&mut machine, "first")?;
    ensure!(machine.property("NRestarts")? == "1");

    // Told to stop, it ends well, and by itself.
    machine.run(&["systemctl", "stop", "regrow-agent"])?;
    ensure!(machine.property("Result")? == "success", "{}", machine.property("Result")?);
    ensure!(machine.property("ExecMainCode")? == "1" && machine.property("ExecMainStatus")? == "0");

    // The same state, by a user without any right.
    let settings =
        "mkdir -p $(dirname $1); printf '[Service]\\nUser=daemon\\nGroup=daemon\\n' > $1";
    machine.run(&["sh", "-c", settings, "sh", AS_A_USER])?;
    machine.run(&["systemctl", "daemon-reload"])?;
    machine.run(&["systemctl", "start", "regrow-agent"])?;
    serves(&mut machine, "first")?;
    confined(&machine)?;
    ensure!(machine.run(&["stat", "--format", "%a %U", "/var/lib/regrow"])? == "700 daemon");
    Ok(())
}
