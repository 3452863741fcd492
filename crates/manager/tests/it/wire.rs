//! What a client of the original sends, through port and socket, and the answers that were captured
//! from the original.

use std::sync::Arc;
use std::time::Duration;

use regrow_manager::MuxOptions;
use regrow_manager::leader::LeaderSource;
use regrow_manager::mux::{Mux, SocketDir};
use regrow_plugin::server::{Listen, serve};
use serde_json::{Value, json};

use crate::fakes::World;
use crate::proxy::{post, text_of};

const Q: &str = r#"{"kind":"group","version":"","metadata":{"name":"mystack/q","tags":null},"properties":{"Allocation":{"Size":3},"Flavor":{"Plugin":"vanilla","Properties":{"Init":["x"]}},"Instance":{"Plugin":"simulator/compute","Properties":{"a":"b"}}}}"#;

#[tokio::test]
async fn captured_messages_get_captured_answers() {
    let dir = tempfile::tempdir().expect("directory");
    let world = World::leading();
    let running = serve(world.manager.plugin(), Listen::unix(dir.path())).await.expect("serve");
    let options = MuxOptions { listen: "127.0.0.1:0".into(), ..MuxOptions::default() };
    let source: Arc<dyn LeaderSource> = Arc::new(world.leader.clone());
    let backend = Arc::new(SocketDir::new(dir.path()));
    let mux = Mux::start(&options, backend, source).await.expect("mux");
    let call = |method: &'static str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 7});
        let address = mux.address();
        async move {
            let response = post(address, "/mystack/", body.to_string()).await;
            let (code, text) = text_of(response).await;
            assert_eq!(code, 200, "{text}");
            serde_json::from_str::<Value>(&text).expect("json")
        }
    };
    let object = |name: &str| json!({"Name": name, "ProxyFor": ""});
    let hello = call("Handshake.Hello", json!({})).await;
    assert_eq!(
        hello["result"]["Objects"],
        json!({
            "Controller/0.1.1": [object("groups"), object("nfs")],
            "Group/0.1.1": [object("groups")],
            "Stack/0.1.1": [object(".")],
            "Updatable/0.1.1": [object("status"), object("vars")],
        })
    );
    let spec: Value = serde_json::from_str(Q).expect("spec");
    let params = json!({"Name": "mystack/groups", "Operation": 0, "Spec": spec});
    let committed = call("Controller.Commit", params).await;
    let mut with_state = spec.clone();
    with_state["state"] = json!({"Instances": null, "Converged": false});
    assert_eq!(
        committed["result"],
        json!({"Name": "mystack/groups", "Object": with_state, "Plan": {"Message": null}})
    );
    let params = json!({"Name": "mystack/q", "ID": "q", "Size": 5});
    let resized = call("Group.SetSize", params).await;
    assert_eq!(
        resized,
        json!({"jsonrpc": "2.0", "id": 7, "result": {"Name": "mystack/q", "ID": "q"}})
    );
    let size = call("Group.Size", json!({"Name": "mystack/q", "ID": "q"})).await;
    assert_eq!(size["result"]["Size"], 5);
    // Beside other groups the bare name means none of the objects.
    let missing = call("Group.InspectGroups", json!({"Name": "mystack", "ID": ""})).await;
    assert_eq!(missing["error"]["message"], "not found: mystack (key=)");
    assert_eq!(call("Manager.IsLeader", json!({})).await["result"], json!({"Leader": true}));
    let specs = call("Manager.Specs", json!({})).await;
    assert_eq!(specs["result"]["Specs"][0]["metadata"], json!({"name": "q", "tags": null}));
    world.leader.follow();
    let params = json!({"Name": "mystack/groups", "Spec": {"ID": "q", "Properties": {}}});
    let direct = world.group("mystack/groups").await;
    let id = "q".into();
    assert_eq!(direct.free_group(&id).await.expect_err("follower").to_string(), "not a leader");
    // Through the port the call goes to the leader, which has not said where it is.
    let body = json!({"jsonrpc": "2.0", "method": "Group.CommitGroup", "params": params, "id": 1});
    let response = post(mux.address(), "/mystack/", body.to_string()).await;
    assert_eq!(response.status(), 503);
    mux.stop().await;
    running.stop(Duration::from_secs(1)).await;
}
