use std::path::PathBuf;

use async_trait::async_trait;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, Uri};
use regrow_plugin::{Directory, Endpoint};
use tokio::net::{TcpStream, UnixStream};

use super::exchange::{connect, exchange};
use super::{MuxBackend, MuxBody, MuxFault};

/// Plugins as sockets (`NAME`) and addresses (`NAME.listen`) in a discovery folder.
#[derive(Clone, Debug)]
pub struct SocketDir {
    directory: Directory,
}

impl SocketDir {
    /// The plugins in this folder, as it is at each request.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { directory: Directory::new(dir) }
    }

    fn find(&self, plugin: &str) -> Option<Endpoint> {
        if is_hidden(plugin) { None } else { self.directory.find(plugin).ok() }
    }
}

/// Files on their way to become plugins, and the folder itself, are nobody's business.
fn is_hidden(plugin: &str) -> bool {
    plugin.starts_with('.')
}

#[async_trait]
impl MuxBackend for SocketDir {
    fn plugins(&self) -> Vec<String> {
        match self.directory.list() {
            Ok(found) => found.into_keys().filter(|plugin| !is_hidden(plugin)).collect(),
            Err(fault) => {
                tracing::warn!(%fault, "cannot tell which plugins there are");
                Vec::new()
            }
        }
    }

    async fn forward(
        &self,
        plugin: &str,
        mut request: Request<MuxBody>,
    ) -> Result<Response<MuxBody>, MuxFault> {
        let address = match self.find(plugin) {
            None => return Err(MuxFault::NoPlugin(plugin.to_owned())),
            Some(Endpoint::Unix(path)) => {
                let stream = connect(plugin, UnixStream::connect(path)).await?;
                return exchange(plugin, stream, request).await;
            }
            Some(Endpoint::Tcp(address)) => address,
            Some(Endpoint::Http { authority, path }) => {
                move_below(&mut request, &authority, &path)
                    .map_err(|reason| MuxFault::Unreachable { at: plugin.to_owned(), reason })?;
                authority
            }
        };
        let stream = connect(plugin, TcpStream::connect(address)).await?;
        exchange(plugin, stream, request).await
    }
}

/// Asks a server that has the plugin below a path, such as another manager's port.
fn move_below(request: &mut Request<MuxBody>, authority: &str, path: &str) -> Result<(), String> {
    let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
    let below = format!("{path}{}", asked.trim_start_matches('/'));
    let below: Uri = below.parse().map_err(|fault| format!("ask for {below:?}: {fault}"))?;
    let host = HeaderValue::try_from(authority)
        .map_err(|fault| format!("ask host {authority:?}: {fault}"))?;
    *request.uri_mut() = below;
    request.headers_mut().insert(header::HOST, host);
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::SocketDir;
    use crate::mux::body::whole;
    use crate::mux::{MuxBackend as _, MuxFault};

    /// Answers one request and returns its head.
    async fn answer(listener: TcpListener) -> String {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("read"));
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("write");
        String::from_utf8(head).expect("text")
    }

    #[tokio::test]
    async fn a_plugin_below_a_path_is_asked_there() {
        let dir = tempfile::tempdir().expect("folder");
        let plugins = SocketDir::new(dir.path());
        for (scheme, below, line) in [
            ("tcp", "", "GET /events?topic=a HTTP/1.1"),
            ("http", "", "GET /events?topic=a HTTP/1.1"),
            ("http", "/far/plugin/", "GET /far/plugin/events?topic=a HTTP/1.1"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
            let address = listener.local_addr().expect("address");
            let url = format!("{scheme}://{address}{below}\n");
            std::fs::write(dir.path().join("far.listen"), url).expect("write");
            assert_eq!(plugins.plugins(), ["far"]);
            let request = Request::get("/events?topic=a").header("Host", "h").body(whole(""));
            let request = request.expect("request");
            let (head, answered) = tokio::join!(answer(listener), plugins.forward("far", request));
            assert_eq!(answered.expect("an answer").status(), 200);
            assert!(head.starts_with(line), "{head}");
            let host = if scheme == "http" { address.to_string() } else { "h".to_owned() };
            assert!(head.to_lowercase().contains(&format!("host: {host}\r\n")), "{head}");
        }
    }

    #[tokio::test]
    async fn nothing_else_is_a_plugin() {
        let dir = tempfile::tempdir().expect("folder");
        let hidden = std::os::unix::net::UnixListener::bind(dir.path().join(".hidden"));
        std::fs::write(dir.path().join("bad.listen"), "gopher://h:1").expect("write");
        std::fs::write(dir.path().join("plain"), "").expect("write");
        let plugins = SocketDir::new(dir.path());
        assert_eq!(plugins.plugins(), Vec::<String>::new());
        for plugin in [".hidden", "..", ".", "", "bad", "plain", "a/b", "\0", "nope"] {
            let request = Request::get("/").body(whole("")).expect("request");
            let answered = plugins.forward(plugin, request).await.map(drop);
            assert!(matches!(answered, Err(MuxFault::NoPlugin(_))), "{plugin:?}");
        }
        drop(hidden);
    }
}
