//! How names become sockets (InfraKit specification §1.1).

mod directory;
mod endpoint;
mod remote;
mod sockets;

pub use directory::{Directory, DirectoryError, HOME_VARIABLE, PLUGINS_VARIABLE};
pub use endpoint::{Endpoint, EndpointError};
pub use remote::{Mux, RemotePlugins};
pub use sockets::SocketPlugins;
