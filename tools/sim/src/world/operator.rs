//! The operator: changes the members, one step after the other, each until it is done.

use std::collections::VecDeque;

use regrow_consensus::group::MemberChange;

use super::clients::{Outcome, Reply, Request, Wish};

/// How long it waits for an answer, in microseconds.
const PATIENCE: u64 = 12_000_000;
/// How long it waits before it tries again.
const AGAIN: u64 = 500_000;
/// Tries after which it gives a step up while faults go on.
const TRIES: u64 = 40;

/// The operator and what is left to do.
pub struct Operator {
    /// Its number among the clients.
    pub number: u64,
    /// Steps that are left.
    pub plan: VecDeque<MemberChange>,
    requests: u64,
    tries: u64,
    open: Option<(u64, u64)>,
    next: u64,
}

impl Operator {
    /// Nothing to do yet.
    pub fn new(number: u64) -> Self {
        Self { number, plan: VecDeque::new(), requests: 0, tries: 0, open: None, next: 0 }
    }

    /// What is due at `now`.
    pub fn step(&mut self, now: u64) -> Option<Request> {
        if let Some((_, gives_up)) = self.open {
            if now >= gives_up {
                self.lost(now);
            }
            return None;
        }
        let change = self.plan.front().filter(|_| now >= self.next)?.clone();
        self.requests += 1;
        let id = (self.number << 40) | self.requests;
        self.open = Some((id, now + PATIENCE));
        Some(Request { id, wish: Wish::Members(change) })
    }

    /// No answer will come.
    pub fn lost(&mut self, now: u64) {
        self.open = None;
        self.tries += 1;
        self.next = now + AGAIN;
        if self.tries > TRIES {
            self.done();
        }
    }

    fn done(&mut self) -> Option<MemberChange> {
        self.tries = 0;
        self.plan.pop_front()
    }

    /// An answer came; the step that it ended, if it did.
    pub fn hear(&mut self, now: u64, reply: &Reply) -> Option<MemberChange> {
        self.open.take_if(|(id, _)| *id == reply.id)?;
        if matches!(reply.told, Outcome::Done(..)) {
            self.next = now;
            return self.done();
        }
        self.lost(now);
        None
    }
}
