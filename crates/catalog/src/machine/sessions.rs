//! Sessions: how they begin, live on and end.

use std::time::Duration;

use super::kv::SessionRow;
use super::refusal::Refusal;
use super::rows::{self, Due};
use super::topic::Topic;
use super::work::{Step, Work, check_name};
use crate::model::{Check, Indexed, Indexes, Session, SessionId, Status};

fn row(id: SessionId) -> Vec<u8> {
    rows::key(rows::SESSION, &[&id.0.to_be_bytes()])
}

fn of_node(node: &str) -> Vec<u8> {
    rows::under(rows::SESSION_OF_NODE, &[node])
}

fn place_of_node(session: &Session) -> Vec<u8> {
    let mut place = of_node(&session.node);
    place.extend_from_slice(&session.id.0.to_be_bytes());
    place
}

/// Whether there is a session of this id.
pub(super) fn exists(work: &Work<'_>, id: SessionId) -> Step<bool> {
    Ok(work.view().get(&row(id))?.is_some())
}

/// How long a session lives without a renewal: its TTL and the grace beyond it.
fn life(session: &Session) -> Option<Duration> {
    let ttl = session.ttl?;
    Some(ttl + ttl * u32::from(session.grace_percent.min(100)) / 100)
}

impl Work<'_> {
    pub fn create_session(&mut self, session: &Session) -> Step<SessionRow> {
        if exists(self, session.id)? {
            return Err(Refusal::SessionExists(session.id).into());
        }
        check_name("node name", &session.node)?;
        if self.view().get(&rows::named(rows::NODE, &[&session.node]))?.is_none() {
            return Err(Refusal::NoNode.into());
        }
        for id in session.checks() {
            check_name("check id", id)?;
            let check: Option<Indexed<Check>> =
                self.get(&rows::named(rows::CHECK, &[&session.node, id]))?;
            let check = check.ok_or_else(|| Refusal::NoSessionCheck(id.to_owned()))?;
            if check.value.status == Status::Critical {
                return Err(Refusal::CriticalCheck(id.to_owned()).into());
            }
        }
        let indexes = Indexes::write(None, self.at.index);
        let indexed = Indexed { value: session.clone(), indexes };
        self.put(&row(session.id), &indexed)?;
        self.mark(&place_of_node(session))?;
        self.start_clock(session)?;
        self.bump(&Topic::Sessions)?;
        Ok(indexed)
    }

    fn start_clock(&mut self, session: &Session) -> Step {
        match life(session) {
            Some(life) => self.schedule(&Due::Session(session.id), self.at.time.after(life)),
            None => Ok(()),
        }
    }

    pub fn renew_session(&mut self, id: SessionId) -> Step<Option<SessionRow>> {
        let session: Option<SessionRow> = self.get(&row(id))?;
        if let Some(session) = &session {
            self.start_clock(&session.value)?;
        }
        Ok(session)
    }

    /// Ends a session, if it is there.
    pub fn end_session(&mut self, id: SessionId) -> Step {
        let Some(SessionRow { value: session, .. }) = self.get(&row(id))? else { return Ok(()) };
        self.delete(&row(id))?;
        self.delete(&place_of_node(&session))?;
        self.cancel(&Due::Session(id))?;
        self.let_go(&session)?;
        self.bump(&Topic::Sessions)
    }

    /// Ends the sessions of a node that `which` picks.
    fn end_sessions(&mut self, node: &str, which: impl Fn(&Session) -> bool) -> Step {
        for rest in rows::rests(self.view(), &of_node(node))? {
            let Ok(bytes) = <[u8; 16]>::try_from(rest.as_slice()) else { continue };
            let id = SessionId(u128::from_be_bytes(bytes));
            let session: Option<SessionRow> = self.get(&row(id))?;
            if session.is_some_and(|session| which(&session.value)) {
                self.end_session(id)?;
            }
        }
        Ok(())
    }

    /// Ends the sessions of a node that went away.
    pub fn end_sessions_of_node(&mut self, node: &str) -> Step {
        self.end_sessions(node, |_| true)
    }

    /// Ends the sessions that hang on a check that is critical or gone.
    pub fn end_sessions_of_check(&mut self, node: &str, check: &str) -> Step {
        self.end_sessions(node, |session| session.checks().any(|id| id == check))
    }
}
