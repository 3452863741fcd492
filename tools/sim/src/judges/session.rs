//! Sessions: none ends before its time to live is over, and none lives on for much longer.
//!
//! The server counts from the moment at which a renewal reaches it, which is between invocation and acknowledgement. So an
//! end is surely early if it comes before the invocation of the last acknowledged renewal plus the time to live; and
//! surely late if it comes after the last moment at which a renewal may have arrived, plus what is allowed.

/// One renewal. The creation of the session is the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// When it was sent, in microseconds.
    pub invoked: u64,
    /// When its success was known; none if that never came, so that it may have arrived or not.
    pub acked: Option<u64>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was ended on request; that may be at any time.
    OnRequest,
    /// The server ended it, at this time in microseconds.
    Expired(u64),
    /// It was still there when the run last looked, at this time in microseconds.
    StillThere(u64),
}

/// All that is known of one session. Times are microseconds since the start of the run, of one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub name: String,
    /// Its time to live.
    pub ttl: u64,
    /// Its renewals in the order of their invocations.
    pub renewals: Vec<Renewal>,
    /// Its end.
    pub end: End,
}

/// What is wrong with a session. Times are microseconds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionViolation {
    /// It ended too early.
    #[error("session {name} ended at {ended}, before {earliest}")]
    Early {
        /// The session.
        name: String,
        /// When it ended.
        ended: u64,
        /// The earliest time at which it could.
        earliest: u64,
    },
    /// It ended too late, or not at all.
    #[error("session {name} was there at {seen}, after {latest}")]
    Late {
        /// The session.
        name: String,
        /// When it was still there.
        seen: u64,
        /// The latest time at which it should have ended.
        latest: u64,
    },
}

/// Looks at one session. `late_percent` of the time to live may pass from the last renewal to the end: 200 for twice the
/// time to live. `grace` is added to that, for a renewal that travels and for the fail-over of a server, in microseconds.
///
/// # Errors
/// The violation.
pub fn check(session: &Session, late_percent: u64, grace: u64) -> Result<(), SessionViolation> {
    let seen = match session.end {
        End::OnRequest => return Ok(()),
        End::Expired(t) | End::StillThere(t) => t,
    };
    let began = |renewal: &&Renewal| renewal.invoked <= seen;
    let renewals = || session.renewals.iter().filter(began);
    // What was acknowledged only after the end arrived before it or not: it binds nobody.
    let acked = renewals().filter(|renewal| renewal.acked.is_some_and(|acked| acked <= seen));
    let earliest = acked.map(|renewal| renewal.invoked + session.ttl).max().unwrap_or(0);
    if matches!(session.end, End::Expired(_)) && seen < earliest {
        return Err(SessionViolation::Early { name: session.name.clone(), ended: seen, earliest });
    }
    let heard =
        renewals().map(|renewal| renewal.acked.unwrap_or(renewal.invoked)).max().unwrap_or(0);
    let latest = heard + session.ttl.saturating_mul(late_percent) / 100 + grace;
    if seen > latest {
        return Err(SessionViolation::Late { name: session.name.clone(), seen, latest });
    }
    Ok(())
}
