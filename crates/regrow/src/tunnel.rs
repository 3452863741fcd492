//! Connections to a remote manager through a host that is logged in to with `ssh`.
//!
//! Each connection is one `ssh -W HOST:PORT`, whose standard input and output are the connection. So
//! there is no local port that other users of this machine could use (InfraKit opens one), nothing to
//! remove afterwards, and no process that stays: it is killed with its connection, and where this
//! program dies without a word ssh ends as its input does. Who opens many connections to a far host
//! lets ssh share one (`ControlMaster` in its configuration).
//!
//! The tests put a program of the same name in front of ssh, which connects without encryption; a
//! real SSH server is not part of them.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use regrow_plugin::client::{Dial, Io};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::ssh::Host;

/// As much of what ssh complains about is shown.
const MAX_COMPLAINT_BYTES: u64 = 2048;

/// Opens connections through a host.
#[derive(Clone, Debug)]
pub struct Tunnel {
    host: Host,
}

impl Tunnel {
    /// Through this host.
    pub fn new(host: Host) -> Self {
        Self { host }
    }

    /// Connections from there to `host:port`.
    pub fn dial(&self, authority: &str) -> Arc<dyn Dial> {
        Arc::new(TunnelDial { host: self.host.clone(), authority: authority.to_owned() })
    }
}

struct TunnelDial {
    host: Host,
    authority: String,
}

#[async_trait]
impl Dial for TunnelDial {
    async fn dial(&self) -> io::Result<Box<dyn Io>> {
        let mut command = self.host.command();
        command.args(["-W", &self.authority]);
        self.host.address(&mut command);
        let (host, authority) = (&self.host, &self.authority);
        let about = |error| io::Error::other(format!("start ssh to {host}: {error}"));
        let mut child = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(about)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(about(io::Error::other("it has no pipes")));
        };
        let name = format!("ssh through {host} to {authority}");
        let complaint = Some(tokio::spawn(complaint(errors)));
        Ok(Box::new(Channel { _child: child, input, output, complaint, heard: false, name }))
    }
}

/// What ssh says, cut to what is shown. All is read, lest ssh wait for a reader.
async fn complaint(mut errors: ChildStderr) -> String {
    let mut said = Vec::new();
    // What cannot be read is not shown; the connection's end is reported in any case.
    let _ = (&mut errors).take(MAX_COMPLAINT_BYTES).read_to_end(&mut said).await;
    let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&said).trim().replace(['\r', '\n'], " ")
}

/// One connection.
struct Channel {
    _child: Child,
    input: ChildStdin,
    output: ChildStdout,
    complaint: Option<JoinHandle<String>>,
    /// Whether anything came from the other end: then its end is an end, not a failure of ssh.
    heard: bool,
    name: String,
}

impl Channel {
    /// Why ssh ended without a connection.
    fn failure(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let said = match &mut self.complaint {
            Some(task) => ready!(Pin::new(task).poll(cx)).unwrap_or_default(),
            None => String::new(),
        };
        self.complaint = None;
        let said = if said.is_empty() { "it ended without a word" } else { &said };
        Poll::Ready(io::Error::other(format!("{}: {said}", self.name)))
    }

    /// A pipe that nobody reads means that ssh is gone.
    fn explain<T>(&mut self, cx: &mut Context<'_>, result: io::Result<T>) -> Poll<io::Result<T>> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !self.heard => {
                Poll::Ready(Err(ready!(self.failure(cx))))
            }
            other => Poll::Ready(other),
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
        self.heard |= buffer.filled().len() > before;
        if self.heard || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(ready!(self.failure(cx))))
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.input).poll_write(cx, bytes));
        self.explain(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.input).poll_flush(cx));
        self.explain(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}
