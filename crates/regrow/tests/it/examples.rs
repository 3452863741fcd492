//! Every example runs.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{World, repository, wait};

fn example(name: &str) -> String {
    repository(&format!("examples/infrakit/{name}")).display().to_string()
}

fn until_converged(world: &World, words: &[&str]) -> String {
    let common = ["--until", "converged", "--timeout", "150s", "--on-exit", "leave"];
    world.ok(&[&["up"], words, &common].concat())
}

/// Contents of the instance files.
fn files(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.path().join("files")).expect("files").flatten();
    let named =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("instance-"));
    named.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect()
}

#[test]
fn cattle_come_back_when_their_file_is_deleted() {
    let world = World::new();
    let mut up = world.spawn(&["up", &example("cattle.json"), "--on-exit", "destroy"]);
    up.says("cattle: converged, 3 of 3 alive");
    assert!(files(&world).iter().all(|file| file.contains("docker run -d -p 80:80 nginx:alpine")));
    let folder = world.path().join("files");
    let first = fs::read_dir(&folder).expect("files").flatten().map(|entry| entry.path());
    let first = { first }.find(|path| path.to_string_lossy().contains("instance-"));
    fs::remove_file(first.expect("an instance")).expect("delete");
    up.says("healed slot");
    assert_eq!(files(&world).len(), 3);
    assert_eq!(up.stop(), Some(0));
    assert!(files(&world).is_empty());
}

#[test]
fn pets_keep_their_identities() {
    let world = World::new();
    let mut up = world.spawn(&["up", &example("pets.yaml")]);
    up.says("pets: converged, 3 of 3 alive");
    let list = || world.ok(&["group", "describe", "pets", "--output", "json"]);
    let members: serde_json::Value = serde_json::from_str(&list()).expect("json");
    let identity = |member: &serde_json::Value| {
        let tags = &member["Tags"];
        tags["infrakit.logical_id"].as_str().expect("identity").to_owned()
    };
    let instances = members["Instances"].as_array().expect("members");
    let mut identities: Vec<_> = instances.iter().map(identity).collect();
    identities.sort_unstable();
    assert_eq!(identities, ["192.168.0.101", "192.168.0.102", "192.168.0.103"]);
    let lost = instances.iter().find(|it| identity(it).ends_with("102")).expect("member");
    let id = lost["ID"].as_str().expect("id");
    world.ok(&["instance", "destroy", id, "--yes", "--plugin", "simulator/compute"]);
    wait("another with the same identity", || {
        let now = list();
        now.contains("192.168.0.102") && !now.contains(id)
    });
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn combined_flavors_prepare_each_member() {
    let world = World::new();
    until_converged(&world, &[&example("combo.yaml")]);
    let mut said = Vec::new();
    let process = world.state().join("process");
    wait("the scripts have run", || {
        let entries = fs::read_dir(&process).expect("instances").flatten();
        let read = |name: &str| {
            let entries = fs::read_dir(&process).expect("instances").flatten();
            entries
                .filter_map(|it| fs::read_to_string(it.path().join("work").join(name)).ok())
                .collect()
        };
        drop(entries);
        let prepared: Vec<String> = read("prepared");
        said = read("member");
        said.sort_unstable();
        prepared.len() == 2 && said.len() == 2
    });
    assert_eq!(said, ["member 0 of 2\n", "member 1 of 2\n"]);
    world.ok(&["up", "--until", "converged", "--on-exit", "destroy"]);
    assert!(world.instances().is_empty());
}

#[test]
fn variables_and_values_reach_the_members() {
    let world = World::new();
    let words = [example("vars.yaml"), "--var".into(), "size=4".into(), "--var".into()];
    let mut words: Vec<_> = words.iter().map(String::as_str).collect();
    words.extend(["name=blue-web", "--metadata", "cluster/name=blue"]);
    let said = until_converged(&world, &words);
    assert!(said.contains("blue-web: converged, 4 of 4 alive"), "{said}");
    let files = files(&world);
    assert_eq!(files.len(), 4);
    assert!(files.iter().all(|file| file.contains("echo cluster blue")), "{files:?}");
    assert!(files.iter().all(|file| file.contains("one of 4")), "{files:?}");
}

/// How many instances were alive at one moment. The environment, which tells them, is read one after
/// the other: an instance that ended meanwhile is known from the look before, and one that was started
/// meanwhile does not count yet.
fn alive_at_once(world: &World, known: &mut BTreeSet<i32>) -> usize {
    let listed = fs::read_dir("/proc").expect("/proc").flatten();
    let listed: BTreeSet<i32> =
        listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    known.extend(world.instances());
    known.intersection(&listed).count()
}

#[test]
fn a_rolling_update_never_has_too_few() {
    let world = World::new();
    let spec = example("rolling.yaml");
    let mut up = world.spawn(&["up", &spec, "--poll", "200ms", "--on-exit", "destroy"]);
    up.says("rolling: converged, 6 of 6 alive");
    let before = world.instances();
    let plan = world.ok(&["group", "commit", &spec, "--var", "release=2"]);
    assert_eq!(plan, "Committed rolling: Performing a rolling update on 6 instances\n");
    let (mut fewest, mut known) = (usize::MAX, before.iter().copied().collect());
    wait("the update is complete", || {
        fewest = fewest.min(alive_at_once(&world, &mut known));
        up.output().contains("is complete")
    });
    assert!(fewest >= 6, "there were only {fewest}");
    wait("the old ones are gone", || {
        let now = world.instances();
        now.len() == 6 && now.iter().all(|pid| !before.contains(pid))
    });
    assert_eq!(up.stop(), Some(0));
}
