//! `cargo xtask setup`: the programs that tests need, and the honest list of what will not run
//! without them.
//!
//! Only root on Debian installs, and only what is missing. Anywhere else the same table is printed
//! as the tests that will report themselves as not run.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{image, process};

/// A Debian package that some tests cannot do without.
struct Need {
    package: &'static str,
    /// The program whose presence proves the package.
    program: &'static str,
    /// What it is for.
    reason: &'static str,
    /// The tests that report themselves as not run when it is absent.
    tests: &'static str,
}

/// Everything that tests use beyond a Rust toolchain. A new line needs a reason and the tests that
/// lack it.
const NEEDS: &[Need] = &[
    Need {
        package: "python3",
        program: "python3",
        reason: "plugins in another language; a stand-in for ssh",
        tests: "the Python example plugin, alone and under groups; managers behind ssh",
    },
    Need {
        package: "python3-pip",
        program: "pip3",
        reason: "fetches the Consul clients and the S3 server that tests run, into `target/clients`",
        tests: "py-consul and python-consul against the catalog; backups of examples/mariadb in a bucket",
    },
    Need {
        package: "curl",
        program: "curl",
        reason: "an HTTP client that is not ours, over unix sockets too",
        tests: "hand-made requests against plugin sockets; curl against the catalog",
    },
    Need {
        package: "procps",
        program: "kill",
        reason: "tests stop an etcd with a signal, and let it go on",
        tests: "a frozen etcd",
    },
    Need {
        package: "iproute2",
        program: "ip",
        reason: "network namespaces with links that can be cut",
        tests: "agents on machines of their own: killed, cut off, paused, out of space; \
                `cargo xtask bench coordination`",
    },
    Need {
        package: "bind9-dnsutils",
        program: "dig",
        reason: "a DNS client that is not ours",
        tests: "dig against the catalog's DNS",
    },
    Need {
        package: "mariadb-server",
        program: "mariadb-install-db",
        reason: "a database whose members elect their primary",
        tests: "members of examples/mariadb, killed under load, cloned from a bucket",
    },
    Need {
        package: "mariadb-backup",
        program: "mariabackup",
        reason: "backups from which members of that database are cloned",
        tests: "members of examples/mariadb, killed under load, cloned from a bucket",
    },
    Need {
        package: "nginx",
        program: "nginx",
        reason: "a web server whose backends come and go",
        tests: "nginx of examples/nginx, its backends restarted, removed and added under load",
    },
    Need {
        package: "rsyslog",
        program: "rsyslogd",
        reason: "a shipper and a collector of logs",
        tests: "the pipeline of examples/logs, its collector moved and killed",
    },
    Need {
        package: "rsyslog-relp",
        // A module of rsyslog has no program; its folder differs between machines, this file does not.
        program: "/usr/share/doc/rsyslog-relp/copyright",
        reason: "lines of logs that are confirmed",
        tests: "the pipeline of examples/logs, its collector moved and killed",
    },
    Need {
        package: "socat",
        program: "socat",
        reason: "the relay between shipper and collector",
        tests: "the pipeline of examples/logs, its collector moved and killed",
    },
    Need {
        package: "docker.io",
        program: "dockerd",
        reason: "containers whose first process is ours",
        tests: "the images of the examples, built and run",
    },
    Need {
        package: "debootstrap",
        program: "debootstrap",
        reason: "makes the base of those images, into `target/images`",
        tests: "the images of the examples, built and run",
    },
    Need {
        package: "util-linux",
        program: "unshare",
        reason: "machines made of namespaces, which go away with their test",
        tests: "agents on machines of their own: killed, cut off, paused, out of space",
    },
    Need {
        package: "systemd",
        program: "systemctl",
        reason: "starts the unit under `packaging/` on a machine made of namespaces",
        tests: "the systemd unit of the agent, started, killed, stopped",
    },
    Need {
        package: "etcd-server",
        program: "etcd",
        reason: "the coordinator that others run already, and the one we compare ourselves with",
        tests: "the conformance kit on a real etcd; the manager on etcd; \
                `cargo xtask bench coordination`",
    },
];

/// Python packages at the versions that the tests were written for, each in a folder of its own under
/// `target/clients`: two of Consul's clients have the same name inside.
struct Fetched {
    folder: &'static str,
    packages: &'static [&'static str],
    /// The module whose presence proves them.
    module: &'static str,
}

/// Everything that tests take from PyPI: two clients of Consul, and an S3 server.
const FETCHED: &[Fetched] = &[
    Fetched { folder: "py-consul", packages: &["py-consul==1.8.0"], module: "consul" },
    Fetched { folder: "python-consul", packages: &["python-consul==1.1.0"], module: "consul" },
    Fetched {
        folder: "moto",
        packages: &["moto[s3,iam]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"],
        module: "flask_cors",
    },
];

pub fn run(args: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = args.first() {
        bail!("setup takes no argument, found `{unknown}`");
    }
    let root = process::root()?;
    let packages = ensure_packages(&root);
    let nextest = ensure_nextest(&root);
    ensure_fetched(&root)?;
    image::ensure(&root)?;
    print!("{}", missing_report());
    packages?;
    nextest?;
    Ok(ExitCode::SUCCESS)
}

/// The lines that say which tests will not run on this machine; empty where nothing is missing.
pub fn missing_report() -> String {
    missing(NEEDS)
        .iter()
        .map(|need| {
            format!(
                "not run, promise untested: {} (needs `{}`, Debian package {}: {})\n",
                need.tests, need.program, need.package, need.reason
            )
        })
        .collect()
}

fn missing(needs: &'static [Need]) -> Vec<&'static Need> {
    needs.iter().filter(|need| !process::has_program(need.program)).collect()
}

fn ensure_packages(root: &Path) -> Result<()> {
    let missing = missing(NEEDS);
    if missing.is_empty() {
        println!("setup: all {} packages that tests use are there", NEEDS.len());
        return Ok(());
    }
    if !process::is_root_on_debian() {
        println!("setup: not root on Debian, so nothing is installed");
        return Ok(());
    }
    for need in &missing {
        println!("setup: {} for {}", need.package, need.reason);
    }
    let install = ["install", "--yes", "--no-install-recommends"];
    let packages = missing.iter().map(|need| need.package);
    let update = ["update", "--quiet"];
    let mut steps = [
        process::program(root, "apt-get", update),
        process::program(root, "apt-get", install.into_iter().chain(packages)),
    ];
    for step in &mut steps {
        step.env("DEBIAN_FRONTEND", "noninteractive").stdin(std::process::Stdio::null());
        let status = process::show_and_run(step)?;
        if !status.success() {
            bail!("apt-get ended with {status}; see its output above, mend it and run setup again");
        }
    }
    Ok(())
}

fn ensure_nextest(root: &Path) -> Result<()> {
    let version = process::output(&mut process::cargo(root, ["nextest", "--version"]));
    if let Ok(version) = version {
        println!("setup: {}", version.lines().next().unwrap_or("cargo-nextest"));
        return Ok(());
    }
    println!("setup: cargo-nextest runs the tests and is missing; building it takes some minutes");
    let mut install = process::cargo(root, ["install", "cargo-nextest", "--locked"]);
    let status = process::show_and_run(&mut install)?;
    if !status.success() {
        bail!(
            "cargo install ended with {status}; install cargo-nextest by hand and run setup again"
        );
    }
    Ok(())
}

/// Without the network, or without pip, the tests that use them report themselves as not run.
fn ensure_fetched(root: &Path) -> Result<()> {
    for Fetched { folder, packages, module } in FETCHED {
        let target = root.join("target/clients").join(folder);
        if target.join(module).is_dir() {
            println!("setup: {folder} is there");
            continue;
        }
        if !process::has_program("python3") {
            println!("setup: {folder} is missing, and there is no python3 to fetch it with");
            continue;
        }
        let target = target.to_string_lossy();
        let pip = ["-m", "pip", "install", "--quiet", "--target", &target];
        let pip = pip.into_iter().chain(packages.iter().copied());
        let status = process::show_and_run(&mut process::program(root, "python3", pip))?;
        if !status.success() {
            println!("setup: pip ended with {status}; the tests of {folder} will not run");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_says_why_and_for_which_tests() {
        for need in NEEDS {
            assert!(!need.reason.is_empty() && !need.tests.is_empty(), "{}", need.package);
        }
    }

    #[test]
    fn what_is_missing_is_named_as_an_untested_promise() {
        static ABSENT: &[Need] = &[Need {
            package: "nothing",
            program: "no-such-program-of-ours",
            reason: "this test",
            tests: "these",
        }];
        assert_eq!(missing(ABSENT).len(), 1);
        assert!(missing_report().lines().all(|line| line.starts_with("not run, promise untested")));
    }
}
