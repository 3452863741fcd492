use async_trait::async_trait;
use serde::{Deserialize, Serialize, Serializer};

use super::{Result, Spec, SpecObject};

/// Where the leader answers: the parts of a URL that InfraKit's clients read. On the wire it has
/// all fields of Go's URL, the others empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LeaderLocation {
    /// `http` or `https`.
    pub scheme: String,
    /// `host:port`.
    pub host: String,
    /// Path, usually empty.
    pub path: String,
}

/// Go's `url.URL` as Go prints it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GoUrl<'a> {
    scheme: &'a str,
    opaque: &'static str,
    user: Option<()>,
    host: &'a str,
    path: &'a str,
    raw_path: &'static str,
    omit_host: bool,
    force_query: bool,
    raw_query: &'static str,
    fragment: &'static str,
    raw_fragment: &'static str,
}

impl Serialize for LeaderLocation {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self { scheme, host, path } = self;
        let url = GoUrl {
            scheme,
            opaque: "",
            user: None,
            host,
            path,
            raw_path: "",
            omit_host: false,
            force_query: false,
            raw_query: "",
            fragment: "",
            raw_fragment: "",
        };
        url.serialize(serializer)
    }
}

/// The manager of a whole stack: `Stack/0.1.1`, service name `Manager`.
#[async_trait]
pub trait Stack: Send + Sync {
    /// True on the replica that leads.
    ///
    /// # Errors
    /// Leadership is unknown (`cannot determine leader`).
    async fn is_leader(&self) -> Result<bool>;

    /// Where the leader answers; `None` when nobody said.
    ///
    /// # Errors
    /// The location cannot be read.
    async fn leader_location(&self) -> Result<Option<LeaderLocation>>;

    /// Makes all the specs true and remembers them.
    ///
    /// # Errors
    /// This replica does not lead, or one of the specs is not valid: then none is stored.
    async fn enforce(&self, specs: &[Spec]) -> Result<()>;

    /// The specs that are stored.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn specs(&self) -> Result<Vec<Spec>>;

    /// The stored specs with their state.
    ///
    /// # Errors
    /// The store or a controller cannot be asked.
    async fn inspect(&self) -> Result<Vec<SpecObject>>;

    /// Destroys what the specs describe and forgets them.
    ///
    /// # Errors
    /// This replica does not lead, or a controller refused.
    async fn terminate(&self, specs: &[Spec]) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::LeaderLocation;

    #[test]
    fn a_location_prints_as_captured() {
        let captured = r#"{"Scheme":"http","Opaque":"","User":null,"Host":"localhost:24999","Path":"","RawPath":"","OmitHost":false,"ForceQuery":false,"RawQuery":"","Fragment":"","RawFragment":""}"#;
        let location = LeaderLocation {
            scheme: "http".into(),
            host: "localhost:24999".into(),
            path: String::new(),
        };
        assert_eq!(serde_json::to_string(&location).expect("JSON"), captured);
        assert_eq!(serde_json::from_str::<LeaderLocation>(captured).expect("URL"), location);
        let short = r#"{"Scheme":"http","Host":"localhost:24999","Path":""}"#;
        assert_eq!(serde_json::from_str::<LeaderLocation>(short).expect("URL"), location);
    }
}
