//! Elections: one leader, in the order of arrival, under a fence that only grows.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;

use crate::Consistency;
use crate::conformance::bench::{Bench, Checked, Failed, ensure, same, soon, text};
use crate::conformance::checks;
use crate::election::{Candidacy, Election, Leading, Standing};
use crate::error::CoordError;
use crate::key::Prefix;
use crate::txn::{Txn, Write};

checks![
    the_first_candidate_leads,
    candidates_lead_in_the_order_in_which_they_came,
    the_fence_grows_over_twenty_elections,
    resigning_hands_over,
    dropping_hands_over,
    a_leader_whose_lease_is_revoked_loses,
    a_leader_whose_key_is_removed_loses,
    the_guard_of_an_old_leader_does_not_hold,
    a_candidate_that_leaves_is_passed_over,
    a_leader_says_something_of_itself,
    nobody_leads_an_election_without_candidates,
    elections_do_not_meet,
    the_name_of_an_election_is_checked,
    observers_see_who_leads,
    a_candidacy_leads_again_after_a_loss,
];

impl Bench {
    fn election(&self, client: &std::sync::Arc<dyn crate::Coordinator>) -> Checked<Election> {
        Ok(Election::new(client.clone(), &self.name)?)
    }

    fn candidates(&self) -> Checked<Prefix> {
        Ok(Prefix::new(format!("elections/{}/", self.name))?)
    }

    /// Long enough that a busy machine does not lose it, short enough to be waited for.
    fn term(&self) -> Duration {
        self.ttl().max(Duration::from_secs(10))
    }

    async fn lead(&self, value: &str) -> Checked<Leading> {
        let election = self.election(&self.a)?;
        let campaign = election.campaign(value.to_owned(), self.term());
        Ok(soon("it leads", campaign).await??)
    }
}

async fn the_first_candidate_leads(bench: Bench) -> Checked {
    let leading = bench.lead("me").await?;
    same("holds", leading.holds(), true)?;
    let leader = bench.election(&bench.b)?.leader(Consistency::Linearizable).await?;
    let leader = leader.ok_or_else(|| Failed("nobody leads".into()))?;
    same("value", leader.value, Bytes::from("me"))?;
    same("fence", leader.fence, leading.fence())?;
    Ok(leading.resign().await?)
}

async fn candidates_lead_in_the_order_in_which_they_came(bench: Bench) -> Checked {
    let (candidates, term) = (bench.candidates()?, bench.term());
    let mut order = Vec::new();
    let first = bench.lead("0").await?;
    let (sender, mut turns) = tokio::sync::mpsc::unbounded_channel();
    for number in 1..4_usize {
        let election =
            bench.election(if number.is_multiple_of(2) { &bench.a } else { &bench.b })?;
        let sender = sender.clone();
        tokio::spawn(async move {
            let led = election.campaign(text(number), term).await;
            // A turn lasts until it was written down.
            sender.send((number, led)).ok();
        });
        bench.until_count(&candidates, number + 1).await?;
    }
    let mut fence = first.fence();
    first.resign().await?;
    for _ in 1..4 {
        let turn = soon("the next one leads", turns.recv()).await?;
        let (number, led) = turn.ok_or_else(|| Failed("nobody left".into()))?;
        let leading = led?;
        ensure(leading.fence() > fence, || format!("{} after {fence}", leading.fence()))?;
        fence = leading.fence();
        order.push(number);
        leading.resign().await?;
    }
    same("order", order, vec![1, 2, 3])
}

async fn the_fence_grows_over_twenty_elections(bench: Bench) -> Checked {
    let mut last = None;
    for number in 0..20 {
        let leading = bench.lead(&text(number)).await?;
        let fence = Some(leading.fence());
        ensure(fence > last, || format!("{fence:?} after {last:?}"))?;
        last = fence;
        leading.resign().await?;
    }
    Ok(())
}

/// Campaigns until it wins, which it must not before the leader begins to go. It may before that one
/// knows that it has gone.
async fn turn(
    campaign: impl Future<Output = Result<Leading, CoordError>>,
    queued: impl Future<Output = Checked>,
    go: impl Future<Output = Checked>,
) -> Checked<Leading> {
    let mut campaign = pin!(campaign);
    tokio::select! {
        led = &mut campaign => {
            let won = led.map(|_| Failed("two lead at once".into()));
            return Err(won.unwrap_or_else(Failed::from));
        }
        queued = queued => queued?,
    }
    let (led, gone) = futures::join!(soon("the next one leads", campaign), go);
    gone?;
    Ok(led??)
}

async fn hand_over(
    bench: &Bench,
    end: impl AsyncFnOnce(Leading) -> Checked,
) -> Checked<(crate::Compare, Leading)> {
    let first = bench.lead("first").await?;
    let (guard, fence) = (first.guard(), first.fence());
    let election = bench.election(&bench.b)?;
    let candidates = bench.candidates()?;
    let queued = bench.until_count(&candidates, 2);
    let second = turn(election.campaign("second", bench.term()), queued, end(first)).await?;
    ensure(second.fence() > fence, || format!("{} after {fence}", second.fence()))?;
    Ok((guard, second))
}

async fn resigning_hands_over(bench: Bench) -> Checked {
    let (_, second) = hand_over(&bench, async |first| Ok(first.resign().await?)).await?;
    Ok(second.resign().await?)
}

async fn dropping_hands_over(bench: Bench) -> Checked {
    let dropped = hand_over(&bench, async |first| {
        drop(first);
        Ok(())
    });
    Ok(dropped.await?.1.resign().await?)
}

async fn a_leader_whose_lease_is_revoked_loses(bench: Bench) -> Checked {
    let leading = bench.lead("me").await?;
    let leader = bench.a.range(&crate::Query::of(bench.candidates()?)).await?;
    let lease = leader.entries.first().and_then(|entry| entry.lease);
    bench.b.revoke(lease.ok_or_else(|| Failed("no lease".into()))?).await?;
    soon("the leader notices", leading.lost()).await?;
    same("holds", leading.holds(), false)
}

async fn a_leader_whose_key_is_removed_loses(bench: Bench) -> Checked {
    let leading = bench.lead("me").await?;
    bench.b.transact(&Txn::new().delete_prefix(bench.candidates()?)).await?;
    soon("the leader notices", leading.lost()).await?;
    same("holds", leading.holds(), false)
}

async fn the_guard_of_an_old_leader_does_not_hold(bench: Bench) -> Checked {
    let write = |value: &str| {
        let key = bench.key("guarded")?;
        Checked::Ok(Write::Put { key, value: value.to_owned().into(), lease: None })
    };
    let (old, second) = hand_over(&bench, async |first| {
        let txn = Txn::new().when(first.guard()).write(write("first")?);
        same("leader", bench.a.transact(&txn).await?.succeeded, true)?;
        Ok(first.resign().await?)
    })
    .await?;
    let stale = Txn::new().when(old).write(write("stale")?);
    same("old leader", bench.a.transact(&stale).await?.succeeded, false)?;
    let fresh = Txn::new().when(second.guard()).write(write("second")?);
    same("new leader", bench.b.transact(&fresh).await?.succeeded, true)?;
    same("value", bench.value("guarded").await?, Some(Bytes::from("second")))?;
    Ok(second.resign().await?)
}

async fn a_candidate_that_leaves_is_passed_over(bench: Bench) -> Checked {
    let first = bench.lead("first").await?;
    let candidates = bench.candidates()?;
    let leaving = tokio::spawn({
        let (election, term) = (bench.election(&bench.b)?, bench.term());
        async move { election.campaign("leaving", term).await.map(|_| ()) }
    });
    bench.until_count(&candidates, 2).await?;
    let election = bench.election(&bench.a)?;
    let queued = async {
        bench.until_count(&candidates, 3).await?;
        leaving.abort();
        bench.until_count(&candidates, 2).await
    };
    let go = async { Checked::Ok(first.resign().await?) };
    let third = turn(election.campaign("third", bench.term()), queued, go).await?;
    Ok(third.resign().await?)
}

async fn a_leader_says_something_of_itself(bench: Bench) -> Checked {
    let leading = bench.lead("one").await?;
    leading.proclaim("two").await?;
    let leader = bench.election(&bench.b)?.leader(Consistency::Linearizable).await?;
    same("said", leader.map(|leader| (leader.value, leader.fence)), {
        Some((Bytes::from("two"), leading.fence()))
    })?;
    bench.b.transact(&Txn::new().delete_prefix(bench.candidates()?)).await?;
    let late = leading.proclaim("three").await;
    ensure(late.is_err(), || "an old leader says something".into())
}

async fn nobody_leads_an_election_without_candidates(bench: Bench) -> Checked {
    same("leader", bench.election(&bench.a)?.leader(Consistency::Linearizable).await?, None)
}

async fn elections_do_not_meet(bench: Bench) -> Checked {
    let one = bench.lead("one").await?;
    let longer = Election::new(bench.b.clone(), &format!("{}0", bench.name))?;
    let other = soon("both lead", longer.campaign("other", bench.term())).await??;
    same("both", (one.holds(), other.holds()), (true, true))?;
    one.resign().await?;
    Ok(other.resign().await?)
}

async fn the_name_of_an_election_is_checked(bench: Bench) -> Checked {
    for name in ["", "a/b", "..", "a\n", &"n".repeat(600)] {
        let made = Election::new(bench.a.clone(), name);
        ensure(made.is_err(), || format!("{name:?} was taken"))?;
    }
    Ok(())
}

async fn observers_see_who_leads(bench: Bench) -> Checked {
    let mut seen = pin!(bench.election(&bench.b)?.observe());
    let mut until = async |expected: Option<&'static str>| -> Checked {
        let look = async {
            while let Some(leader) = seen.next().await {
                if leader.as_ref().map(|leader| &leader.value[..]) == expected.map(str::as_bytes) {
                    return Ok(());
                }
            }
            Err(Failed("the observation ended".into()))
        };
        soon("it is seen", look).await?
    };
    until(None).await?;
    let first = bench.lead("first").await?;
    until(Some("first")).await?;
    first.proclaim("changed").await?;
    until(Some("changed")).await?;
    first.resign().await?;
    until(None).await
}

async fn a_candidacy_leads_again_after_a_loss(bench: Bench) -> Checked {
    let candidacy = Candidacy::start(bench.election(&bench.a)?, "me", bench.term());
    let mut standing = candidacy.standing();
    let mut fences = Vec::new();
    for _ in 0..2 {
        let newest = fences.last().copied();
        let leads = |standing: &Standing| match standing {
            Standing::Leading { fence, .. } => Some(*fence) > newest,
            _ => false,
        };
        let led = soon("it leads", standing.wait_for(leads)).await?;
        match led.map(|standing| standing.clone()) {
            Ok(Standing::Leading { fence, .. }) => fences.push(fence),
            other => return Err(Failed(format!("the candidacy ended: {other:?}"))),
        }
        bench.b.transact(&Txn::new().delete_prefix(bench.candidates()?)).await?;
    }
    drop(candidacy);
    bench.until_count(&bench.candidates()?, 0).await
}
