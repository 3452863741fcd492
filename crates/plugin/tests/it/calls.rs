//! Typed calls from end to end.

use std::sync::Arc;
use std::time::Duration;

use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId};
use regrow_plugin::spi::*;
use regrow_plugin::{
    Client, Directory, FixedObjects, Lookup, Plugin, PluginError, Registry, SocketPlugins, Timeouts,
};
use serde_json::json;

use crate::support::{directory, memory_plugin, name, start, tags, timeouts, typed_plugin};
use crate::told::{SLOW, SLOW_FOR, Told};

#[tokio::test]
async fn an_instance_lives_its_life_over_a_socket() {
    let dir = directory();
    let running = start(memory_plugin("file"), dir.path()).await;
    let plugins = SocketPlugins::with(Directory::new(dir.path()), timeouts());
    assert_eq!(plugins.names(), ["file"]);
    let instances = plugins.instance(&name("file")).await.expect("lookup");
    let spec = InstanceSpec {
        properties: Any::from(json!({"a": 1})),
        tags: tags([("infrakit.group", "g")]),
        init: "echo <hello> & bye".into(),
        logical_id: Some("10.0.0.1".into()),
        attachments: None,
    };
    instances.validate(&spec.properties).await.expect("valid");
    let id = instances.provision(&spec).await.expect("provision");
    instances.label(&id, &tags([("x", "y")])).await.expect("label");
    let found = instances.describe_instances(&tags([("x", "y")]), true).await.expect("list");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, id);
    assert_eq!(found[0].properties.decode::<InstanceSpec>().expect("spec"), spec);
    instances.destroy(&id, DestroyReason::RollingUpdate).await.expect("destroy");
    let gone = instances.destroy(&id, DestroyReason::Terminate).await.expect_err("gone");
    assert_eq!(gone, PluginError::Refused(format!("no instance {id}")));
    running.stop(Duration::from_secs(1)).await;
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0, "files are left");
    let error = plugins.instance(&name("file")).await.err().expect("stopped");
    assert_eq!(error, PluginError::NotFound("plugin not found:file".into()));
}

#[tokio::test]
async fn subtypes_select_objects() {
    let dir = directory();
    let _running = start(typed_plugin("simulator", &["compute", "disk"]), dir.path()).await;
    let plugins = SocketPlugins::with(Directory::new(dir.path()), timeouts());
    let disks = plugins.instance(&name("simulator/disk")).await.expect("lookup");
    disks.provision(&InstanceSpec::default()).await.expect("provision");
    let compute = plugins.instance(&name("simulator/compute")).await.expect("lookup");
    assert!(compute.describe_instances(&tags([]), false).await.expect("list").is_empty());
    let missing = plugins.instance(&name("simulator/zzz")).await.expect("lookup");
    let error = missing.destroy(&InstanceId::from("x"), DestroyReason::Terminate).await;
    assert_eq!(error, Err(PluginError::Refused("no-plugin:zzz".into())));
    let error = plugins.flavor(&name("simulator")).await.err().expect("no flavor");
    assert_eq!(error.to_string(), "Plugin does not support interface Flavor");
    assert!(dir.path().join("simulator.pid").exists());
}

#[tokio::test]
async fn every_interface_is_called_through_its_trait() {
    let dir = directory();
    let told = Arc::new(Told);
    let plugin = Plugin::new("all")
        .with_controllers(FixedObjects::single(Arc::clone(&told) as Arc<dyn Controller>))
        .with_events(FixedObjects::single(Arc::clone(&told) as Arc<dyn Events>))
        .with_flavors(FixedObjects::single(Arc::clone(&told) as Arc<dyn Flavor>))
        .with_groups(FixedObjects::single(Arc::clone(&told) as Arc<dyn Group>))
        .with_l4s(FixedObjects::single(Arc::clone(&told) as Arc<dyn L4>))
        .with_metadata(FixedObjects::single(Arc::clone(&told) as Arc<dyn Metadata>))
        .with_resources(FixedObjects::single(Arc::clone(&told) as Arc<dyn Resource>))
        .with_stacks(FixedObjects::single(Arc::clone(&told) as Arc<dyn Stack>))
        .with_updatables(FixedObjects::single(told as Arc<dyn Updatable>));
    // The same calls in the same process and over the socket: callers cannot tell.
    let registry = Registry::default();
    registry.add(plugin.clone());
    let _running = start(plugin, dir.path()).await;
    let sockets = SocketPlugins::with(Directory::new(dir.path()), timeouts());
    call_all(&registry).await;
    call_all(&sockets).await;
}

async fn call_all(plugins: &dyn Lookup) {
    let all = name("all");
    let refused = |text: &str| PluginError::Refused(text.to_owned());
    let controller = plugins.controller(&all).await.expect("controller");
    let spec = Spec { kind: "group".into(), ..Spec::default() };
    let (object, plan) = controller.plan(Operation::Destroy, &spec).await.expect("plan");
    assert_eq!((object.kind.as_str(), plan.message), ("group", Some(vec!["Noop".to_owned()])));
    let (object, plan) = controller.commit(Operation::Enforce, &spec).await.expect("commit");
    assert_eq!(object.state.as_text(), r#"{"Instances":null,"Converged":false}"#);
    assert_eq!(plan.message, None);
    assert_eq!(controller.describe(None).await.expect("describe")[0].metadata.id, "cattle");
    let meta = ObjectMeta { name: "x".into(), ..ObjectMeta::default() };
    assert_eq!(controller.free(Some(&meta)).await, Err(refused("no object \"x\"")));

    let flavor = plugins.flavor(&all).await.expect("flavor");
    let two = Allocation { size: 2, logical_ids: None };
    let index = Index { group: "cattle".into(), sequence: 2 };
    let spec = flavor.prepare(&Any::default(), InstanceSpec::default(), &two, &index).await;
    assert_eq!(spec.expect("prepare").init, "echo hello");
    let member = Description::default();
    assert_eq!(flavor.healthy(&Any::default(), &member).await, Ok(Health::Healthy));
    assert_eq!(flavor.drain(&Any::default(), &member).await, Ok(()));

    let group = plugins.group(&all).await.expect("group");
    let id = GroupId::from("cattle");
    assert!(group.describe_group(&id).await.expect("describe").converged);
    assert_eq!(group.inspect_groups().await.expect("inspect")[0].id, id);
    assert_eq!(group.size(&id).await, Ok(2));
    assert_eq!(group.set_size(&id, 5).await, Ok(()));
    assert_eq!(group.free_group(&id).await, Ok(()));
    assert_eq!(group.destroy_group(&id).await, Ok(()));
    assert_eq!(group.destroy_instances(&id, &["a".into()]).await, Ok(()));

    let l4 = plugins.l4(&all).await.expect("l4");
    assert_eq!(l4.name().await.expect("name"), "lb1");
    assert_eq!(l4.routes().await.expect("routes")[0].protocol.as_str(), "TCP");
    let check = HealthCheck { backend_port: 7, ..HealthCheck::default() };
    assert_eq!(l4.configure_health_check(&check).await.expect("check"), "check 7");
    assert_eq!(l4.register_backends(&["a".into()]).await.expect("register"), "register 1");
    assert_eq!(l4.deregister_backends(&[]).await.expect("deregister"), "deregister 0");
    assert_eq!(l4.backends().await.expect("backends"), ["b".into()]);

    let tree = plugins.metadata(&all).await.expect("metadata");
    assert_eq!(tree.keys("").await.expect("keys"), ["cluster"]);
    assert_eq!(tree.get("now/sec").await, Ok(Some(Any::from(json!(1795289928)))));
    assert_eq!(tree.get("nope").await, Ok(None));
    let tree = plugins.updatable(&all).await.expect("updatable");
    let proposal = tree.changes(&[Change::default(), Change::default()]).await.expect("changes");
    assert_eq!(tree.commit(&proposal.proposed, &proposal.cas).await, Ok(()));
    assert_eq!(tree.commit(&proposal.proposed, "").await, Err(refused("cas mismatch")));

    let resource = plugins.resource(&all).await.expect("resource");
    let spec = ResourceSpec { id: "r".into(), properties: Any::default() };
    assert_eq!(resource.commit(&spec, true).await.expect("commit"), "commit r true");
    assert_eq!(resource.destroy(&spec, false).await.expect("destroy"), "destroy r false");
    assert_eq!(resource.describe_resources(&spec).await.expect("describe"), "describe r");

    let stack = plugins.stack(&all).await.expect("stack");
    assert_eq!(stack.is_leader().await, Ok(true));
    assert_eq!(stack.leader_location().await.expect("location").expect("one").host, "h:1");
    assert_eq!(stack.specs().await.expect("specs")[0].kind, "group");
    assert_eq!(stack.inspect().await, Err(refused("not implemented -- coming soon")));
    assert_eq!(stack.terminate(&[]).await, Ok(()));
}

#[tokio::test]
async fn a_changeable_tree_can_be_read() {
    let dir = directory();
    let told = Arc::new(Told) as Arc<dyn Updatable>;
    let plugin = Plugin::new("vars").with_updatables(FixedObjects::single(told));
    let registry = Registry::default();
    registry.add(plugin.clone());
    let _running = start(plugin, dir.path()).await;
    let sockets = SocketPlugins::with(Directory::new(dir.path()), timeouts());
    for plugins in [&registry as &dyn Lookup, &sockets] {
        let tree = plugins.metadata(&name("vars")).await.expect("metadata");
        assert_eq!(tree.keys("").await.expect("keys"), ["cluster"]);
    }
}

#[tokio::test]
async fn a_destroy_that_waits_for_drains_is_waited_for() {
    let dir = directory();
    let told = Arc::new(Told);
    let plugin = Plugin::new("all")
        .with_controllers(FixedObjects::single(Arc::clone(&told) as Arc<dyn Controller>))
        .with_groups(FixedObjects::single(told as Arc<dyn Group>));
    let running = start(plugin, dir.path()).await;
    let limits = Timeouts { call: SLOW_FOR - Duration::from_secs(1), ..timeouts() };
    let client = Client::with(running.endpoint().clone(), limits);
    let group = client.group(&name("all")).await.expect("group");
    let controller = client.controller(&name("all")).await.expect("controller");
    let id = GroupId::from(SLOW);
    let spec = Spec { kind: SLOW.into(), ..Spec::default() };
    let params = Any::from(json!({"ID": SLOW}));
    let (destroyed, committed, raw) = tokio::join!(
        group.destroy_group(&id),
        controller.commit(Operation::Destroy, &spec),
        client.call_raw("Group.DestroyGroup", &params),
    );
    assert_eq!(destroyed, Ok(()));
    committed.expect("commit");
    raw.expect("the same by name");
}
