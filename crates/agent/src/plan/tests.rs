//! Who gets a vote, who loses it, in which order.

use regrow_consensus::Time;

use super::*;

fn seen(number: u64, role: Role) -> Seen {
    let record = NodeRecord {
        number: NodeNumber::new(number),
        name: format!("node-{number}"),
        role,
        address: format!("10.0.0.{number}:7400"),
        alive: true,
        since: Time::default(),
        draining: false,
        removed: false,
        trusts: 1,
    };
    Seen { record, silent: Duration::ZERO, failures: 0 }
}

fn member(number: u64, voter: bool) -> MemberStatus {
    MemberStatus { node: number, address: format!("10.0.0.{number}:7400"), voter }
}

/// A cluster that does what the plan says.
struct World {
    nodes: Vec<Seen>,
    members: Vec<MemberStatus>,
    leader: u64,
    wishes: Wishes,
}

impl World {
    fn of(servers: u64, workers: u64) -> Self {
        let nodes = (1..=servers)
            .map(|number| seen(number, Role::Server))
            .chain((servers + 1..=servers + workers).map(|number| seen(number, Role::Worker)));
        let members = vec![member(1, true)];
        Self { nodes: nodes.collect(), members, leader: 1, wishes: Wishes::default() }
    }

    fn node(&mut self, number: u64) -> &mut Seen {
        let found = self.nodes.iter_mut().find(|seen| seen.record.number.get() == number);
        found.unwrap_or_else(|| panic!("node {number}"))
    }

    fn kill(&mut self, number: u64, silent: Duration) {
        let node = self.node(number);
        node.record.alive = false;
        node.silent = silent;
    }

    fn apply(&mut self, step: Step) {
        let change = match step {
            Step::Promote(number) => {
                self.node(number.get()).record.role = Role::Server;
                return;
            }
            Step::Members(change) => change,
        };
        match change {
            MemberChange::Add { node, address } => {
                self.members.retain(|member| member.node != node);
                self.members.push(MemberStatus { node, address, voter: false });
            }
            MemberChange::Promote { node } => self.vote(node, true),
            MemberChange::Demote { node } => {
                assert_ne!(node, self.leader, "the leader hands over first");
                self.vote(node, false);
            }
            MemberChange::Remove { node } => {
                assert_ne!(node, self.leader, "the leader hands over first");
                self.members.retain(|member| member.node != node);
            }
            MemberChange::Transfer { node } => self.leader = node,
        }
        assert!(!self.voters().is_empty());
    }

    fn vote(&mut self, node: u64, voter: bool) {
        let found = self.members.iter_mut().find(|member| member.node == node);
        let member = found.unwrap_or_else(|| panic!("node {node} is no member"));
        assert_ne!(member.voter, voter, "a step changes something");
        member.voter = voter;
    }

    fn voters(&self) -> Vec<u64> {
        let voters = self.members.iter().filter(|member| member.voter);
        let mut voters: Vec<_> = voters.map(|member| member.node).collect();
        voters.sort_unstable();
        voters
    }

    /// Steps until nothing is left to do; the fewest voters that there were.
    fn settle(&mut self) -> usize {
        let mut fewest = self.voters().len();
        for _ in 0..100 {
            let leader = NodeNumber::new(self.leader);
            let Some(step) = next(leader, &self.nodes, &self.members, self.wishes) else {
                return fewest;
            };
            self.apply(step);
            fewest = fewest.min(self.voters().len());
        }
        panic!("it never ends: {:?}", self.members);
    }
}

#[test]
fn the_first_three_servers_vote_and_everybody_is_a_member() {
    let mut world = World::of(4, 3);
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3]);
    assert_eq!(world.members.len(), 7);
}

#[test]
fn workers_get_no_vote_while_nobody_is_lost() {
    let mut world = World::of(1, 3);
    world.settle();
    assert_eq!(world.voters(), [1]);
}

#[test]
fn a_lost_server_is_replaced_after_its_time_by_a_worker() {
    let mut world = World::of(3, 1);
    world.settle();
    world.kill(2, Duration::from_secs(599));
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3]);
    world.kill(2, Duration::from_secs(600));
    assert_eq!(world.settle(), 3, "the replacement comes first");
    assert_eq!(world.voters(), [1, 3, 4]);
    assert_eq!(world.node(4).record.role, Role::Server);
}

#[test]
fn nobody_is_replaced_where_the_operator_does_not_want_it_or_nobody_is_left() {
    let mut world = World::of(3, 1);
    world.wishes.replace_after = None;
    world.settle();
    world.kill(2, Duration::from_secs(1_000_000));
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3]);
    let mut world = World::of(3, 0);
    world.settle();
    world.kill(2, Duration::from_secs(1_000_000));
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3], "a dead voter is better than fewer votes");
}

#[test]
fn a_drained_leader_hands_over_and_gives_its_vote_away() {
    let mut world = World::of(3, 1);
    world.settle();
    world.node(1).record.draining = true;
    world.settle();
    assert_eq!(world.voters(), [2, 3, 4]);
    assert_ne!(world.leader, 1);
}

#[test]
fn a_removed_leader_hands_over_and_goes() {
    let mut world = World::of(3, 0);
    world.settle();
    world.node(1).record.removed = true;
    world.settle();
    assert_eq!(world.voters(), [2, 3]);
    assert_eq!(world.members.len(), 2);
}

#[test]
fn a_demoted_server_loses_its_vote() {
    let mut world = World::of(3, 0);
    world.settle();
    world.node(2).record.role = Role::Worker;
    world.settle();
    assert_eq!(world.voters(), [1, 3]);
}

#[test]
fn a_node_that_moved_is_reached_at_its_new_address() {
    let mut world = World::of(2, 0);
    world.settle();
    world.node(2).record.address = "10.9.9.9:7400".into();
    world.settle();
    assert!(world.members.iter().any(|member| member.address == "10.9.9.9:7400"));
}

#[test]
fn a_removed_leader_that_nobody_can_follow_hides_nobody_elses_removal() {
    let mut world = World::of(1, 3);
    world.settle();
    world.node(1).record.removed = true;
    world.node(3).record.removed = true;
    world.settle();
    assert!(!world.members.iter().any(|member| member.node == 3), "{:?}", world.members);
    // Another server takes over as soon as there is one, also where one vote is wanted.
    world.wishes.voters = 1;
    world.node(2).record.role = Role::Server;
    world.settle();
    assert_eq!((world.leader, world.voters()), (2, vec![2]));
    assert_eq!(world.members.len(), 2);
}

#[test]
fn a_candidate_that_failed_goes_last_and_gets_its_turn_again() {
    let mut world = World::of(3, 2);
    world.settle();
    world.kill(2, Duration::from_secs(600));
    let step = |world: &World| {
        let step = next(NodeNumber::new(1), &world.nodes, &world.members, world.wishes);
        step.map(|step| step.node().get())
    };
    assert_eq!(step(&world), Some(4));
    world.node(4).failures = 1;
    assert_eq!(step(&world), Some(5));
    world.node(5).failures = 2;
    assert_eq!(step(&world), Some(4));
    world.settle();
    assert_eq!(world.voters(), [1, 3, 4]);
}

#[test]
fn a_worker_gets_no_vote_because_a_server_does_not_catch_up() {
    let mut world = World::of(2, 1);
    world.members.extend([member(2, false), member(3, false)]);
    world.node(2).failures = 9;
    let step = next(NodeNumber::new(1), &world.nodes, &world.members, world.wishes);
    assert_eq!(step, Some(Step::Members(MemberChange::Promote { node: 2 })));
}

#[test]
fn a_step_that_failed_lets_the_others_go_first() {
    let mut world = World::of(3, 1);
    world.settle();
    // It cannot be removed, for whatever reason; a newcomer and a replacement are not held up.
    world.node(4).record.removed = true;
    world.node(4).failures = 1;
    world.nodes.push(seen(5, Role::Server));
    let step = |world: &World| {
        next(NodeNumber::new(1), &world.nodes, &world.members, world.wishes).map(|s| s.node().get())
    };
    assert_eq!(step(&world), Some(5));
    world.members.push(member(5, false));
    world.kill(2, Duration::from_secs(600));
    assert_eq!(step(&world), Some(5));
    world.settle();
    assert_eq!((world.voters(), world.members.len()), (vec![1, 3, 5], 4));
}

#[test]
fn every_order_of_losses_settles_with_a_vote() {
    // Each node alive, dead, draining or removed, in all combinations of four nodes.
    for states in 0..256_u32 {
        let mut world = World::of(3, 1);
        world.settle();
        for number in 2..=4_u32 {
            match (states >> (2 * (number - 1))) & 3 {
                1 => world.kill(u64::from(number), Duration::from_secs(1_000)),
                2 => world.node(u64::from(number)).record.draining = true,
                3 => world.node(u64::from(number)).record.removed = true,
                _ => {}
            }
        }
        world.settle();
        assert!(world.voters().contains(&1) || world.leader != 1, "{states:b}");
    }
}
