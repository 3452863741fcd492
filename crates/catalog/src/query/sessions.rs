//! What can be asked about sessions, events and tokens.

use super::{Found, Read, index_of};
use crate::machine::Topic;
use crate::machine::rows;
use crate::model::{Event, Indexed, Session, SessionId, Token};

/// One session.
pub fn session(id: SessionId) -> Read<Option<Indexed<Session>>> {
    let row = rows::key(rows::SESSION, &[&id.0.to_be_bytes()]);
    Read::new(vec![Topic::Sessions], move |view| {
        let index = index_of(view, &[Topic::Sessions])?;
        Ok(Found { value: rows::get(view, &row)?, index })
    })
}

/// All sessions, by id.
pub fn all() -> Read<Vec<Indexed<Session>>> {
    Read::new(vec![Topic::Sessions], |view| {
        let index = index_of(view, &[Topic::Sessions])?;
        Ok(Found { value: rows::list(view, &[rows::SESSION])?, index })
    })
}

/// The sessions of a node, by id.
pub fn of_node(node: impl Into<String>) -> Read<Vec<Indexed<Session>>> {
    let node = node.into();
    all().map(move |sessions| {
        sessions.into_iter().filter(|session| session.value.node == node).collect()
    })
}

/// The last 256 events, oldest first; with a name, those of that name.
pub fn events(name: impl Into<String>) -> Read<Vec<Indexed<Event>>> {
    let name = name.into();
    Read::new(vec![Topic::Events], move |view| {
        let mut value: Vec<Indexed<Event>> = rows::list(view, &[rows::EVENT])?;
        value.retain(|event| name.is_empty() || event.value.name == name);
        Ok(Found { value, index: index_of(view, &[Topic::Events])? })
    })
}

/// All tokens, by the hash of their secrets.
pub fn tokens() -> Read<Vec<Token>> {
    Read::new(Vec::new(), |view| Ok(Found { value: rows::list(view, &[rows::TOKEN])?, index: 1 }))
}

/// The token with a secret of this SHA-256.
pub fn token(secret_hash: [u8; 32]) -> Read<Option<Token>> {
    let row = rows::key(rows::TOKEN, &[&secret_hash]);
    Read::new(Vec::new(), move |view| Ok(Found { value: rows::get(view, &row)?, index: 1 }))
}
