use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use hyper::{Request, Response, Uri};
use tokio::net::{TcpStream, UnixStream};

use super::exchange::{connect, exchange};
use super::{MuxBackend, MuxBody, MuxFault};
use crate::store::read_bounded;

/// Largest `NAME.listen` file: it holds a URL.
const MAX_LISTEN_FILE_BYTES: u64 = 4096;

/// Plugins as sockets (`NAME`) and addresses (`NAME.listen`) in a discovery folder.
#[derive(Clone, Debug)]
pub struct SocketDir {
    dir: PathBuf,
}

enum Place {
    Socket(PathBuf),
    Tcp(String),
}

impl SocketDir {
    /// The plugins in this folder, as it is at each request.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn place(&self, plugin: &str) -> Option<Place> {
        // A name from the network must not lead out of the folder.
        if plugin.is_empty() || plugin.starts_with('.') || plugin.contains(['/', '\0']) {
            return None;
        }
        let socket = self.dir.join(plugin);
        if is_socket(&socket) {
            return Some(Place::Socket(socket));
        }
        let listen = self.dir.join(format!("{plugin}.listen"));
        let bytes = read_bounded(&listen, MAX_LISTEN_FILE_BYTES).ok()??;
        let url: Uri = String::from_utf8(bytes).ok()?.trim().parse().ok()?;
        Some(Place::Tcp(url.authority()?.as_str().to_owned()))
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[async_trait]
impl MuxBackend for SocketDir {
    fn plugins(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut names: Vec<_> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                match name.strip_suffix(".listen") {
                    Some(plugin) => Some(plugin.to_owned()),
                    None => is_socket(&entry.path()).then_some(name),
                }
            })
            .filter(|name| !name.is_empty() && !name.starts_with('.'))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    async fn forward(
        &self,
        plugin: &str,
        request: Request<MuxBody>,
    ) -> Result<Response<MuxBody>, MuxFault> {
        match self.place(plugin) {
            None => Err(MuxFault::NoPlugin(plugin.to_owned())),
            Some(Place::Socket(path)) => {
                let stream = connect(plugin, UnixStream::connect(path)).await?;
                exchange(plugin, stream, request).await
            }
            Some(Place::Tcp(address)) => {
                let stream = connect(plugin, TcpStream::connect(address)).await?;
                exchange(plugin, stream, request).await
            }
        }
    }
}
