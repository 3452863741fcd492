use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use regrow_codec::{Any, decode};
use regrow_ids::GoDuration;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::ProcessError;

/// Settings of a process instance. Unknown fields are errors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Properties {
    /// Program and arguments. A program without `/` is searched in `PATH`. May be empty when the
    /// instance has an `Init` script; with both, the script runs first and must succeed.
    pub command: Vec<String>,
    /// Environment in addition to what every instance gets. Names that begin with `REGROW_` are
    /// ours.
    pub env: BTreeMap<String, String>,
    /// Directory to run in; must exist. Default: `work` in the instance's own directory.
    pub work_dir: Option<PathBuf>,
    /// Time between the stop signal and the kill. Default: the option's, 10 s. At most 1 h.
    pub stop_grace: Option<GoDuration>,
    /// Signal that asks for the end, such as `TERM`, `INT` or `QUIT`. Default: the option's, TERM.
    pub stop_signal: Option<StopSignal>,
}

/// Longest time that an instance may take to stop.
const MAX_STOP_GRACE: Duration = Duration::from_secs(3_600);

/// Beginning of the names that the provider sets itself.
const RESERVED_PREFIX: &str = "REGROW_";

impl Properties {
    /// Reads and checks settings.
    pub(super) fn read(properties: &Any) -> Result<Self, ProcessError> {
        if properties.is_null() {
            return Ok(Self::default());
        }
        let read: Self = decode::from_slice_strict(properties.as_text().as_bytes())
            .map_err(ProcessError::Properties)?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), ProcessError> {
        if self.command.first().is_some_and(String::is_empty) {
            return Err(field("/Command/0", "the name of the program is empty"));
        }
        for (at, argument) in self.command.iter().enumerate() {
            no_nul(&format!("/Command/{at}"), argument)?;
        }
        for (name, value) in &self.env {
            let pointer = format!("/Env/{}", name.replace('~', "~0").replace('/', "~1"));
            if name.is_empty() || name.contains('=') {
                return Err(field(&pointer, "a variable needs a name without '='"));
            }
            if name.starts_with(RESERVED_PREFIX) {
                return Err(field(&pointer, "names that begin with REGROW_ are set by regrow"));
            }
            no_nul(&pointer, name)?;
            no_nul(&pointer, value)?;
        }
        if self.stop_grace.is_some_and(|grace| grace.as_duration() > MAX_STOP_GRACE) {
            return Err(field("/StopGrace", "it is longer than 1h; write at most \"1h\""));
        }
        Ok(())
    }
}

pub(super) fn no_nul(pointer: &str, text: &str) -> Result<(), ProcessError> {
    if text.contains('\0') {
        return Err(field(pointer, "it holds a zero byte, which no program can be given"));
    }
    Ok(())
}

fn field(pointer: &str, reason: &str) -> ProcessError {
    ProcessError::Properties(decode::DecodeError {
        pointer: pointer.to_owned(),
        position: None,
        reason: reason.to_owned(),
    })
}

/// A signal that asks a process to end. Read with or without `SIG`, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StopSignal(Signal);

const STOP_SIGNALS: [(&str, Signal); 7] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("KILL", Signal::KILL),
    ("QUIT", Signal::QUIT),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

impl Default for StopSignal {
    fn default() -> Self {
        Self(Signal::TERM)
    }
}

impl StopSignal {
    pub(super) fn signal(self) -> Signal {
        self.0
    }
}

impl TryFrom<String> for StopSignal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        match STOP_SIGNALS.iter().find(|(known, _)| *known == name) {
            Some((_, signal)) => Ok(Self(*signal)),
            None => {
                let known = STOP_SIGNALS.map(|(name, _)| name).join(", ");
                Err(format!("signal {text:?} is not one of {known}"))
            }
        }
    }
}

impl From<StopSignal> for String {
    fn from(signal: StopSignal) -> Self {
        let known = STOP_SIGNALS.iter().find(|(_, known)| *known == signal.0);
        known.map_or("TERM", |(name, _)| name).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use serde_json::json;

    use super::Properties;

    #[test]
    fn reads_what_a_person_writes() {
        let read = Properties::read(&Any::from(json!({
            "command": ["sleep", "1"], "Env": {"A": "b"}, "StopGrace": "3s", "StopSignal": "sigint"
        })))
        .expect("valid");
        assert_eq!(read.command, ["sleep", "1"]);
        assert_eq!(read.stop_signal.map(String::from).as_deref(), Some("INT"));
        assert_eq!(Properties::read(&Any::default()).expect("valid"), Properties::default());
    }

    #[test]
    fn faults_point_at_the_field() {
        for (properties, part) in [
            (json!({"Comand": ["x"]}), "at /Comand: unknown field; did you mean \"Command\"?"),
            (json!({"Command": "sleep 1"}), "at /Command"),
            (json!({"Command": [""]}), "at /Command/0: the name of the program is empty"),
            (json!({"Command": ["a", "b\u{0}"]}), "at /Command/1: it holds a zero byte"),
            (json!({"Env": {"REGROW_X": "y"}}), "at /Env/REGROW_X: names that begin"),
            (json!({"Env": {"a=b": "y"}}), "at /Env/a=b: a variable needs a name"),
            (json!({"StopGrace": "2h"}), "at /StopGrace: it is longer than 1h"),
            (json!({"StopSignal": "SEGV"}), "at /StopSignal: signal \"SEGV\" is not one of HUP"),
        ] {
            let fault = Properties::read(&Any::from(&properties)).expect_err("invalid").to_string();
            assert!(fault.contains(part), "{properties}: {fault}");
        }
    }
}
