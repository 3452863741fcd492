//! The images of the examples, built by a real Docker Engine and run with our supervisor as their first
//! process.
//!
//! The engine is a test's own: in namespaces of its own, with its images in memory (about 1 GB), without
//! a bridge and without rules of a firewall. `cargo xtask setup` makes the base of the images.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::supervised::{children, wait};
use e2e::{binary, missing, search_path};

use super::crowd::fetched;
use super::{address_of, example, own, passing};
use crate::WITHIN;
use crate::catalog::Catalog;

/// Programs without which this cannot be tried.
const MEANS: &[&str] = &["dockerd", "docker", "containerd", "runc", "unshare"];
/// What the Dockerfiles begin with.
const BASE: &str = "debian:bookworm-slim";
/// What apt says where there is no network.
const NO_NETWORK: &[&str] =
    &["Temporary failure resolving", "Could not resolve", "Unable to connect"];
/// Time between two looks at processes.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// A Docker Engine; it goes with everything that it started.
struct Engine {
    child: Child,
    folder: tempfile::TempDir,
}

impl Engine {
    /// One that has the base image, or why there is none here.
    fn start() -> Result<Result<Self, String>> {
        let base =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/images/bookworm.tar");
        if !rustix::process::geteuid().is_root() {
            return Ok(Err("root".to_owned()));
        }
        if let Some(program) = missing(MEANS) {
            return Ok(Err(program.to_owned()));
        }
        if !base.is_file() {
            return Ok(Err("the base image of `cargo xtask setup`".to_owned()));
        }
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        // With the first process of the namespace all others go, and with the namespace the images, which
        // are in memory: to delete them from a disk took longer than all the rest.
        let line = "mount -t tmpfs none \"$0\" && exec dockerd \"$@\"";
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]);
        command.args(["sh", "-c", line]).arg(&data);
        command.args(["--iptables=false", "--bridge=none", "--ip-forward=false"]);
        command.arg("--data-root").arg(&data);
        command.arg("--exec-root").arg(folder.path().join("exec"));
        command.arg("--pidfile").arg(folder.path().join("pid"));
        command.arg("--host").arg(host(folder.path())).env("PATH", search_path()?);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("start dockerd")?;
        let mut engine = Self { child, folder };
        if let Err(why) = engine.answers() {
            return Ok(Err(format!("a kernel on which dockerd runs: {why:#}")));
        }
        engine.docker(&["import", &base.to_string_lossy(), BASE])?;
        Ok(Ok(engine))
    }

    fn answers(&mut self) -> Result<()> {
        let mut ended = false;
        wait(WITHIN, || {
            ended = !matches!(self.child.try_wait(), Ok(None));
            ended || self.docker(&["version"]).is_ok()
        })?;
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        ensure!(!ended, "{}", log.lines().last().unwrap_or_default());
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new("docker");
        command.arg("--host").arg(host(self.folder.path())).args(args).stdin(Stdio::null());
        // The builder that needs no plug-in, and nothing of who runs the tests.
        command.env("DOCKER_BUILDKIT", "0").env("DOCKER_CONFIG", self.folder.path());
        command.env("PATH", search_path()?);
        Ok(command)
    }

    fn docker(&self, args: &[&str]) -> Result<String> {
        let done = self.command(args)?.output().context("run docker")?;
        let (said, fault) = (done.stdout, done.stderr);
        let said = String::from_utf8_lossy(&said).into_owned();
        if !done.status.success() {
            bail!("docker {args:?}: {}: {said}{}", done.status, String::from_utf8_lossy(&fault));
        }
        Ok(said)
    }

    /// Builds the image of an example, with the program under test. False where the packages that it
    /// names cannot be had.
    fn build(&self, name: &str) -> Result<bool> {
        let context = self.folder.path().join("context");
        fs::create_dir_all(context.join("examples"))?;
        let program = context.join("regrow");
        if !program.is_file() {
            fs::copy(binary()?, &program)?;
        }
        let copy = Command::new("cp")
            .arg("-r")
            .arg(example(name))
            .arg(context.join("examples"))
            .status()?;
        ensure!(copy.success(), "cp: {copy}");
        let (file, context) = (context.join("examples").join(name).join("Dockerfile"), context);
        let (file, context) = (file.to_string_lossy(), context.to_string_lossy());
        let args = ["build", "--network=host", "--tag", name, "--file", &file, &context];
        match self.docker(&args) {
            Err(fault) if NO_NETWORK.iter().any(|text| fault.to_string().contains(text)) => {
                println!(
                    "not run, promise untested: the image of {name} (needs Debian's packages)"
                );
                Ok(false)
            }
            built => built.map(|_| true),
        }
    }

    /// Starts a container on the network of this machine and returns its number.
    fn run(&self, variables: &[(&str, String)], args: &[&str]) -> Result<String> {
        let variables: Vec<String> =
            variables.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
        let mut all = vec!["run", "--detach", "--network=host"];
        all.extend(variables.iter().map(String::as_str));
        all.extend(args);
        Ok(self.docker(&all)?.trim().to_owned())
    }

    /// What its processes wrote.
    fn logs(&self, container: &str) -> Result<String> {
        self.docker(&["logs", container])
    }

    /// Tells it to end; returns its exit code and the time that it took.
    fn stop(&self, container: &str) -> Result<(i32, Duration)> {
        let since = Instant::now();
        self.docker(&["stop", "--time", "60", container])?;
        let took = since.elapsed();
        Ok((self.docker(&["wait", container])?.trim().parse()?, took))
    }

    /// The dead processes of a container that nobody has fetched, and all its processes, by number.
    fn processes(&self, container: &str) -> Result<(Vec<String>, usize)> {
        let table = self.docker(&["top", container, "-eo", "pid,stat"])?;
        let rows: Vec<&str> = table.lines().skip(1).collect();
        let dead = rows.iter().filter(|row| row.contains(" Z"));
        Ok((dead.map(|row| (*row).to_owned()).collect(), rows.len()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Containers first, so that the kernel's folders of theirs go too.
        let all = self.docker(&["ps", "--all", "--quiet"]).unwrap_or_default();
        for container in all.lines() {
            let _ = self.docker(&["rm", "--force", container]);
        }
        let first = children(self.child.id()).unwrap_or_default();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The first process of a namespace is gone when all others are: the folder is still then.
        let gone = |pid: &i32| !Path::new(&format!("/proc/{pid}")).exists();
        let _ = wait(WITHIN, || first.iter().all(gone));
    }
}

fn host(folder: &Path) -> String {
    format!("unix://{}", folder.join("docker.sock").display())
}

/// The engine, or the word that the tests are not run.
fn engine() -> Result<Option<Engine>> {
    match Engine::start()? {
        Ok(engine) => Ok(Some(engine)),
        Err(lack) => {
            println!("not run, promise untested: containers of the examples (needs {lack})");
            Ok(None)
        }
    }
}

/// An application that says who it is and ends with a code of its own, beside a job that leaves orphans.
const APPLICATION: &str = r#"{discovery: "none", control: {socket: "/tmp/control"}, stopTimeout: 40, jobs: [
    {name: "app", main: true, exec: ["sh", "-c",
     "trap 'echo ends; exit 7' TERM; echo user $(id -u); while :; do sleep 1 & wait; done"]},
    {name: "orphans", exec: ["sh", "-c", "(sleep 0.1 &); (sleep 0.1 &)"], when: {interval: "100ms"}}]}"#;

fn first_process(engine: &Engine) -> Result<()> {
    let mount = tempfile::tempdir()?;
    fs::write(mount.path().join("app.json5"), APPLICATION)?;
    let folder = mount.path();
    // The user of the image reads what the test wrote.
    Command::new("chmod").arg("-R").arg("a+rX").arg(folder).status()?;
    let volume = format!("--volume={}:/app:ro", folder.display());
    let container = engine.run(&[], &[&volume, "logs", "-c", "/app/app.json5"])?;
    wait(WITHIN, || engine.logs(&container).is_ok_and(|logs| logs.contains("user 65534")))
        .with_context(|| format!("{:?}", engine.logs(&container)))?;
    let mut before = Vec::new();
    for _ in 0..10 {
        let (dead, all) = engine.processes(&container)?;
        ensure!(!dead.iter().any(|process| before.contains(process)), "not fetched: {dead:?}");
        ensure!(all < 30, "{all} processes pile up");
        before = dead;
        std::thread::sleep(LOOK_EVERY);
    }
    let (code, took) = engine.stop(&container)?;
    println!(
        "a container with the supervisor as its first process ended {took:.2?} after docker stop"
    );
    ensure!(code == 7, "exit code {code}: {}", engine.logs(&container)?);
    ensure!(engine.logs(&container)?.contains("ends\n"), "it was not told to end");
    ensure!(took < Duration::from_secs(40), "it took {took:?}");
    Ok(())
}

/// Lines of an application go from one container to another.
fn ships(engine: &Engine, catalog: &Catalog) -> Result<()> {
    let mount = tempfile::tempdir()?;
    let lines: String = (0..100).map(|number| format!("line {number}\n")).collect();
    fs::write(mount.path().join("app.log"), &lines)?;
    Command::new("chmod").arg("-R").arg("a+rX").arg(mount.path()).status()?;
    let consul = ("CONSUL_HTTP_ADDR", address_of(catalog));
    let address = own().to_string();
    let collector = engine.run(
        &[consul.clone(), ("COLLECTOR_ADDRESS", address.clone())],
        &["logs", "-c", "/opt/logs/collector.json5"],
    )?;
    let volume = format!("--volume={}:/app:ro", mount.path().display());
    let file = ("LOGS_FILE", "/app/app.log".to_owned());
    let shipper =
        engine.run(&[consul, file, ("LOGS_RELAY_ADDRESS", address)], &[&volume, "logs"])?;
    let read = ["exec", &collector, "cat", "/var/lib/regrow-logs/received.log"];
    let received = || engine.docker(&read).unwrap_or_default();
    let whole = || received().lines().map(str::trim).eq(lines.lines());
    wait(WITHIN, whole)
        .with_context(|| format!("{} received; {:?}", received(), engine.logs(&shipper)))?;
    for container in [shipper, collector] {
        let (code, _) = engine.stop(&container)?;
        ensure!(code == 0, "exit code {code}: {}", engine.logs(&container)?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_of_logs_is_built_and_its_supervisor_is_a_good_first_process() -> Result<()> {
    let Some(engine) = engine()? else { return Ok(()) };
    if !engine.build("logs")? {
        return Ok(());
    }
    first_process(&engine)?;
    let catalog = Catalog::start().await?;
    ships(&engine, &catalog)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_of_nginx_is_built_and_serves() -> Result<()> {
    let Some(engine) = engine()? else { return Ok(()) };
    if !engine.build("nginx")? {
        return Ok(());
    }
    let catalog = Catalog::start().await?;
    let consul = ("CONSUL_HTTP_ADDR", address_of(&catalog));
    let address = own().to_string();
    let web = engine.run(
        &[consul.clone(), ("MEMBER", "inside".to_owned()), ("WEB_ADDRESS", address.clone())],
        &["--entrypoint=regrow", "nginx", "supervise", "-c", "/opt/nginx/web.json5"],
    )?;
    let nginx = engine.run(&[consul, ("NGINX_ADDRESS", address)], &["nginx"])?;
    fetched((own(), 8080).into(), "/", |text| text == "inside on port 8081").await?;
    for (container, service) in [(nginx, "nginx"), (web, "web")] {
        passing(&catalog, service, 1).await?;
        let (code, _) = engine.stop(&container)?;
        ensure!(code == 0, "exit code {code}: {}", engine.logs(&container)?);
        passing(&catalog, service, 0).await?;
    }
    Ok(())
}

/// Its packages take longer than a run of the gate has for one test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_of_the_database_is_built_and_elects() -> Result<()> {
    if std::env::var_os("REGROW_SOAK").is_none() {
        println!("not run without REGROW_SOAK: the image of examples/mariadb");
        return Ok(());
    }
    let Some(engine) = engine()? else { return Ok(()) };
    if !engine.build("mariadb")? {
        return Ok(());
    }
    let catalog = Catalog::start().await?;
    let variables = [
        ("CONSUL_HTTP_ADDR", address_of(&catalog)),
        ("MEMBER", "db1".to_owned()),
        ("MARIADB_HOST", own().to_string()),
        ("MARIADB_BIND", own().to_string()),
    ];
    let member = engine.run(&variables, &["mariadb"])?;
    let leads = || engine.logs(&member).is_ok_and(|logs| logs.contains("is primary under fence"));
    wait(WITHIN, leads).with_context(|| format!("{:?}", engine.logs(&member)))?;
    let (code, _) = engine.stop(&member)?;
    ensure!(code == 0, "exit code {code}: {}", engine.logs(&member)?);
    Ok(())
}
