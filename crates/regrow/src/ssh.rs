//! The system's `ssh` program: it knows the user's keys, agent, known hosts and configuration.
//!
//! It is never let ask anything: who it cannot log in as, or which host it does not know, is an
//! error that it explains on standard error.

use std::fmt;
use std::process::Command;

use anyhow::{Result, bail};

/// Seconds in which a host has to be reached.
const CONNECT_SECONDS: u32 = 10;

/// A host to log in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
    user: String,
}

impl Host {
    /// Reads `[USER@]HOST[:PORT]`; an IPv6 address with a port stands in brackets. `user` is used
    /// where the address has none; empty for the one that ssh takes by itself.
    ///
    /// # Errors
    /// It is no such address, or could be taken for an option.
    pub fn parse(text: &str, user: &str) -> Result<Self> {
        let (user, address) = match text.rsplit_once('@') {
            Some((named, address)) => (named, address),
            None => (user, text),
        };
        let (name, port) = match (address.strip_prefix('['), address.rsplit_once(':')) {
            (Some(inner), _) => match inner.split_once(']') {
                Some((name, "")) => (name, None),
                Some((name, port)) => (name, port.strip_prefix(':')),
                None => ("", None),
            },
            // More than one colon: an IPv6 address without a port.
            (None, Some((name, port))) if !name.contains(':') => (name, Some(port)),
            (None, _) => (address, None),
        };
        let number = port.map(str::parse::<u16>).transpose();
        let Ok(port) = number else {
            bail!("log in to {text:?}: the port is no number up to 65535");
        };
        let usable = |word: &str| is_plain_word(word) && !word.starts_with('-');
        if !usable(name) || !(user.is_empty() || usable(user)) {
            bail!("log in to {text:?}: expected HOST or HOST:PORT, and a plain name of a user");
        }
        Ok(Self { name: name.to_owned(), port, user: user.to_owned() })
    }

    /// `ssh` with what holds for every use; options may follow, then [`Host::address`].
    pub fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-o", "BatchMode=yes", "-T"]);
        command.arg("-o").arg(format!("ConnectTimeout={CONNECT_SECONDS}"));
        command
    }

    /// Adds where to go.
    pub fn address(&self, command: &mut Command) {
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        if !self.user.is_empty() {
            command.args(["-l", &self.user]);
        }
        command.args(["--", &self.name]);
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// True for words that mean nothing special to a shell.
pub fn is_plain_word(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/=+,%@".contains(c);
    !word.is_empty() && word.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::Host;

    fn line(text: &str, user: &str) -> String {
        let host = Host::parse(text, user).expect("a host");
        let mut command = host.command();
        host.address(&mut command);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        words.join(" ").split_once("10 ").expect("time limit").1.to_owned()
    }

    #[test]
    fn hosts_have_a_user_and_a_port_or_not() {
        assert_eq!(line("h", ""), "-- h");
        assert_eq!(line("h:2222", "ann"), "-p 2222 -l ann -- h");
        assert_eq!(line("bob@h", "ann"), "-l bob -- h");
        assert_eq!(line("[fd00::1]:22", ""), "-p 22 -- fd00::1");
        assert_eq!(line("fd00::1", ""), "-- fd00::1");
    }

    #[test]
    fn what_could_be_an_option_or_a_command_is_no_host() {
        for text in ["", "-oProxyCommand=x", "h:x", "h:70000", "a b", "h;x", "[h", "-x@h"] {
            assert!(Host::parse(text, "").is_err(), "{text:?}");
        }
        assert!(Host::parse("h", "-oX").is_err());
    }
}
