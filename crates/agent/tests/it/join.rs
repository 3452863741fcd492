//! Who gets in, and who does not.

use std::time::{Duration, SystemTime};

use regrow_agent::door::{Reply, Request, ask};
use regrow_agent::folder::Folder;
use regrow_agent::{Agent, AgentError, AgentOptions, Start};
use regrow_pki::{Clock, JoinToken, Papers, Role, RootDigest, Secret};

use crate::world::{World, done, token};

fn text(error: Option<AgentError>) -> String {
    error.map(|error| error.to_string()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_in_once_as_what_it_says_and_nobody_else() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    let server = first.address();
    let good = token(first.folder().path(), Role::Server).await;
    let join = async |name: &str, token: JoinToken| {
        world.start(name, Start::Join { token, server: server.clone() }).await
    };
    // Another cluster's token: the server is not even told the secret.
    let foreign = JoinToken { root: RootDigest([7; 32]), ..good.clone() };
    let error = text(join("foreign", foreign).await.err());
    assert!(error.contains("join by way of") && !error.contains("not known here"), "{error}");
    let guessed = JoinToken { secret: Secret::new([0; 16]), ..good.clone() };
    let error = text(join("guessed", guessed).await.err());
    assert!(error.contains("the token is not known here"), "{error}");
    let error = text(join("bad name", good.clone()).await.err());
    assert!(error.contains("expected 1 to 63"), "{error}");
    let error = text(join("a", good.clone()).await.err());
    assert!(error.contains("another agent uses it"), "{error}");
    let second = join("b", good.clone()).await.expect("join");
    assert_eq!((second.number().get(), second.role()), (2, Role::Server));
    let error = text(join("c", good).await.err());
    assert!(error.contains("was used up"), "{error}");
    let revoked = token(first.folder().path(), Role::Worker).await;
    let id = revoked.id.to_string();
    done(first.folder().path(), Request::RevokeToken { id }).await;
    let error = text(join("d", revoked).await.err());
    assert!(error.contains("the token is not known here"), "{error}");
    let worker = world.join("e", &first, Role::Worker).await;
    assert_eq!(worker.role(), Role::Worker);
    // Names are given once.
    let again = token(first.folder().path(), Role::Worker).await;
    let mut options = world.options("f", Start::Join { token: again, server: server.clone() });
    options.name = "e".into();
    let error = text(Agent::start(options).await.err());
    assert!(error.contains("\"e\" is node"), "{error}");
    // A worker signs nothing.
    let request = Request::CreateToken { role: Role::Worker, ttl_seconds: None, uses: None };
    let error = text(ask(worker.folder().path(), &request).await.err());
    assert!(error.contains("no server"), "{error}");
    for agent in [worker, second, first] {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_as_who_it_was_and_joins_no_second_cluster() {
    let world = World::new();
    let error = text(world.start("a", Start::Resume).await.err());
    assert!(error.contains("--bootstrap"), "{error}");
    let first = world.bootstrap("a").await;
    let cluster = first.identity().cluster;
    first.stop().await;
    drop(first);
    let again = world.start("a", Start::Resume).await.expect("resume");
    assert_eq!(again.identity().cluster, cluster);
    let other = world.bootstrap("z").await;
    let foreign = token(other.folder().path(), Role::Server).await;
    again.stop().await;
    drop(again);
    let start = Start::Join { token: foreign, server: other.address() };
    let error = text(world.start("a", start).await.err());
    assert!(error.contains("belongs to cluster"), "{error}");
    let renamed =
        |named| AgentOptions { name: "b".into(), named, ..world.options("a", Start::Bootstrap) };
    let error = text(Agent::start(renamed(true)).await.err());
    assert!(error.contains("\"a\" already") && error.contains("asks for \"b\""), "{error}");
    // Founding again is going on, and a default name asks for nothing.
    let third = Agent::start(renamed(false)).await.expect("resume");
    assert_eq!(third.identity().name, "a");
    assert_eq!(third.identity().cluster, cluster);
    third.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_says_what_it_does_not_understand() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    let state = first.folder().path();
    let unknown = Request::Remove { node: "nobody".into() };
    let error = text(ask(state, &unknown).await.err());
    assert!(error.contains("\"nobody\" is not known"), "{error}");
    let demoted = Request::Demote { node: "a".into() };
    let error = text(ask(state, &demoted).await.err());
    assert!(error.contains("only server"), "{error}");
    let useless = Request::CreateToken { role: Role::Server, ttl_seconds: Some(0), uses: None };
    assert!(ask(state, &useless).await.is_err());
    let Reply::Status(status) = ask(state, &Request::Status).await.expect("status").reply else {
        panic!("no status");
    };
    assert_eq!((status.number, status.voters.as_slice()), (1, &[1][..]));
    assert_eq!(status.authority.as_deref(), Some("steady"));
    first.stop().await;
    drop(first);
    let error = text(ask(&world.folder("a"), &Request::Status).await.err());
    assert!(error.contains("is `regrow agent` running"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_whose_answer_was_lost_is_repeated_with_a_token_that_it_used_up() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    let once = token(first.folder().path(), Role::Server).await;
    let start = || Start::Join { token: once.clone(), server: first.address() };
    let joined = world.start("b", start()).await.expect("join");
    assert_eq!(joined.number().get(), 2);
    joined.stop().await;
    drop(joined);
    // What the folder held when the answer was on its way: the key alone.
    let folder = world.folder("b");
    let papers = std::fs::read_to_string(folder.join("papers.json")).expect("papers");
    let papers = Papers::from_record(&Secret::new(papers)).expect("papers");
    std::fs::remove_dir_all(&folder).expect("removed");
    drop(Folder::open(&folder).expect("folder"));
    let key = papers.credential.key().pem();
    std::fs::write(folder.join("joining.key"), key.expose()).expect("key");
    let again = world.start("b", start()).await.expect("join again");
    assert_eq!((again.number().get(), again.role()), (2, Role::Server));
    assert!(!folder.join("joining.key").exists());
    again.stop().await;
    drop(again);
    // Without that key it is somebody else.
    std::fs::remove_dir_all(&folder).expect("removed");
    let error = text(world.start("b", start()).await.err());
    assert!(error.contains("was used up"), "{error}");
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_whose_clock_is_a_day_off_reads_of_both_clocks() {
    let world = World::new();
    let first = world.bootstrap("a").await;
    let invite = token(first.folder().path(), Role::Worker).await;
    for (name, ahead) in [("behind", false), ("ahead", true)] {
        let start = Start::Join { token: invite.clone(), server: first.address() };
        let mut options = world.options(name, start);
        let days = Duration::from_secs(2 * 24 * 3_600);
        options.clock = Clock::new(move || {
            let now = SystemTime::now();
            if ahead { now + days } else { now - days }
        });
        let error = text(Agent::start(options).await.err());
        assert!(error.contains("join by way of"), "{error}");
        assert!(error.contains("and the clock here shows"), "{error}");
        assert!(error.contains("set the wrong one"), "{error}");
        assert!(!world.folder(name).join("node.json").exists());
    }
    first.stop().await;
}
