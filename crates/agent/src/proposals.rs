//! Who may send which commands of the control group to be proposed.

use std::sync::Arc;

use regrow_consensus::Scope;
use regrow_consensus::wired::Admit;
use regrow_wire::{Caller, CallerKind};

/// A scope to which workers may send commands, and whether this program knows the version of a
/// command of that scope. One that it does not know is refused: in the log it would stop every
/// replica, and a worker may run a newer program than the servers.
pub type WorkerScope = (Scope, fn(&[u8]) -> bool);

/// Servers may send anything, workers what these scopes take.
pub(crate) fn by_caller(scopes: Vec<WorkerScope>) -> Admit {
    Arc::new(move |caller: &Caller, _, command: &[u8]| {
        caller.kind() == CallerKind::Server || takes(&scopes, command)
    })
}

fn takes(scopes: &[WorkerScope], command: &[u8]) -> bool {
    let Some((scope, command)) = command.split_first() else { return false };
    scopes.iter().any(|(allowed, known)| allowed.byte() == *scope && known(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_sends_to_its_scopes_what_is_known_there() {
        let scope = Scope::new(2).expect("a scope");
        let scopes: [WorkerScope; 1] = [(scope, |command| command.first() == Some(&1))];
        assert!(takes(&scopes, &[2, 1, 7]));
        for refused in [&[2, 2, 7][..], &[2], &[3, 1, 7], &[]] {
            assert!(!takes(&scopes, refused), "{refused:?}");
        }
    }
}
