//! A machine made of namespaces, and the way into its network.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpSocket, TcpStream};

/// Longest wait for a connection inside a place. A listener there answers at once or never.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce() + Send>;

/// A machine made of namespaces: its own network, its own mounts.
///
/// Both live as long as a process that does nothing but hold them, and that process ends when its
/// input closes. So nothing of a place has a name outside of it, two places cannot clash, and nothing
/// stays behind even where the test is killed.
pub struct Place {
    holder: Child,
    portal: Portal,
}

/// Does things inside a place's network. Cheap to clone; useless once the place is gone.
#[derive(Clone, Debug)]
pub struct Portal {
    jobs: mpsc::Sender<Job>,
}

impl Place {
    /// Makes an empty place with a loopback interface.
    ///
    /// # Errors
    /// This user may not, or a program is missing.
    pub fn new() -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start unshare")?;
        if let Err(error) = handshake(&mut holder) {
            let _ = holder.kill();
            let mut why = String::new();
            if let Some(mut text) = holder.stderr.take() {
                let _ = text.read_to_string(&mut why);
            }
            let _ = holder.wait();
            return Err(error.context(format!("make namespaces: {}", why.trim())));
        }
        let portal = match Portal::open(holder.id()) {
            Ok(portal) => portal,
            Err(error) => {
                let _ = holder.kill();
                let _ = holder.wait();
                return Err(error);
            }
        };
        let place = Self { holder, portal };
        place.run("ip", ["link", "set", "lo", "up"])?;
        Ok(place)
    }

    /// Id of the process that holds the namespaces.
    pub fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// The way into the place's network.
    pub fn portal(&self) -> &Portal {
        &self.portal
    }

    /// Where a path of the place is seen from outside.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A command that runs in the place. It is killed when the thread that started it ends, so it is
    /// started by [`Portal::spawn`].
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.holder().to_string(), "--net", "--mount", "--"])
            .args(["setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// Runs a program in the place to its end.
    ///
    /// # Errors
    /// It fails; the text holds what it said.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<()> {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.holder().to_string(), "--net", "--mount", "--", program])
            .args(args);
        let output = command.output().context("start nsenter")?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Puts a file system of a limited size over a folder, seen by this place alone.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn small_disk(&self, folder: &Path, mebibytes: u32) -> Result<()> {
        let options = format!("size={mebibytes}m,mode=0700");
        let folder = folder.as_os_str();
        let [kind, flag] = ["tmpfs", "-o"].map(OsStr::new);
        self.run("mount", [OsStr::new("-t"), kind, flag, OsStr::new(&options), kind, folder])
    }
}

/// Waits until the holder runs in its namespaces: it then echoes a byte.
fn handshake(holder: &mut Child) -> Result<()> {
    holder.stdin.as_mut().context("its input")?.write_all(b".")?;
    let mut byte = [0];
    holder.stdout.as_mut().context("its output")?.read_exact(&mut byte)?;
    Ok(())
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Portal {
    /// A thread that enters the network and does there what it is told, until nobody can tell it
    /// anything any more.
    fn open(holder: u32) -> Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (ready, entered) = mpsc::channel();
        let path = format!("/proc/{holder}/ns/net");
        let body = move || {
            let enter = || -> Result<()> {
                let network = File::open(&path).with_context(|| format!("open {path}"))?;
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                    .with_context(|| format!("enter {path}"))
            };
            let result = enter();
            let stay = result.is_ok();
            let _ = ready.send(result);
            if stay {
                inbox.into_iter().for_each(|job| job());
            }
        };
        std::thread::Builder::new().name("portal".into()).spawn(body).context("start a thread")?;
        entered.recv().context("hear of the thread")??;
        Ok(Self { jobs })
    }

    fn send(&self, job: Job) -> Result<()> {
        self.jobs.send(job).map_err(|_| anyhow!("the place is gone"))
    }

    /// Runs something in the network and waits for it.
    fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || {
            let _ = done.send(job());
        });
        self.send(job)?;
        result.recv().context("hear from the place")
    }

    /// Starts a process that is killed when the place is dropped, or the test ends in any way.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, mut command: Command) -> Result<Child> {
        self.inside(move || command.spawn().with_context(|| format!("start {command:?}")))?
    }

    /// A connection to somebody whom the place reaches, by IPv4.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(&self, to: SocketAddr) -> Result<TcpStream> {
        let (done, result) = tokio::sync::oneshot::channel();
        // A socket belongs to the network where it was made, wherever it is used.
        self.send(Box::new(move || {
            let _ = done.send(TcpSocket::new_v4());
        }))?;
        let socket = result.await.context("hear from the place")?.context("make a socket")?;
        let connecting = tokio::time::timeout(CONNECT_WITHIN, socket.connect(to)).await;
        let refused = || format!("connect to {to}");
        let stream = connecting.with_context(refused)?.with_context(refused)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
