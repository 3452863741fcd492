//! What the caller behind a selector learns about the effect of a call, over a socket too.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use regrow_codec::Any;
use regrow_ids::PluginName;
use regrow_plugin::spi::{DestroyReason, Instance as _};
use regrow_plugin::{Client, Effect, Listen, Lookup, Timeouts, serve};
use regrow_providers::selector::{self, Strategy as Way};
use regrow_providers::simulator::Fault;

use super::{Scene, choices, spec};

/// The second of the two choices does not run: such a call was never made and blames nobody.
#[tokio::test]
async fn a_choice_that_is_not_there_refuses_nothing() {
    let scene = Scene::new(1);
    let lookup = Arc::clone(&scene.registry) as Arc<dyn Lookup>;
    let dir = tempfile::tempdir().expect("directory");
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(dir.path(), private).expect("permissions");
    let plugin = selector::plugin("far", &lookup, &Any::from(choices(2))).expect("plugin");
    let running = serve(plugin, Listen::unix(dir.path())).await.expect("serve");
    let client = Client::with(running.endpoint().clone(), Timeouts::default());
    scene.clouds[0].0.configure(|options| options.faults.create_fails = Fault::always());
    for (way, expected) in [(Way::Spread, Effect::None), (Way::Tiered, Effect::Refused)] {
        let near = scene.selector(way, choices(2));
        let name = PluginName::with_subtype("far", way.name());
        let far = client.instance(&name).await.expect("object");
        for (place, selector) in
            [("near", &near as &dyn regrow_plugin::spi::Instance), ("far", &*far)]
        {
            let fault = selector.provision(&spec("")).await.expect_err("nobody makes one");
            assert_eq!(fault.effect(), expected, "{way:?} {place}: {fault}");
            assert!(fault.to_string().contains("cloud1"), "{way:?} {place}: {fault}");
            let fault = selector.destroy(&"x".into(), DestroyReason::Terminate).await;
            let fault = fault.expect_err("it may be in the other");
            assert_eq!(fault.effect(), Effect::None, "{way:?} {place}: {fault}");
        }
    }
    // All tiers: none of them was asked.
    let nobody = Scene::new(0);
    let fault = nobody.selector(Way::Tiered, choices(2)).provision(&spec("")).await;
    let fault = fault.expect_err("no tier");
    assert_eq!(fault.effect(), Effect::None, "{fault}");
}
