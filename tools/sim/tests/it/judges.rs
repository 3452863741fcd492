//! The judges beside linearizability: each violation is found, and what is right passes.

use sim::judges::ack::{self, AckViolation, Writes};
use sim::judges::fence::{self, Act, FenceViolation};
use sim::judges::session::{self, End, Renewal, Session, SessionViolation};
use sim::judges::watch::{self, Committed, Delivery, Stream, WatchViolation};

/// Revisions 1, 2, 4 and 5; revision 4 changes two keys.
fn log() -> Vec<Committed<&'static str>> {
    [(1, vec!["a1"]), (2, vec!["b1"]), (4, vec!["a2", "b2"]), (5, vec!["a3"])]
        .map(|(revision, changes)| Committed { revision, changes })
        .to_vec()
}

fn watched(
    from: u64,
    came: &[(u64, &'static str)],
    complete_to: Option<u64>,
) -> Stream<&'static str> {
    let deliveries = came
        .iter()
        .map(|(revision, change)| Delivery::Change { revision: *revision, change: *change });
    Stream { from, deliveries: deliveries.collect(), complete_to }
}

fn judge_watch(stream: &Stream<&'static str>) -> Result<(), WatchViolation<&'static str>> {
    watch::check(&log(), |change| change.starts_with('a'), stream)
}

#[test]
fn a_watch_gets_everything_once_and_in_order() {
    let all = [(1, "a1"), (4, "a2"), (5, "a3")];
    assert_eq!(judge_watch(&watched(0, &all, Some(5))), Ok(()));
    assert_eq!(
        judge_watch(&watched(2, &all[1..], Some(9))),
        Ok(()),
        "from the middle, to beyond the end"
    );
    assert_eq!(judge_watch(&watched(0, &all[..1], Some(3))), Ok(()), "more may come later");
    assert_eq!(judge_watch(&watched(0, &all[..1], None)), Ok(()), "cut off");
    assert_eq!(judge_watch(&watched(9, &[], Some(9))), Ok(()), "a future revision");
    let everything = watched(4, &[(4, "a2"), (4, "b2"), (5, "a3")], Some(5));
    assert_eq!(watch::check(&log(), |_| true, &everything), Ok(()), "all changes of one revision");
}

#[test]
fn each_fault_of_a_watch_is_named() {
    let unexpected = |stream: &Stream<_>| match judge_watch(stream) {
        Err(WatchViolation::Unexpected { position, owed, .. }) => (position, owed),
        other => panic!("{other:?}"),
    };
    let missing = WatchViolation::Missing { revision: 5, change: "a3" };
    assert_eq!(judge_watch(&watched(0, &[(1, "a1"), (4, "a2")], Some(5))), Err(missing));
    assert_eq!(
        unexpected(&watched(0, &[(1, "a1"), (5, "a3")], None)),
        (1, Some((4, "a2"))),
        "a gap"
    );
    assert_eq!(
        unexpected(&watched(0, &[(1, "a1"), (1, "a1")], None)),
        (1, Some((4, "a2"))),
        "doubled"
    );
    assert_eq!(
        unexpected(&watched(0, &[(4, "a2"), (1, "a1")], None)),
        (0, Some((1, "a1"))),
        "out of order"
    );
    assert_eq!(unexpected(&watched(0, &[(2, "a1")], None)), (0, Some((1, "a1"))), "wrong revision");
    assert_eq!(
        unexpected(&watched(5, &[(5, "a3"), (6, "a9")], None)),
        (1, None),
        "never committed"
    );
    let past = WatchViolation::FromThePast { position: 0, revision: 1, from: 4 };
    assert_eq!(judge_watch(&watched(4, &[(1, "a1")], None)), Err(past));
    let mut reversed = log();
    reversed.reverse();
    let stream = watched(0, &[], None);
    assert_eq!(watch::check(&reversed, |_| true, &stream), Err(WatchViolation::LogOutOfOrder(4)));
}

#[test]
fn compaction_is_an_answer_only_where_it_took_something() {
    let compacted = |from, came: &[_], oldest| {
        let mut stream = watched(from, came, Some(5));
        stream.deliveries.push(Delivery::Compacted { oldest });
        stream
    };
    assert_eq!(judge_watch(&compacted(1, &[], 4)), Ok(()));
    assert_eq!(judge_watch(&compacted(1, &[(1, "a1")], 5)), Ok(()));
    let needless = WatchViolation::NeedlessCompaction { position: 0, oldest: 4 };
    assert_eq!(judge_watch(&compacted(4, &[], 4)), Err(needless));
    let mut goes_on = compacted(1, &[], 4);
    goes_on.deliveries.push(Delivery::Change { revision: 4, change: "a2" });
    assert_eq!(judge_watch(&goes_on), Err(WatchViolation::AfterCompaction(1)));
}

fn grant(fence: u64) -> Act {
    Act::Grant { lock: "l".to_owned(), fence }
}

fn intent(fence: u64) -> Act {
    Act::Intent { lock: "l".to_owned(), fence }
}

fn effect(resource: &str, fence: u64) -> Act {
    Act::Effect { resource: resource.to_owned(), lock: "l".to_owned(), fence }
}

#[test]
fn only_the_newest_fence_acts() {
    let lock = || "l".to_owned();
    let right = [
        grant(3),
        intent(3),
        effect("a", 3),
        grant(5),
        effect("b", 3),
        effect("a", 5),
        intent(5),
        effect("a", 5),
    ];
    assert_eq!(fence::check(&right), Ok(()));
    let cases = [
        (
            vec![grant(3), grant(3)],
            FenceViolation::GrantNotAbove { position: 1, lock: lock(), fence: 3, last: 3 },
        ),
        (
            vec![grant(3), effect("a", 4)],
            FenceViolation::NotGranted { position: 1, lock: lock(), fence: 4 },
        ),
        (vec![intent(1)], FenceViolation::NotGranted { position: 0, lock: lock(), fence: 1 }),
        (
            vec![grant(3), grant(5), intent(3)],
            FenceViolation::Superseded { position: 2, lock: lock(), fence: 3, newest: 5 },
        ),
        (
            vec![grant(3), grant(5), effect("a", 5), effect("a", 3)],
            FenceViolation::Fell { position: 3, resource: "a".to_owned(), fence: 3, highest: 5 },
        ),
    ];
    for (acts, violation) in cases {
        assert_eq!(fence::check(&acts), Err(violation));
    }
}

#[test]
fn sessions_end_neither_early_nor_late() {
    let session = |renewals: &[(u64, Option<u64>)], end| Session {
        name: "s".to_owned(),
        ttl: 100,
        renewals: renewals
            .iter()
            .map(|(invoked, acked)| Renewal { invoked: *invoked, acked: *acked })
            .collect(),
        end,
    };
    let judge = |renewals: &[_], end| session::check(&session(renewals, end), 200, 10);
    let created = (0, Some(20));
    let early =
        |ended, earliest| Err(SessionViolation::Early { name: "s".to_owned(), ended, earliest });
    let late = |seen, latest| Err(SessionViolation::Late { name: "s".to_owned(), seen, latest });

    assert_eq!(judge(&[created], End::Expired(100)), Ok(()));
    assert_eq!(judge(&[created], End::Expired(99)), early(99, 100));
    assert_eq!(judge(&[created, (80, Some(90))], End::Expired(179)), early(179, 180));
    assert_eq!(
        judge(&[created, (80, None)], End::Expired(120)),
        Ok(()),
        "the renewal may never have arrived"
    );
    assert_eq!(
        judge(&[created, (80, Some(150))], End::Expired(120)),
        Ok(()),
        "acknowledged after the end"
    );
    assert_eq!(judge(&[created], End::Expired(230)), Ok(()));
    assert_eq!(judge(&[created], End::Expired(231)), late(231, 230));
    assert_eq!(judge(&[created], End::StillThere(231)), late(231, 230));
    assert_eq!(judge(&[created], End::StillThere(50)), Ok(()));
    assert_eq!(
        judge(&[created, (80, None)], End::Expired(290)),
        Ok(()),
        "the renewal may have arrived"
    );
    assert_eq!(judge(&[created], End::OnRequest), Ok(()));
}

#[test]
fn acknowledged_writes_are_there_once() {
    let writes = Writes { acknowledged: vec![3, 1, 2], unknown: vec![9] };
    assert_eq!(ack::check(&writes, &[1, 2, 3]), Ok(()));
    assert_eq!(ack::check(&writes, &[9, 3, 2, 1]), Ok(()));
    assert_eq!(ack::check(&writes, &[2]), Err(AckViolation::Lost { count: 2, first: vec![1, 3] }));
    assert_eq!(ack::check(&writes, &[1, 2, 3, 4]), Err(AckViolation::Phantom(4)));
    assert_eq!(ack::check(&writes, &[1, 2, 3, 3]), Err(AckViolation::Doubled(3)));
}
