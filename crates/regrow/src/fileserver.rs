//! `regrow util fileserver`: the files of a folder over HTTP, for specs and scripts in tests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::absent::AbsentArgs;
use crate::mux::MuxArgs;

/// Longest head of a request.
const MAX_HEAD_BYTES: u64 = 16 << 10;
/// A client that says nothing for so long loses its turn.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Verbs of `util`.
#[derive(Subcommand, Debug)]
pub enum UtilCommand {
    /// Serve the files of a folder over HTTP
    Fileserver(FileserverArgs),
    /// Open the port for remote clients, for the plugins of this node
    Mux(MuxArgs),
    /// Not here
    #[command(hide = true, disable_help_flag = true)]
    Init(AbsentArgs),
    /// Not here
    #[command(hide = true, disable_help_flag = true)]
    Track(AbsentArgs),
}

/// Arguments of `util fileserver`.
#[derive(Args, Debug)]
pub struct FileserverArgs {
    /// Folder
    path: PathBuf,
    /// Address to listen at; :8080 is this machine only
    #[arg(short, long, default_value = ":8080", value_name = "HOST:PORT")]
    listen: String,
}

impl FileserverArgs {
    /// Serves until it is killed.
    pub fn run(&self) -> Result<()> {
        let root = self.path.canonicalize();
        let root = root.with_context(|| format!("serve folder {}", self.path.display()))?;
        if !root.is_dir() {
            bail!("serve folder {}: it is a file", root.display());
        }
        let address = match self.listen.strip_prefix(':') {
            Some(port) => format!("127.0.0.1:{port}"),
            None => self.listen.clone(),
        };
        let listener = TcpListener::bind(&address)
            .with_context(|| format!("listen at {address}; choose another with --listen"))?;
        println!("serving {} at http://{}/", root.display(), listener.local_addr()?);
        for client in listener.incoming() {
            let Ok(client) = client else { continue };
            let root = root.clone();
            // One thread for each client, so that a slow one holds up nobody.
            std::thread::spawn(move || {
                if let Err(error) = serve(&client, &root) {
                    eprintln!("serve a file: {error}");
                }
            });
        }
        Ok(())
    }
}

fn serve(mut client: &TcpStream, root: &Path) -> std::io::Result<()> {
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut reader = BufReader::new(client.take(MAX_HEAD_BYTES));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
    let (status, body) = match (method, locate(root, target)) {
        ("GET" | "HEAD", Some(path)) if path.is_dir() => ("200 OK", listing(&path)?.into_bytes()),
        ("GET" | "HEAD", Some(path)) => match std::fs::read(&path) {
            Ok(bytes) => ("200 OK", bytes),
            Err(_) => ("404 Not Found", b"not found\n".to_vec()),
        },
        ("GET" | "HEAD", None) => ("404 Not Found", b"not found\n".to_vec()),
        _ => ("405 Method Not Allowed", b"use GET\n".to_vec()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all(head.as_bytes())?;
    if method == "HEAD" { Ok(()) } else { client.write_all(&body) }
}

/// The file that a request means. Nothing outside of the folder, links included.
fn locate(root: &Path, target: &str) -> Option<PathBuf> {
    let target = target.split(['?', '#']).next().unwrap_or("");
    let relative = Path::new(target.trim_start_matches('/'));
    if relative.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return None;
    }
    let path = root.join(relative).canonicalize().ok()?;
    path.starts_with(root).then_some(path)
}

fn listing(folder: &Path) -> std::io::Result<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let slash = if entry.path().is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}\n", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names.concat())
}

#[cfg(test)]
mod tests {
    use super::locate;

    #[test]
    fn nothing_outside_of_the_folder() {
        let dir = tempfile::tempdir().expect("folder");
        let root = dir.path().canonicalize().expect("path");
        std::fs::write(root.join("a.json"), "{}").expect("file");
        std::os::unix::fs::symlink("/etc/hostname", root.join("link")).expect("link");
        assert_eq!(locate(&root, "/a.json?x=1"), Some(root.join("a.json")));
        for target in ["/../etc/passwd", "/link", "/nope", "//etc/passwd"] {
            assert_eq!(locate(&root, target), None, "{target}");
        }
    }
}
