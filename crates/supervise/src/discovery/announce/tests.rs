//! The announcer against an agent that misbehaves, and its decisions alone.

use super::body;
use super::*;
use crate::discovery::fake::{FakeAgent, Mood, PATIENCE};
use tokio::sync::mpsc::UnboundedReceiver;

const JOB: JobId = JobId(1);
const TTL: Duration = Duration::from_secs(20);
const CHECK: &str = "service:app-host1";

fn service() -> Arc<Service> {
    Arc::new(Service {
        id: "app-host1".into(),
        name: "app".into(),
        port: 8080,
        address: "10.0.0.7".parse().expect("address"),
        tags: vec!["a".into(), "b".into()],
        meta: Vec::new(),
        initial_status: None,
        enable_tag_override: false,
        deregister_critical_after: None,
    })
}

async fn started() -> (FakeAgent, Announcer, UnboundedReceiver<Input>) {
    let agent = FakeAgent::start().await;
    let (sender, receiver) = mpsc::unbounded_channel();
    let announcer = Announcer::start(agent.client(), sender);
    (agent, announcer, receiver)
}

async fn withdrawn(answers: &mut UnboundedReceiver<Input>) -> JobId {
    let answer = tokio::time::timeout(PATIENCE, answers.recv()).await.expect("an answer");
    match answer {
        Some(Input::Withdrawn { job }) => job,
        other => panic!("another answer: {other:?}"),
    }
}

#[test]
fn bodies_are_those_of_containerpilot() {
    let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    assert_eq!(
        text(body::registration(&service(), Duration::from_secs(10), Status::Passing)),
        r#"{"ID":"app-host1","Name":"app","Tags":["a","b"],"Port":8080,"Address":"10.0.0.7","Check":{"TTL":"10s","Status":"passing","Notes":"TTL for app set by containerpilot"},"Checks":null}"#
    );
    let more = Service {
        tags: Vec::new(),
        meta: vec![("version".into(), "7".into())],
        enable_tag_override: true,
        deregister_critical_after: Some("10m".into()),
        ..(*service()).clone()
    };
    assert_eq!(
        text(body::registration(&more, Duration::from_secs(10), Status::Critical)),
        r#"{"ID":"app-host1","Name":"app","Port":8080,"Address":"10.0.0.7","Meta":{"version":"7"},"EnableTagOverride":true,"Check":{"TTL":"10s","Status":"critical","Notes":"TTL for app set by containerpilot","DeregisterCriticalServiceAfter":"10m"},"Checks":null}"#
    );
    assert_eq!(text(body::update(Status::Passing, "ok")), r#"{"Status":"passing","Output":"ok"}"#);
    assert_eq!(body::update_path(&service()), "/v1/agent/check/update/service%3Aapp-host1");
}

#[tokio::test]
async fn a_service_is_registered_kept_and_withdrawn() {
    let (agent, mut announcer, mut answers) = started().await;
    announcer.announce(JOB, service(), TTL, Status::Passing);
    announcer.heartbeat(JOB, Status::Passing, "ok".into());
    let state = agent.until(|state| state.count("PUT /v1/agent/check/update/") == 1).await;
    assert_eq!(state.lines()[0], "PUT /v1/agent/service/register");
    announcer.heartbeat(JOB, Status::Warning, "busy".into());
    agent.until(|state| state.checks.get(CHECK) == Some(&("warning".into(), "busy".into()))).await;
    assert_eq!(agent.now().count("PUT /v1/agent/service/register"), 1);
    announcer.withdraw(JOB);
    assert_eq!(withdrawn(&mut answers).await, JOB);
    assert!(agent.now().services.is_empty());
}

/// Complaint 12 of the original's users: a failed check was only seen when the TTL was over.
#[tokio::test]
async fn a_failed_check_is_critical_at_once_with_its_output() {
    let (agent, mut announcer, _answers) = started().await;
    announcer.announce(JOB, service(), TTL, Status::Passing);
    announcer.heartbeat(JOB, Status::Critical, "no route to the disk".into());
    let told = Some(("critical".to_owned(), "no route to the disk".to_owned()));
    agent.until(|state| state.checks.get(CHECK) == told.as_ref()).await;
}

/// Complaint 8: a service was missing for ever after the agent had restarted without its state.
#[tokio::test]
async fn a_service_that_the_agent_forgot_is_registered_again() {
    let (agent, mut announcer, _answers) = started().await;
    announcer.announce(JOB, service(), TTL, Status::Passing);
    announcer.heartbeat(JOB, Status::Passing, "ok".into());
    agent.until(|state| state.count("PUT /v1/agent/check/update/") == 1).await;
    agent.forget();
    announcer.heartbeat(JOB, Status::Passing, "ok".into());
    agent.until(|state| state.status(CHECK) == Some("passing")).await;
    agent.until(|state| state.count("PUT /v1/agent/service/register") == 2).await;
}

/// Complaint 9: after maintenance the service never came back.
#[tokio::test]
async fn a_heartbeat_after_maintenance_announces_the_service_again() {
    let (agent, mut announcer, mut answers) = started().await;
    announcer.announce(JOB, service(), TTL, Status::Passing);
    agent.until(|state| state.services.len() == 1).await;
    announcer.withdraw(JOB);
    withdrawn(&mut answers).await;
    assert!(agent.now().services.is_empty());
    announcer.heartbeat(JOB, Status::Passing, "ok".into());
    agent.until(|state| state.status(CHECK) == Some("passing")).await;
}

/// Complaint 10: a silent agent held up the end for ever.
#[tokio::test]
async fn a_silent_agent_holds_up_the_end_for_a_second_at_most() {
    let moods = [Mood::Silent, Mood::Slow, Mood::Refusing(500)];
    futures::future::join_all(moods.map(ends_while)).await;
}

async fn ends_while(mood: Mood) {
    let (agent, mut announcer, mut answers) = started().await;
    // One call takes half of it at most.
    let ttl = Duration::from_secs(8);
    announcer.announce(JOB, service(), ttl, Status::Passing);
    agent.until(|state| state.services.len() == 1).await;
    agent.mood(mood);
    announcer.heartbeat(JOB, Status::Critical, "busy".into());
    agent.until(|state| state.count("PUT /v1/agent/check/update/") >= 1).await;
    let began = Instant::now();
    announcer.withdraw(JOB);
    // The agent is as it is until this came.
    assert_eq!(withdrawn(&mut answers).await, JOB);
    assert!(began.elapsed() >= WITHDRAWN_WITHIN, "{mood:?} answered after {:?}", began.elapsed());
    announcer.settle(Duration::from_millis(50)).await;
    // It is taken out all the same when the agent is well again.
    agent.mood(Mood::Well);
    announcer.settle(PATIENCE).await;
    assert!(agent.now().services.is_empty(), "{mood:?}");
}

#[tokio::test]
async fn a_silent_agent_costs_one_call_however_many_heartbeats_come() {
    let (agent, mut announcer, _answers) = started().await;
    agent.mood(Mood::Silent);
    announcer.announce(JOB, service(), Duration::from_secs(6), Status::Passing);
    agent.until(|state| state.calls.len() == 1).await;
    for beat in 0..10_000 {
        announcer.heartbeat(JOB, Status::Critical, format!("{beat}"));
        if beat % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(announcer.slots.len(), 1);
    agent.mood(Mood::Well);
    let last = Some(("critical".to_owned(), "9999".to_owned()));
    let state = agent.until(|state| state.checks.get(CHECK) == last.as_ref()).await;
    // Latest state wins: what was in between was never told.
    assert_eq!(state.count("PUT /v1/agent/check/update/"), 1, "{:?}", state.lines());
}

#[tokio::test]
async fn what_was_never_announced_is_withdrawn_at_once_without_a_call() {
    let (agent, mut announcer, mut answers) = started().await;
    announcer.heartbeat(JOB, Status::Passing, "ok".into());
    announcer.withdraw(JOB);
    assert_eq!(withdrawn(&mut answers).await, JOB);
    assert_eq!(agent.now().calls, []);
}

#[tokio::test]
async fn a_worker_that_follows_withdraws_what_the_dead_one_announced() {
    let (agent, mut announcer, mut answers) = started().await;
    agent.change(|state| {
        state.services.insert("app-host1".into(), serde_json::json!({}));
    });
    announcer.know(JOB, service(), TTL);
    announcer.withdraw(JOB);
    assert_eq!(withdrawn(&mut answers).await, JOB);
    assert!(agent.now().services.is_empty());
}

#[tokio::test]
async fn a_reload_that_gives_the_service_to_another_job_loses_nothing() {
    let (agent, mut announcer, mut answers) = started().await;
    announcer.announce(JOB, service(), TTL, Status::Passing);
    agent.until(|state| state.services.len() == 1).await;
    announcer.announce(JobId(2), service(), TTL, Status::Passing);
    announcer.withdraw(JOB);
    assert_eq!(withdrawn(&mut answers).await, JOB);
    announcer.heartbeat(JobId(2), Status::Passing, "new".into());
    let new = Some(("passing".to_owned(), "new".to_owned()));
    let state = agent.until(|state| state.checks.get(CHECK) == new.as_ref()).await;
    assert_eq!(state.count("PUT /v1/agent/service/deregister/"), 0);
}

#[tokio::test]
async fn what_changed_in_the_definition_is_registered_again() {
    let (agent, mut announcer, _answers) = started().await;
    announcer.announce(JOB, service(), TTL, Status::Passing);
    agent.until(|state| state.services.len() == 1).await;
    let moved = Service { address: "10.0.0.8".parse().expect("address"), ..(*service()).clone() };
    announcer.announce(JOB, Arc::new(moved), TTL, Status::Passing);
    agent.until(|state| state.services["app-host1"]["Address"] == "10.0.0.8").await;
}

mod decisions {
    //! Without an agent and without a clock that runs.

    use super::super::plan::{Outcome, Step, Told, Wanted};
    use super::*;
    use crate::discovery::CallError;

    fn wanted(now: Instant) -> Wanted {
        let (ttl, status) = (TTL, Status::Passing);
        Wanted {
            service: service(),
            ttl,
            present: true,
            status,
            output: "ok".into(),
            at: now,
            beat: 1,
            order: 1,
        }
    }

    fn refused(status: u16, body: &str) -> Outcome {
        Outcome::Failed(CallError::Refused { status, body: body.into() })
    }

    fn late() -> Outcome {
        Outcome::Failed(CallError::Late { address: "there".into(), within: TTL })
    }

    /// Registered, and the first heartbeat told.
    fn healthy(now: Instant) -> (Wanted, Told) {
        let (wanted, mut told) = (wanted(now), Told::new(false, now));
        for step in [Step::Register, Step::Update(1)] {
            assert_eq!(told.next(&wanted, now), step);
            told.took(step, &wanted, &Outcome::Done, now);
        }
        (wanted, told)
    }

    #[tokio::test]
    async fn what_the_agent_has_is_compared_every_minute_or_so() {
        let now = Instant::now();
        let (wanted, mut told) = healthy(now);
        assert!(matches!(told.next(&wanted, now), Step::Rest(Some(_))));
        let later = now + Duration::from_secs(76);
        assert_eq!(told.next(&wanted, later), Step::Compare);
        told.took(Step::Compare, &wanted, &Outcome::Done, later);
        assert!(matches!(told.next(&wanted, later), Step::Rest(Some(_))));
        let later = later + Duration::from_secs(76);
        told.took(Step::Compare, &wanted, &Outcome::Differs, later);
        assert_eq!(told.next(&wanted, later), Step::Register);
    }

    #[tokio::test]
    async fn each_way_to_say_that_a_check_is_unknown_registers_at_once_and_then_with_pauses() {
        for (status, body) in [
            (500, "CheckID \"service:app-host1\" does not have associated TTL"),
            (404, "Unknown check ID \"service:app-host1\". Ensure that the check ID is passed"),
            (404, ""),
        ] {
            let now = Instant::now();
            let (mut wanted, mut told) = healthy(now);
            wanted.beat = 2;
            let unknown = refused(status, body);
            told.took(Step::Update(2), &wanted, &unknown, now);
            assert_eq!(told.next(&wanted, now), Step::Register, "{body}");
            told.took(Step::Register, &wanted, &Outcome::Done, now);
            assert_eq!(told.next(&wanted, now), Step::Update(2));
            told.took(Step::Update(2), &wanted, &unknown, now);
            assert!(matches!(told.next(&wanted, now), Step::Rest(Some(until)) if until > now));
        }
    }

    #[tokio::test]
    async fn other_refusals_wait_longer_each_time_and_never_more_than_five_seconds() {
        let now = Instant::now();
        let (wanted, mut told) = (wanted(now), Told::new(false, now));
        let mut waits = Vec::new();
        for _ in 0..12 {
            told.took(Step::Register, &wanted, &refused(500, "no leader"), now);
            match told.next(&wanted, now) {
                Step::Rest(Some(until)) => waits.push(until - now),
                other => panic!("{other:?}"),
            }
        }
        assert!(waits[0] <= Duration::from_millis(200), "{waits:?}");
        assert!(waits[11] >= Duration::from_millis(2_500), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(5)), "{waits:?}");
    }

    #[tokio::test]
    async fn a_sign_of_life_is_not_told_when_it_is_older_than_it_would_be_believed() {
        let now = Instant::now();
        let (mut wanted, mut told) = healthy(now);
        wanted.beat = 2;
        assert!(!matches!(told.next(&wanted, now + TTL), Step::Update(_)));
        assert_eq!(wanted.status(now + TTL), Status::Critical);
        wanted.status = Status::Critical;
        assert_eq!(told.next(&wanted, now + TTL), Step::Update(2));
    }

    #[tokio::test]
    async fn a_registration_that_may_arrive_late_is_taken_out_twice() {
        let now = Instant::now();
        for outcome in [late(), Outcome::Abandoned] {
            let (mut wanted, mut told) = (wanted(now), Told::new(false, now));
            told.took(Step::Register, &wanted, &outcome, now);
            wanted.present = false;
            assert_eq!(told.next(&wanted, now), Step::Deregister, "{outcome:?}");
            assert!(!told.settled(&wanted, Step::Deregister));
            told.took(Step::Deregister, &wanted, &Outcome::Done, now);
            let step = told.next(&wanted, now);
            assert!(matches!(step, Step::Rest(Some(_))), "{step:?}");
            assert!(told.settled(&wanted, step));
            let later = now + Duration::from_secs(3);
            assert_eq!(told.next(&wanted, later), Step::Deregister);
            told.took(Step::Deregister, &wanted, &Outcome::Done, later);
            assert_eq!(told.next(&wanted, later), Step::Rest(None));
        }
    }

    #[tokio::test]
    async fn the_end_of_a_service_does_not_wait_for_a_pause() {
        let now = Instant::now();
        let (mut wanted, mut told) = healthy(now);
        wanted.beat = 2;
        for _ in 0..9 {
            told.took(Step::Update(2), &wanted, &late(), now);
        }
        assert!(matches!(told.next(&wanted, now), Step::Rest(Some(_))));
        wanted.present = false;
        assert_eq!(told.next(&wanted, now), Step::Deregister);
    }

    #[test]
    fn what_the_agent_shows_is_compared_in_every_part_that_is_ours() {
        let shown = |tags: &str, port: u16, meta: &str| {
            format!(
                r#"{{"ID":"app-host1","Service":"app","Tags":{tags},"Meta":{meta},"Port":{port},"Address":"10.0.0.7","Weights":{{"Passing":1}},"EnableTagOverride":false}}"#
            )
        };
        let same = |shown: &str| body::same(shown.as_bytes(), &service()).expect("JSON");
        assert!(same(&shown(r#"["a","b"]"#, 8080, "null")));
        assert!(same(&shown(r#"["a","b"]"#, 8080, "{}")));
        assert!(!same(&shown(r#"["a"]"#, 8080, "{}")));
        assert!(!same(&shown(r#"["a","b"]"#, 8081, "{}")));
        assert!(!same(&shown(r#"["a","b"]"#, 8080, r#"{"x":"y"}"#)));
        let free = Service { enable_tag_override: true, ..(*service()).clone() };
        let shown = shown(r#"["others"]"#, 8080, "{}").replace("false", "true");
        assert!(body::same(shown.as_bytes(), &free).expect("JSON"));
    }
}
