//! Watches against an agent that misbehaves, and their decisions alone.

use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::*;
use crate::config::Watched;
use crate::discovery::fake::{FakeAgent, Mood, PATIENCE};
use crate::event::Code;

/// Longer than any test: whoever polls at this pace sees nothing.
const NEVER: Duration = Duration::from_secs(3_600);
const PATH: &str = "/v1/health/service/db";

fn service(name: &str, tag: Option<&str>, interval: Duration) -> Watch {
    let what = Watched::Service { service: "db".into(), tag: tag.map(Into::into) };
    Watch { name: name.into(), what, interval, dc: None }
}

fn key(name: &str) -> Watch {
    let what = Watched::Key("app/the config".into());
    Watch { name: name.into(), what, interval: NEVER, dc: Some("eu 1".into()) }
}

fn instances(list: &[(&str, &str, &str)]) -> String {
    let entry = |(id, address, tags): &(&str, &str, &str)| {
        format!(
            r#"{{"Node":{{"Address":"10.9.9.9"}},"Service":{{"ID":"{id}","Address":"{address}","Port":5432,"Tags":[{tags}],"Meta":null}}}}"#
        )
    };
    format!("[{}]", list.iter().map(entry).collect::<Vec<_>>().join(","))
}

fn watching(agent: &FakeAgent, watches: &[Watch]) -> (Watching, UnboundedReceiver<Input>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Watching::start(&agent.client(), watches, &sender, |_, _| ()), receiver)
}

async fn event(events: &mut UnboundedReceiver<Input>) -> (Code, String) {
    let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("an event");
    match event {
        Some(Input::Published(event)) => (event.code, event.source.to_string()),
        other => panic!("something else: {other:?}"),
    }
}

async fn pair(events: &mut UnboundedReceiver<Input>) -> (Code, Code) {
    (event(events).await.0, event(events).await.0)
}

/// Complaint 13: a change was seen up to one interval late, and flaps in between never.
#[tokio::test]
async fn a_change_is_told_when_it_happens_not_when_the_interval_is_over() {
    let agent = FakeAgent::start().await;
    agent.say(PATH, 5, 200, &instances(&[("db-1", "10.0.0.1", "")]));
    let (_watching, mut events) = watching(&agent, &[service("db", None, NEVER)]);
    assert_eq!(event(&mut events).await, (Code::Changed, "watch.db".into()));
    assert_eq!(event(&mut events).await, (Code::Healthy, "watch.db".into()));
    agent.until(|state| state.count(&format!("GET {PATH}?passing=1&index=5&wait=60s")) == 1).await;
    agent.say(PATH, 6, 200, "[]");
    assert_eq!(pair(&mut events).await, (Code::Changed, Code::Unhealthy));
    agent.until(|state| state.count(&format!("GET {PATH}?passing=1&index=6&")) == 1).await;
    agent.say(PATH, 7, 200, &instances(&[("db-1", "10.0.0.1", "")]));
    assert_eq!(pair(&mut events).await, (Code::Changed, Code::Healthy));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_no_event() {
    let agent = FakeAgent::start().await;
    agent.say(PATH, 5, 200, "[]");
    let (_watching, mut events) = watching(&agent, &[service("db", None, NEVER)]);
    agent.until(|state| state.count("GET") == 2).await;
    assert!(events.try_recv().is_err());
    agent.say(PATH, 6, 200, &instances(&[("db-1", "10.0.0.1", "")]));
    assert_eq!(pair(&mut events).await, (Code::Changed, Code::Healthy));
}

#[tokio::test]
async fn two_watches_on_one_service_have_their_own_state() {
    let agent = FakeAgent::start().await;
    agent.say(PATH, 5, 200, &instances(&[("db-1", "10.0.0.1", "")]));
    let watches = [service("all", None, NEVER), service("primary", Some("pri mary"), NEVER)];
    let (_watching, mut events) = watching(&agent, &watches);
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(event(&mut events).await.1);
    }
    told.sort();
    assert_eq!(told, ["watch.all", "watch.all", "watch.primary", "watch.primary"]);
    agent.until(|state| state.count(&format!("GET {PATH}?passing=1&tag=pri%20mary")) >= 1).await;
}

#[tokio::test]
async fn what_was_seen_stays_while_the_agent_fails() {
    let moods = [Mood::Silent, Mood::Slow, Mood::Refusing(500)];
    futures::future::join_all(moods.map(stays_while)).await;
}

async fn stays_while(mood: Mood) {
    let agent = FakeAgent::start().await;
    // An agent that cannot hold questions, so that they fail one by one.
    agent.change(|state| state.holds = false);
    agent.say(PATH, 5, 200, &instances(&[("db-1", "10.0.0.1", "")]));
    let watch = service("db", None, Duration::from_millis(50));
    let (_watching, mut events) = watching(&agent, &[watch]);
    assert_eq!(pair(&mut events).await, (Code::Changed, Code::Healthy));
    agent.mood(mood);
    let asked = agent.now().count("GET");
    agent.until(|state| state.count("GET") > asked).await;
    agent.say(PATH, 6, 200, "[]");
    assert!(events.try_recv().is_err(), "{mood:?}");
    agent.mood(Mood::Well);
    assert_eq!(pair(&mut events).await, (Code::Changed, Code::Unhealthy));
}

#[tokio::test]
async fn an_agent_that_cannot_hold_questions_is_asked_at_the_pace_of_the_watch() {
    let agent = FakeAgent::start().await;
    agent.change(|state| state.holds = false);
    agent.say(PATH, 0, 200, "[]");
    let watch = service("db", None, Duration::from_millis(50));
    let (_watching, mut events) = watching(&agent, &[watch]);
    let state = agent.until(|state| state.count("GET") >= 3).await;
    assert!(state.lines().iter().all(|line| !line.contains("index=")), "{:?}", state.lines());
    agent.say(PATH, 0, 200, &instances(&[("db-1", "10.0.0.1", "")]));
    assert_eq!(pair(&mut events).await, (Code::Changed, Code::Healthy));
}

#[tokio::test]
async fn a_key_is_changed_on_each_write_healthy_while_it_is_there_and_unhealthy_when_it_is_gone() {
    const KEY: &str = "/v1/kv/app/the%20config";
    let agent = FakeAgent::start().await;
    agent.say(KEY, 3, 404, "");
    let (_watching, mut events) = watching(&agent, &[key("config")]);
    agent.until(|state| state.count(&format!("GET {KEY}?dc=eu%201&index=3")) == 1).await;
    assert!(events.try_recv().is_err());
    let value = |index| format!(r#"[{{"CreateIndex":4,"ModifyIndex":{index},"Value":"eA=="}}]"#);
    agent.say(KEY, 4, 200, &value(4));
    assert_eq!(event(&mut events).await, (Code::Changed, "watch.config".into()));
    assert_eq!(event(&mut events).await.0, Code::Healthy);
    agent.until(|state| state.count(&format!("GET {KEY}?dc=eu%201&index=4")) == 1).await;
    agent.say(KEY, 9, 200, &value(9));
    assert_eq!(pair(&mut events).await, (Code::Changed, Code::Healthy));
    agent.until(|state| state.count(&format!("GET {KEY}?dc=eu%201&index=9")) == 1).await;
    agent.say(KEY, 10, 404, "");
    assert_eq!(pair(&mut events).await, (Code::Changed, Code::Unhealthy));
}

#[tokio::test]
async fn the_gauge_shows_the_number_of_healthy_instances() {
    let agent = FakeAgent::start().await;
    let two = [("db-1", "10.0.0.1", ""), ("db-2", "10.0.0.2", "")];
    agent.say(PATH, 5, 200, &instances(&two));
    let (sender, _events) = mpsc::unbounded_channel();
    let (shown, mut told) = mpsc::unbounded_channel();
    let gauge = move |name: &str, count| {
        let _ = shown.send((name.to_owned(), count));
    };
    let watches = [service("db", None, NEVER)];
    let _watching = Watching::start(&agent.client(), &watches, &sender, gauge);
    let shown = tokio::time::timeout(PATIENCE, told.recv()).await.expect("in time");
    assert_eq!(shown, Some(("db".into(), 2)));
}

#[test]
fn the_question_is_that_of_containerpilot_when_it_is_not_held() {
    let watch = Watch { dc: Some("east".into()), ..service("db", Some("primary"), NEVER) };
    let path = |watch| question(&watch).expect("the catalog is asked").0;
    assert_eq!(path(watch), "/v1/health/service/db?dc=east&passing=1&tag=primary");
    assert_eq!(path(service("db", None, NEVER)), "/v1/health/service/db?passing=1");
}

#[test]
fn everything_that_makes_an_instance_another_one_is_a_change() {
    let seen = |body: &str| {
        let answer = crate::discovery::client::Answer {
            status: hyper::StatusCode::OK,
            index: None,
            body: body.to_owned().into(),
        };
        let (_, nothing) = question(&service("db", None, NEVER)).expect("the catalog is asked");
        nothing.next(&answer).expect("JSON")
    };
    let first = seen(&instances(&[("db-1", "10.0.0.1", ""), ("db-2", "10.0.0.2", "")]));
    // Another order is none.
    let turned = seen(&instances(&[("db-2", "10.0.0.2", ""), ("db-1", "10.0.0.1", "")]));
    assert_eq!(turned.events(&first), []);
    for changed in [
        instances(&[("db-1", "10.0.0.1", ""), ("db-3", "10.0.0.2", "")]),
        instances(&[("db-1", "10.0.0.1", ""), ("db-2", "10.0.0.3", "")]),
        instances(&[("db-1", "10.0.0.1", ""), ("db-2", "10.0.0.2", r#""primary""#)]),
        instances(&[("db-1", "10.0.0.1", ""), ("db-2", "10.0.0.2", "")])
            .replace("null", r#"{"a":"b"}"#),
        instances(&[("db-1", "10.0.0.1", ""), ("db-2", "10.0.0.2", "")]).replace("5432", "5433"),
        instances(&[("db-1", "10.0.0.1", ""), ("db-2", "", "")]),
    ] {
        assert_eq!(seen(&changed).events(&first), [Code::Changed, Code::Healthy], "{changed}");
    }
}

mod holding {
    use super::super::hold::Hold;
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(20);

    #[test]
    fn an_index_that_goes_back_asks_everything_again() {
        let mut hold = Hold::new(INTERVAL);
        assert_eq!(hold.question(), None);
        hold.answered(Some(90), Duration::ZERO);
        assert_eq!(hold.question(), Some((90, INTERVAL)));
        hold.answered(Some(7), INTERVAL);
        assert_eq!(hold.question(), None);
        hold.answered(Some(7), Duration::ZERO);
        assert_eq!(hold.question(), Some((7, INTERVAL)));
        hold.failed();
        assert_eq!(hold.question(), None);
    }

    #[test]
    fn an_agent_that_answers_at_once_all_the_time_is_asked_at_the_pace_of_the_watch() {
        let mut hold = Hold::new(INTERVAL);
        hold.answered(Some(90), Duration::ZERO);
        let pauses: Vec<_> = (0..8).map(|_| hold.answered(Some(90), Duration::ZERO)).collect();
        assert!(pauses[..4].iter().all(|pause| *pause <= Duration::from_millis(100)), "{pauses:?}");
        assert!(pauses[4..].iter().all(|pause| *pause == INTERVAL), "{pauses:?}");
        // One that brings news is asked again at once.
        assert!(hold.answered(Some(91), Duration::ZERO) <= Duration::from_millis(100));
    }

    #[test]
    fn a_question_is_held_between_ten_seconds_and_a_minute() {
        for (interval, held) in [(1, 10), (30, 30), (900, 60)] {
            let mut hold = Hold::new(Duration::from_secs(interval));
            hold.answered(Some(1), Duration::ZERO);
            assert_eq!(hold.question(), Some((1, Duration::from_secs(held))));
        }
    }
}
