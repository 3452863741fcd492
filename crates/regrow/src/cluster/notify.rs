//! Tells the service manager that started the process, if one did, how it stands: the protocol of
//! `sd_notify(3)`.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names the socket; a leading `@` stands for the zero byte of an abstract one.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Says `state`, such as `READY=1`. Nobody listening is no fault.
pub fn notify(state: &str) {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let said = address.and_then(|address| {
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
    });
    if let Err(error) = said {
        tracing::warn!(%error, "tell the service manager {state}");
    }
}
