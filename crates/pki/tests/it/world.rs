//! A cluster on paper: authorities, nodes, and a handshake in memory.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use regrow_pki::{
    Authority, Certificates, Clock, ClusterId, Credential, DEFAULT_LIFE, Expect, Member,
    NodeIdentity, NodeKey, NodeNumber, Role, explain,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

pub const HOUR: Duration = Duration::from_secs(3600);

/// A moment that no test depends on.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub fn authority() -> Authority {
    Authority::new(ClusterId::random(), now()).expect("an authority")
}

pub fn identity(authority: &Authority, role: Role, node: u64) -> NodeIdentity {
    NodeIdentity { cluster: authority.cluster(), role, node: NodeNumber::new(node) }
}

/// A credential issued at a moment, for 24 hours.
pub fn credential(authority: &Authority, role: Role, node: u64, at: SystemTime) -> Credential {
    let key = NodeKey::generate().expect("a key");
    let request = key.request().expect("a request");
    let identity = identity(authority, role, node);
    let leaf = authority.issue(&request, &identity, at, DEFAULT_LIFE).expect("a certificate");
    Credential::new(key, Certificates::new([leaf])).expect("a credential")
}

/// A node that trusts the authority.
pub fn member(authority: &Authority, role: Role, node: u64) -> Member {
    let roots = Certificates::new([authority.certificate().to_vec()]);
    with(credential(authority, role, node, now()), roots, now())
}

pub fn with(credential: Credential, roots: Certificates, time: SystemTime) -> Member {
    let clock = Clock::new(move || time);
    Member { credential, roots, refused: Arc::new(|_| false), clock }
}

/// Whether the two would talk; the text names who refused and why.
pub fn meet(client: &Member, server: &Member, expect: Expect) -> Result<(), String> {
    let client = client.client_config(expect).expect("client settings");
    shake(client, server.server_config().expect("server settings"))
}

/// Passes the messages of a handshake to and fro.
pub fn shake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<(), String> {
    let name = ServerName::try_from("regrow").expect("a name");
    let mut client = ClientConnection::new(client, name).expect("a client");
    let mut server = ServerConnection::new(server).expect("a server");
    for _ in 0..10 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("memory takes it");
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("memory gives it");
            server.process_new_packets().map_err(|error| format!("server: {}", explain(&error)))?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).expect("memory takes it");
        }
        let mut rest = io::Cursor::new(bytes);
        while (rest.position() as usize) < rest.get_ref().len() {
            client.read_tls(&mut rest).expect("memory gives it");
            client.process_new_packets().map_err(|error| format!("client: {}", explain(&error)))?;
        }
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
    }
    Err("the handshake does not end".to_owned())
}
