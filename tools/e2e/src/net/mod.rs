//! Several machines on one switch, made of namespaces.
//!
//! A [`Net`] has a [`Place`] for the switch and one for each node. Addresses are 10.77.0.1 and up, seen
//! by the nodes alone: the switch has no way out. A cut makes the sender's packets go to a hardware
//! address that nobody has, so that they vanish without a word, in one direction, as in a broken
//! switch; nothing beyond `iproute2` is needed.

mod place;
mod process;

use std::net::Ipv4Addr;

use anyhow::{Context, Result};

pub use place::{Place, Portal};
pub use process::Process;

/// A hardware address that no interface has.
const NOBODY: &str = "02:00:00:00:00:fe";
/// Programs that are needed beside the kernel.
const PROGRAMS: &[&str] = &["ip", "unshare", "nsenter", "setpriv", "mount"];

/// Machines on a switch.
pub struct Net {
    nodes: Vec<Place>,
    /// Dropped after the nodes.
    switch: Place,
}

impl Net {
    /// So many machines, all of which reach one another.
    ///
    /// # Errors
    /// See [`Place::new`].
    pub fn new(nodes: u8) -> Result<Self> {
        let switch = Place::new()?;
        switch.run("ip", ["link", "add", "name", "switch0", "type", "bridge"])?;
        switch.run("ip", ["link", "set", "dev", "switch0", "up"])?;
        let places = (0..nodes).map(|at| node(&switch, at)).collect::<Result<_>>()?;
        Ok(Self { nodes: places, switch })
    }

    /// The same, or nothing where this machine lacks the means; then the promise is named that stays
    /// untested.
    ///
    /// # Errors
    /// The means are there and it failed all the same.
    pub fn or_say(nodes: u8, promise: &str) -> Result<Option<Self>> {
        if let Some(lack) = lack() {
            println!("not run, promise untested: {promise} (needs {lack})");
            return Ok(None);
        }
        Self::new(nodes).map(Some)
    }

    /// How many machines there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A machine.
    pub fn node(&self, at: usize) -> &Place {
        &self.nodes[at]
    }

    /// Packets from one machine to another vanish from now on.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn cut_one_way(&self, from: usize, to: usize) -> Result<()> {
        let to = address(to).to_string();
        let args = ["neigh", "replace", &to, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
        self.node(from).run("ip", args)
    }

    /// Two machines do not reach each other from now on.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn cut(&self, one: usize, other: usize) -> Result<()> {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// A machine reaches no other, and none reaches it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn isolate(&self, at: usize) -> Result<()> {
        (0..self.len()).filter(|other| *other != at).try_for_each(|other| self.cut(at, other))
    }

    /// Pulls a machine's cable out: to the others it is gone without a word, as when its power is cut.
    /// [`plug`](Self::plug) puts it back.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn unplug(&self, at: usize) -> Result<()> {
        self.switch.run("ip", ["link", "set", "dev", &port(at), "down"])
    }

    /// Puts a cable back.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn plug(&self, at: usize) -> Result<()> {
        self.switch.run("ip", ["link", "set", "dev", &port(at), "up"])
    }

    /// Everybody reaches everybody again who was cut off.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn heal(&self) -> Result<()> {
        self.nodes.iter().try_for_each(|node| {
            node.run("ip", ["neigh", "flush", "dev", "eth0", "nud", "permanent"])
        })
    }
}

/// Address of a machine.
pub fn address(at: usize) -> Ipv4Addr {
    let last = u8::try_from(at + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 77, 0, last)
}

/// Where a machine's cable ends at the switch.
fn port(at: usize) -> String {
    format!("port{at}")
}

fn node(switch: &Place, at: u8) -> Result<Place> {
    let place = Place::new()?;
    let port = port(usize::from(at));
    let holder = place.holder().to_string();
    let pair = ["link", "add", "name", &port, "type", "veth"];
    let peer = ["peer", "name", "eth0", "netns", &holder];
    switch.run("ip", pair.into_iter().chain(peer)).context("lay a cable")?;
    switch.run("ip", ["link", "set", "dev", &port, "master", "switch0", "up"])?;
    let address = format!("{}/24", address(usize::from(at)));
    place.run("ip", ["addr", "add", &address, "dev", "eth0"])?;
    place.run("ip", ["link", "set", "dev", "eth0", "up"])?;
    Ok(place)
}

/// What this machine lacks for namespaces, if anything.
fn lack() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("root".into());
    }
    if let Some(program) = PROGRAMS.iter().find(|program| !has_program(program)) {
        return Some(format!("`{program}`"));
    }
    // Root in a container may still be refused.
    let tried = std::process::Command::new("unshare")
        .args(["--net", "--mount", "ip", "link", "add", "name", "port0", "type", "veth"])
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Some(format!("the right to make networks: {text}"))
        }
        Err(error) => Some(format!("`unshare`: {error}")),
    }
}

/// Whether a program is in `PATH`, as a command would find it.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
