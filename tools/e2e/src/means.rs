//! What a scenario with other people's programs needs: the programs, and addresses of its own.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::stack::binary;

/// Where Debian keeps servers; not every user has them in `PATH`.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/sbin"];

fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(SYSTEM.map(PathBuf::from)).collect()
}

/// The first of these programs that this machine does not have.
pub fn missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let folders = folders();
    let found = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    programs.iter().copied().find(|name| !found(name))
}

/// A `PATH` in which `regrow` is the one that is tested, and servers are found.
///
/// # Errors
/// It was not built.
pub fn search_path() -> Result<OsString> {
    let own = binary()?.parent().context("the folder of the binary")?.to_owned();
    std::env::join_paths([own].into_iter().chain(folders())).context("a search path")
}

/// A loopback address that is derived from the number of this process: scenarios that run side by side
/// can use the same ports, each on addresses of its own.
pub fn loopback(number: u8) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_absent_program_is_named() {
        assert_eq!(
            missing(&["sh", "no-such-program-of-ours", "neither"]),
            Some("no-such-program-of-ours")
        );
        assert_eq!(missing(&["sh"]), None);
    }
}
