//! What the machine refuses, repeats, and stops at.

use std::sync::Arc;

use regrow_consensus::tables::Flush;
use regrow_consensus::{
    Consistency, LocalReplica, Machines, ProposeError, Replica, Scoped, Tables,
};
use regrow_pki::{ClusterId, JoinToken, RootDigest, secret_hash};

use crate::nodes::{Nodes, NodesError, SCOPE};

use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The machine alone in memory.
struct World {
    replica: Arc<dyn Replica>,
    nodes: Nodes,
}

impl World {
    /// A cluster of these nodes; the first is the founder.
    async fn of(roles: &[Role]) -> Result<Self, Box<dyn std::error::Error>> {
        let machines = Machines::new().with(SCOPE, Arc::new(Machine::default()))?;
        let replica: Arc<dyn Replica> =
            Arc::new(Scoped::new(LocalReplica::start(machines)?, SCOPE));
        let world = Self { nodes: Nodes::new(replica.clone()), replica };
        let id = ClusterId::random();
        let cluster = ClusterRecord { id, founded_ms: 0, authority: Vec::new(), edition: 1 };
        let (name, address) = ("node-1".to_owned(), "10.0.0.1:7400".to_owned());
        world.nodes.change(&Command::Found { cluster, name, address }).await?;
        for (role, number) in roles.iter().skip(1).zip(2..) {
            let token = world.token(*role, 1).await?;
            world.admit(&token, number, &format!("node-{number}")).await?;
        }
        Ok(world)
    }

    async fn token(&self, role: Role, uses: u32) -> Result<JoinToken, NodesError> {
        let token = JoinToken::new(RootDigest([7; 32]), role);
        let begin = SystemTime::UNIX_EPOCH;
        let record = TokenRecord::new(&token, begin, Duration::from_secs(10), uses);
        self.nodes.change(&Command::PutToken(record)).await?;
        Ok(token)
    }

    async fn admit(&self, token: &JoinToken, key: u8, name: &str) -> Result<Reply, NodesError> {
        self.admit_at(token, key, name, 1).await
    }

    async fn admit_at(
        &self,
        token: &JoinToken,
        key: u8,
        name: &str,
        now_ms: u64,
    ) -> Result<Reply, NodesError> {
        let address = format!("10.0.0.{key}:7400");
        let (hash, key) = (secret_hash(&token.secret), [key; 32]);
        let (token, name) = (token.id, name.to_owned());
        let command = Command::AdmitKey { token, hash, key, name, address, now_ms };
        self.nodes.change(&command).await
    }

    async fn removed(&self) -> Result<Vec<bool>, NodesError> {
        let nodes = self.nodes.list(Consistency::Stale).await?;
        Ok(nodes.iter().map(|node| node.removed).collect())
    }
}

fn number(number: u64) -> NodeNumber {
    NodeNumber::new(number)
}

fn refused(result: Result<Reply, NodesError>) -> Option<Refusal> {
    match result {
        Err(NodesError::Refused(refusal)) => Some(refusal),
        _ => None,
    }
}

#[tokio::test]
async fn the_last_server_is_neither_removed_nor_made_a_worker() -> Outcome {
    let world = World::of(&[Role::Server, Role::Server, Role::Worker]).await?;
    let nodes = &world.nodes;
    nodes.change(&Command::Remove { number: number(2) }).await?;
    let last = Some(Refusal::LastServer(number(1)));
    let remove = Command::Remove { number: number(1) };
    let demote = Command::SetRole { number: number(1), role: Role::Worker };
    assert_eq!(refused(nodes.change(&remove).await), last);
    assert_eq!(refused(nodes.change(&demote).await), last);
    assert_eq!(world.removed().await?, [false, true, false]);
    // Once there is another, it may go.
    nodes.change(&Command::SetRole { number: number(3), role: Role::Server }).await?;
    nodes.change(&demote).await?;
    nodes.change(&remove).await?;
    assert_eq!(world.removed().await?, [true, true, false]);
    // A worker, and one that is removed already, are no servers to be missed.
    nodes.change(&remove).await?;
    Ok(())
}

#[tokio::test]
async fn a_restored_backup_removes_every_server_there_was() -> Outcome {
    let world = World::of(&[Role::Server, Role::Worker]).await?;
    let (name, address) = ("new".to_owned(), "10.0.0.3:7400".to_owned());
    world.nodes.change(&Command::Restored { number: number(3), name, address }).await?;
    assert_eq!(world.removed().await?, [true, true, false]);
    Ok(())
}

#[tokio::test]
async fn who_asks_again_with_its_key_gets_its_number_and_spends_nothing() -> Outcome {
    let world = World::of(&[Role::Server]).await?;
    let token = world.token(Role::Worker, 1).await?;
    let admitted = Reply::Admitted { number: number(2), role: Role::Worker };
    assert_eq!(world.admit(&token, 2, "w").await?, admitted);
    assert_eq!(world.admit(&token, 2, "w").await?, admitted);
    let tokens = world.nodes.tokens(Consistency::Stale).await?;
    assert_eq!(tokens.iter().map(|token| token.uses_left).collect::<Vec<_>>(), [0]);
    // Another key, another name, another token: another node.
    let used = Some(Refusal::Token(TokenFault::Used));
    assert_eq!(refused(world.admit(&token, 3, "w").await), used);
    assert_eq!(refused(world.admit(&token, 2, "v").await), used);
    let other = world.token(Role::Worker, 2).await?;
    let taken = Refusal::Name { name: "w".into(), number: number(2) };
    assert_eq!(refused(world.admit(&other, 2, "w").await), Some(taken));
    assert_eq!(world.nodes.list(Consistency::Stale).await?.len(), 2);
    // Not for longer than the token lives, not without its secret, and not once it is removed.
    let expired = Some(Refusal::Token(TokenFault::Expired));
    assert_eq!(refused(world.admit_at(&token, 2, "w", 10_000).await), expired);
    let guessed = JoinToken { secret: regrow_pki::Secret::new([1; 16]), ..token.clone() };
    let unknown = Some(Refusal::Token(TokenFault::Unknown));
    assert_eq!(refused(world.admit(&guessed, 2, "w").await), unknown);
    world.nodes.change(&Command::Remove { number: number(2) }).await?;
    let removed = Some(Refusal::Removed(number(2)));
    assert_eq!(refused(world.admit(&token, 2, "w").await), removed);
    Ok(())
}

#[tokio::test]
async fn a_token_takes_with_it_who_joined_by_it() -> Outcome {
    let world = World::of(&[Role::Server]).await?;
    let (one, other) = (world.token(Role::Worker, 2).await?, world.token(Role::Worker, 2).await?);
    world.admit(&one, 2, "x").await?;
    world.admit(&other, 3, "y").await?;
    world.nodes.change(&Command::RevokeToken(one.id)).await?;
    let snapshot = world.replica.read(Consistency::Stale).await?;
    assert_eq!(record::joined(snapshot.view(), &[2; 32])?, None);
    let left = record::joined(snapshot.view(), &[3; 32])?;
    assert_eq!(left.map(|joined| joined.number), Some(number(3)));
    let unknown = Some(Refusal::Token(TokenFault::Unknown));
    assert_eq!(refused(world.admit(&one, 2, "x").await), unknown);
    Ok(())
}

#[tokio::test]
async fn a_replica_stops_at_a_command_of_a_newer_program_and_refuses_what_is_none() -> Outcome {
    let world = World::of(&[Role::Server]).await?;
    let good = Command::Remove { number: number(9) }.encode()?;
    let mut version = good.clone();
    version[0] += 1;
    let kind = vec![good[0], 13, 0, 0];
    for newer in [version, kind, vec![good[0], 200, 1]] {
        let stopped = world.replica.propose(newer.clone()).await;
        let Err(ProposeError::Halted { reason }) = stopped else {
            return Err(format!("{newer:?} gave {stopped:?}").into());
        };
        assert!(reason.contains("start the newer program"), "{reason}");
    }
    for none in [good[..1].to_vec(), [good.as_slice(), &[0]].concat(), Vec::new()] {
        let reply = Reply::decode(&world.replica.propose(none.clone()).await?.reply)?;
        assert!(matches!(reply, Err(Refusal::Command(_))), "{none:?} gave {reply:?}");
    }
    Ok(())
}

fn replace(of: u64, key: u8) -> Command {
    Command::Replace { number: number(of), key: [key; 32], address: "10.0.0.9:7400".into() }
}

fn given(by: u64, role: Role) -> Option<Reply> {
    Some(Reply::Admitted { number: number(by), role })
}

#[tokio::test]
async fn a_node_gets_another_number_once_and_keeps_the_old_one_until_it_is_heard() -> Outcome {
    let world = World::of(&[Role::Server, Role::Worker]).await?;
    let change = async |command: Command| world.nodes.change(&command).await;
    change(Command::SetDraining { number: number(2), draining: true }).await?;
    assert_eq!(change(replace(2, 7)).await.ok(), given(3, Role::Worker));
    // The answer was lost.
    assert_eq!(change(replace(2, 7)).await.ok(), given(3, Role::Worker));
    let other = Refusal::Replaced { number: number(2), by: number(3) };
    assert_eq!(refused(change(replace(2, 8)).await), Some(other));
    assert_eq!(world.removed().await?, [false; 3]);
    let nodes = world.nodes.list(Consistency::Stale).await?;
    let (old, new) = (&nodes[1], &nodes[2]);
    assert_eq!((&new.name, new.draining, new.trusts), (&old.name, true, 0));
    assert_eq!(new.address, "10.0.0.9:7400");
    let report = |of| Command::Report { number: number(of), address: "a:1".into(), trusts: 1 };
    // The word of another node, or of the old number, shows nothing.
    change(report(1)).await?;
    change(report(2)).await?;
    assert_eq!(world.removed().await?, [false; 3]);
    change(report(3)).await?;
    assert_eq!(world.removed().await?, [false, true, false]);
    assert_eq!(refused(change(replace(2, 7)).await), Some(Refusal::Removed(number(2))));
    assert_eq!(refused(change(replace(9, 7)).await), Some(Refusal::Unknown(number(9))));
    // It may happen to it again, and a number is never used twice.
    assert_eq!(change(replace(3, 9)).await.ok(), given(4, Role::Worker));
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_damaged_before_it_was_heard_leaves_no_number_behind() -> Outcome {
    let world = World::of(&[Role::Server, Role::Server]).await?;
    assert_eq!(world.nodes.change(&replace(2, 7)).await.ok(), given(3, Role::Server));
    assert_eq!(world.nodes.change(&replace(3, 8)).await.ok(), given(4, Role::Server));
    let report = Command::Report { number: number(4), address: "a:1".into(), trusts: 1 };
    world.nodes.change(&report).await?;
    assert_eq!(world.removed().await?, [false, true, true, false]);
    let view = world.replica.read(Consistency::Stale).await?;
    for of in [2, 3] {
        assert_eq!(record::replaced(view.view(), number(of))?, None);
    }
    Ok(())
}

#[test]
fn a_number_that_cannot_be_read_is_not_guessed() -> Outcome {
    let tables = Tables::memory()?;
    for next in [&u64::MAX.to_be_bytes()[..], &[7]] {
        let (taken, _) = tables.write(Flush::Later, |edit| {
            edit.put(b"next", next)?;
            Ok(take_number(edit))
        })?;
        let damaged = taken.map_err(|error| error.to_string());
        assert!(damaged.is_err_and(|error| error.starts_with("read the next node number: ")));
    }
    Ok(())
}
