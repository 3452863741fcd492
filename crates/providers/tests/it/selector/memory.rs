//! What a selector remembers, and that others may change things meanwhile.

use std::time::Duration;

use regrow_plugin::Effect;
use regrow_plugin::spi::{Description, DestroyReason, Instance as _, Tags};
use regrow_providers::selector::Strategy as Way;
use regrow_providers::simulator::Fault;

use super::{Scene, choices, spec};

fn lists(scene: &Scene) -> u64 {
    scene.clouds.iter().map(|cloud| cloud.0.stats().list_calls).sum()
}

fn planted(scene: &Scene, cloud: usize, id: &str, value: &str) {
    let tags = Tags::from([("tag".to_owned(), value.to_owned())]);
    let description = Description { id: id.into(), tags, ..Default::default() };
    scene.clouds[cloud].0.plant(description).expect("plant");
}

#[tokio::test(start_paused = true)]
async fn many_calls_need_few_lists() {
    let scene = Scene::new(2);
    let spread = scene.selector(Way::Spread, choices(2));
    let mut made = Vec::new();
    for _ in 0..200 {
        made.push(spread.provision(&spec("")).await.expect("provision"));
    }
    assert_eq!(scene.counts(), [100, 100]);
    for id in &made {
        spread.label(id, &Tags::from([("a".to_owned(), "b".to_owned())])).await.expect("label");
    }
    for id in &made[..100] {
        spread.destroy(id, DestroyReason::Terminate).await.expect("destroy");
    }
    assert_eq!(scene.counts(), [50, 50]);
    assert_eq!(lists(&scene), 2, "one of each choice");
    // A process that starts anew learns them from the list that its caller asks for anyway.
    let spread = scene.selector(Way::Spread, choices(2));
    let tags = Tags::from([("a".to_owned(), "b".to_owned())]);
    spread.describe_instances(&tags, false).await.expect("list");
    for id in &made[100..] {
        spread.destroy(id, DestroyReason::Terminate).await.expect("destroy");
    }
    assert_eq!((scene.counts(), lists(&scene)), (vec![0, 0], 4));
}

#[tokio::test(start_paused = true)]
async fn spread_follows_what_others_make() {
    let scene = Scene::new(2);
    let spread = scene.selector(Way::Spread, choices(2));
    spread.provision(&spec("")).await.expect("provision");
    for number in 0..10 {
        planted(&scene, 1, &format!("other-{number}"), "x");
    }
    tokio::time::advance(Duration::from_secs(5)).await;
    for _ in 0..9 {
        spread.provision(&spec("")).await.expect("provision");
    }
    assert_eq!(scene.counts(), [10, 10]);
}

#[tokio::test]
async fn an_instance_that_others_moved_is_found() {
    let scene = Scene::new(2);
    let spread = scene.selector(Way::Spread, choices(2));
    planted(&scene, 0, "moved", "x");
    spread.describe_instances(&Tags::new(), false).await.expect("list");
    assert!(scene.clouds[0].0.kill(&"moved".into()));
    planted(&scene, 1, "moved", "y");
    spread.destroy(&"moved".into(), DestroyReason::Terminate).await.expect("destroy");
    assert_eq!(scene.counts(), [0, 0]);
    let fault = spread.destroy(&"moved".into(), DestroyReason::Terminate).await.expect_err("gone");
    assert!(fault.to_string().contains("not found in any choice"), "{fault}");
    assert_eq!(fault.effect(), Effect::Refused);
    // Gone from where it was, with nobody else having it.
    planted(&scene, 0, "gone", "x");
    spread.describe_instances(&Tags::new(), false).await.expect("list");
    assert!(scene.clouds[0].0.kill(&"gone".into()));
    let fault = spread.label(&"gone".into(), &Tags::new()).await.expect_err("gone");
    assert!(fault.to_string().contains("label instance gone: not found in any"), "{fault}");
}

#[tokio::test]
async fn a_refusal_of_the_owner_is_the_answer() {
    let scene = Scene::new(2);
    let spread = scene.selector(Way::Spread, choices(2));
    planted(&scene, 0, "stays", "x");
    spread.describe_instances(&Tags::new(), false).await.expect("list");
    scene.clouds[0].0.configure(|options| options.faults.destroy_fails = Fault::next(1));
    let fault = spread.destroy(&"stays".into(), DestroyReason::Terminate).await;
    let fault = fault.expect_err("refused").to_string();
    assert!(fault.starts_with("destroy instance through choice cloud0: "), "{fault}");
    spread.destroy(&"stays".into(), DestroyReason::Terminate).await.expect("now it does");
}

/// Lists of some instances can show one of two that have the same id: that must not decide.
#[tokio::test]
async fn lists_of_some_do_not_hide_that_an_id_is_there_twice() {
    let scene = Scene::new(2);
    let spread = scene.selector(Way::Spread, choices(2));
    planted(&scene, 0, "same", "x");
    planted(&scene, 1, "same", "y");
    for value in ["x", "y"] {
        let tags = Tags::from([("tag".to_owned(), value.to_owned())]);
        assert_eq!(spread.describe_instances(&tags, false).await.expect("list").len(), 1);
    }
    let fault = spread.destroy(&"same".into(), DestroyReason::Terminate).await.expect_err("which?");
    assert!(fault.to_string().contains("in the choices cloud0 and cloud1"), "{fault}");
    assert_eq!(scene.counts(), [1, 1]);
}

#[tokio::test]
async fn two_instances_of_one_id_are_not_taken_for_one() {
    let scene = Scene::new(2);
    planted(&scene, 0, "same", "x");
    planted(&scene, 1, "same", "y");
    let spread = scene.selector(Way::Spread, choices(2));
    for fault in [
        spread.describe_instances(&Tags::new(), false).await.map(drop).expect_err("list"),
        spread.destroy(&"same".into(), DestroyReason::Terminate).await.expect_err("destroy"),
    ] {
        let text = fault.to_string();
        assert!(text.contains("in the choices cloud0 and cloud1"), "{text}");
    }
    assert_eq!(scene.counts(), [1, 1]);
}
