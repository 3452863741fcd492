//! Clients with sessions: each makes one, keeps it alive for a while, takes locks and acts under their
//! fences, then falls silent for longer than the session lives, and acts once more as if it did not know.

use super::clients::{Outcome, Reply, Request, Wish};
use super::machine::{Told, What};
use crate::judges::session::{End, Renewal, Session};
use crate::seed::Random;

/// Time to live of sessions, in milliseconds.
pub const TTL: u64 = 3_000;

/// What it waits for.
enum Open {
    Renew,
    Lock,
    Intent,
}

/// A client with sessions.
pub struct Holder {
    /// Its number.
    pub number: u64,
    random: Random,
    requests: u64,
    open: Option<(u64, Open, u64)>,
    next: u64,
    /// Sessions that it had, and the one that it has, by number.
    sessions: Vec<(u64, Session)>,
    /// Renewals that are left before it falls silent.
    left: u64,
    lock: u64,
    fence: Option<u64>,
}

impl Holder {
    /// A client without a session.
    pub fn new(number: u64, random: Random) -> Self {
        Self {
            number,
            random,
            requests: 0,
            open: None,
            next: 0,
            sessions: Vec::new(),
            left: 0,
            lock: 0,
            fence: None,
        }
    }

    /// Its sessions with their ends as the world saw them.
    pub fn sessions(&self, ended: impl Fn(u64) -> Option<u64>, now: u64) -> Vec<Session> {
        let end = |number| ended(number).map_or(End::StillThere(now), End::Expired);
        self.sessions
            .iter()
            .map(|(number, session)| Session { end: end(*number), ..session.clone() })
            .collect()
    }

    /// Does what is due at `now`: a request to send, if any. Asks nothing new once `closing`.
    pub fn step(&mut self, now: u64, closing: bool) -> Option<Request> {
        if let Some((_, _, gives_up)) = self.open {
            if now >= gives_up {
                self.lost(now);
            }
            return None;
        }
        if closing || now < self.next {
            return None;
        }
        let (open, what) = self.draw(now);
        self.requests += 1;
        let id = (self.number << 40) | self.requests;
        self.open = Some((id, open, now + 2_000_000));
        Some(Request { id, wish: Wish::Do(what) })
    }

    fn draw(&mut self, now: u64) -> (Open, What) {
        if self.left == 0 {
            return self.begin(now);
        }
        let session = self.sessions.last().map_or(0, |(number, _)| *number);
        match self.random.below(4) {
            0 | 1 => self.renew(now, session),
            2 if self.fence.is_none() => {
                self.lock = self.random.below(2);
                (Open::Lock, What::Lock { lock: self.lock, session })
            }
            _ => match self.fence {
                Some(fence) => (Open::Intent, What::Intent { lock: self.lock, fence }),
                None => self.renew(now, session),
            },
        }
    }

    /// Another session; before it, an act under the fence of the last one.
    fn begin(&mut self, now: u64) -> (Open, What) {
        if let Some(fence) = self.fence.take() {
            return (Open::Intent, What::Intent { lock: self.lock, fence });
        }
        self.left = self.random.between(2, 12);
        let number = (self.number << 20) | (self.sessions.len() as u64 + 1);
        let renewals = vec![Renewal { invoked: now, acked: None }];
        let name = format!("session-{number}");
        let session = Session { name, ttl: TTL * 1_000, renewals, end: End::OnRequest };
        self.sessions.push((number, session));
        (Open::Renew, What::Renew { session: number, ttl: TTL, create: true })
    }

    fn renew(&mut self, now: u64, session: u64) -> (Open, What) {
        self.left -= 1;
        if let Some((_, known)) = self.sessions.last_mut() {
            known.renewals.push(Renewal { invoked: now, acked: None });
        }
        (Open::Renew, What::Renew { session, ttl: TTL, create: false })
    }

    fn rest(&mut self, now: u64) {
        let silent = self.left == 0;
        let (least, most) = if silent { (2_000_000, 8_000_000) } else { (50_000, 900_000) };
        self.next = now + self.random.between(least, most);
    }

    /// No answer will come.
    pub fn lost(&mut self, now: u64) {
        self.open = None;
        self.rest(now);
    }

    /// An answer came.
    pub fn hear(&mut self, now: u64, reply: &Reply) {
        let Some((_, open, _)) = self.open.take_if(|(id, ..)| *id == reply.id) else { return };
        match (open, &reply.told) {
            (Open::Renew, Outcome::Done(Told::Renewed(true), _)) => {
                let renewal =
                    self.sessions.last_mut().and_then(|(_, known)| known.renewals.last_mut());
                if let Some(renewal) = renewal {
                    renewal.acked = Some(now);
                }
            }
            (Open::Renew, Outcome::Done(Told::Granted(given), _)) => {
                if let Some((number, known)) = self.sessions.last_mut() {
                    *number = *given;
                    known.name = format!("lease-{given}");
                    known.renewals.iter_mut().for_each(|renewal| renewal.acked = Some(now));
                }
            }
            (Open::Renew, Outcome::Done(Told::Renewed(false), _)) => self.left = 0,
            (Open::Lock, Outcome::Done(Told::Locked(fence), _)) => self.fence = *fence,
            // A fence that was refused is of no use any more.
            (Open::Intent, Outcome::Done(Told::Intended(false), _)) => self.fence = None,
            _ => {}
        }
        self.rest(now);
    }
}
