//! The captured messages of the InfraKit specification, byte for byte.

use std::path::PathBuf;
use std::sync::Arc;

use regrow_plugin::spi::{Controller, Events, Group, Instance, L4, Metadata, Updatable};
use regrow_plugin::{FixedObjects, Plugin, Running, Vendor};

use crate::support::{directory, raw, rpc, start, typed_plugin};
use crate::told::Told;

struct Site {
    _dir: tempfile::TempDir,
    _running: Running,
    path: PathBuf,
}

async fn site(plugin: Plugin) -> Site {
    let dir = directory();
    let path = dir.path().join(plugin.name());
    let running = start(plugin, dir.path()).await;
    Site { _dir: dir, _running: running, path }
}

impl Site {
    async fn check(&self, request: &str, answer: &str) {
        assert_eq!(rpc(&self.path, request).await, format!("{answer}\n"), "{request}");
    }
}

#[tokio::test]
async fn instance() {
    let told = Arc::new(Told);
    let objects = FixedObjects::single(Arc::clone(&told) as Arc<dyn Instance>)
        .with("compute", told as Arc<dyn Instance>);
    let site = site(Plugin::new("file").with_instances(objects)).await;
    for (request, answer) in [
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Validate","params":{"Type":"","Properties":{"Note":"v1"}},"id":6664311058255257219}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","OK":true},"id":6664311058255257219}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Provision","params":{"Type":"compute","Spec":{"Properties":{"a":"b"},"Tags":{"infrakit.config.hash":"ankkcmknisjetnhkophox27uekmt36us","infrakit.group":"q","infrakit.logical_id":"10.0.0.1"},"Init":"x","LogicalID":"10.0.0.1","Attachments":null}},"id":2955593616882638158}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"compute","ID":"1795289923915557380"},"id":2955593616882638158}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.DescribeInstances","params":{"Type":"","Tags":{"infrakit.group":"cattle"},"Properties":true},"id":7797733732200144233}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","Descriptions":[{"ID":"instance-2996529747050757360","LogicalID":null,"Tags":{"infrakit.config.hash":"jwc4vmxxqwrpp72ce36c4tbzgfganbao","infrakit.group":"cattle","tier":"web"},"Properties":{"Properties":{"Note":"v1"},"Tags":{"tier":"web"},"Init":"echo hello","LogicalID":null,"Attachments":[{"ID":"attachid","Type":"attachtype"}]}}]},"id":7797733732200144233}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Destroy","params":{"Type":"","Instance":"instance-2996529747050757360","Context":{"Reason":"rolling_update"}},"id":2233382504937178957}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","OK":true},"id":2233382504937178957}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Instance.Label","params":{"Type":"","Instance":"i","Labels":{"a":"b"}},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","OK":true},"id":1}"#,
        ),
    ] {
        site.check(request, answer).await;
    }
}

#[tokio::test]
async fn flavor() {
    let site = site(Plugin::flavor("vanilla", Told)).await;
    for (request, answer) in [
        (
            r#"{"jsonrpc":"2.0","method":"Flavor.Prepare","params":{"Type":"","Properties":{"Init":["echo hello"],"Tags":{"tier":"web"},"Attachments":[{"ID":"attachid","Type":"attachtype"}]},"Spec":{"Properties":{"Note":"v1"},"Tags":{"infrakit.config.hash":"jwc4vmxxqwrpp72ce36c4tbzgfganbao","infrakit.group":"cattle"},"Init":"","LogicalID":null,"Attachments":null},"Allocation":{"Size":2,"LogicalIDs":null},"Index":{"Group":"cattle","Sequence":2}},"id":8225604233589935332}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","Spec":{"Properties":{"Note":"v1"},"Tags":{"infrakit.config.hash":"jwc4vmxxqwrpp72ce36c4tbzgfganbao","infrakit.group":"cattle","tier":"web"},"Init":"echo hello","LogicalID":null,"Attachments":[{"ID":"attachid","Type":"attachtype"}]}},"id":8225604233589935332}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Flavor.Healthy","params":{"Type":"","Properties":{},"Instance":{"ID":"i","Tags":{}}},"id":8588076917422189917}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","Health":1},"id":8588076917422189917}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Flavor.Drain","params":{"Type":"","Properties":{},"Instance":{"ID":"i"}},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","OK":true},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Flavor.Validate","params":{"Type":"","Properties":{},"Allocation":{"Size":1}},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","OK":true},"id":1}"#,
        ),
    ] {
        site.check(request, answer).await;
    }
}

#[tokio::test]
async fn group() {
    let told = Arc::new(Told) as Arc<dyn Group>;
    let objects = FixedObjects::single(told);
    let site = site(Plugin::new("group-stateless").with_groups(objects)).await;
    for (request, answer) in [
        (
            r#"{"jsonrpc":"2.0","method":"Group.CommitGroup","params":{"Name":"group-stateless","Spec":{"ID":"cattle","Properties":{"Allocation":{"Size":3},"Instance":{"Plugin":"file","Properties":{"Note":"v2"}},"Flavor":{"Plugin":"vanilla","Properties":{"Init":["echo hello"],"Tags":{"tier":"web"},"Attachments":[{"ID":"attachid","Type":"attachtype"}]}}}},"Pretend":true},"id":2931165956545972204}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"group-stateless","ID":"cattle","Details":"Performing a rolling update on 2 instances, then adding 1 instances to increase the group size to 3"},"id":2931165956545972204}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Group.InspectGroups","params":{"Name":"group-stateless","ID":""},"id":4187711550776944377}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"group-stateless","ID":"","Groups":[{"ID":"cattle","Properties":{"Allocation":{"Size":2,"LogicalIDs":null}}}]},"id":4187711550776944377}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Group.SetSize","params":{"Name":"mystack/cattle","ID":"cattle","Size":5},"id":380543098859047733}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"mystack/cattle","ID":"cattle"},"id":380543098859047733}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Group.Size","params":{"Name":"mystack/cattle","ID":"cattle"},"id":3}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"mystack/cattle","ID":"cattle","Size":2},"id":3}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Group.DescribeGroup","params":{"Name":"","ID":"cattle"},"id":3}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"","ID":"cattle","Description":{"Instances":[],"Converged":true}},"id":3}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Group.DestroyInstances","params":{"Name":"","ID":"cattle","Instances":["a"]},"id":3}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"","ID":"cattle"},"id":3}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Group.FreeGroup","params":{"Name":"","ID":"cattle"},"id":3}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"","ID":"cattle"},"id":3}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Group.DestroyGroup","params":{"Name":"","ID":"cattle"},"id":3}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"","ID":"cattle"},"id":3}"#,
        ),
    ] {
        // The captured requests of a manager name an object; this plugin has one for all names.
        site.check(
            &request.replace("mystack/cattle", "./cattle"),
            &answer.replace("mystack/cattle", "./cattle"),
        )
        .await;
    }
}

#[tokio::test]
async fn metadata_and_updatable() {
    let told = Arc::new(Told);
    let plugin = Plugin::new("vars")
        .with_updatables(FixedObjects::single(Arc::clone(&told) as Arc<dyn Updatable>))
        .with_metadata(FixedObjects::single(told as Arc<dyn Metadata>));
    let site = site(plugin).await;
    for (request, answer) in [
        (
            r#"{"jsonrpc":"2.0","method":"Updatable.Changes","params":{"Name":"vars","Changes":[{"Path":"cluster/size","Value":5},{"Path":"cluster/name","Value":"foo"}]},"id":5377110419190043201}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"vars","Original":{},"Proposed":{"cluster":{"name":"foo","size":5}},"Cas":"fc16768af75aefe8c233b2430aa5c334"},"id":5377110419190043201}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Updatable.Commit","params":{"Name":"vars","Proposed":{"cluster":{"name":"foo","size":5}},"Cas":"fc16768af75aefe8c233b2430aa5c334"},"id":1425307879176613729}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"vars"},"id":1425307879176613729}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Metadata.Get","params":{"Name":"time","Path":"now/sec"},"id":4187049397033213150}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"time","Value":1795289928},"id":4187049397033213150}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Updatable.Keys","params":{"Name":"vars","Path":""},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"vars","Nodes":["cluster"]},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Metadata.Get","params":{"Name":"time","Path":"nope"},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"time","Value":null},"id":1}"#,
        ),
    ] {
        site.check(request, answer).await;
    }
}

#[tokio::test]
async fn events_and_load_balancer() {
    let told = Arc::new(Told);
    let plugin = Plugin::new("time")
        .with_events(FixedObjects::single(Arc::clone(&told) as Arc<dyn Events>))
        .with_l4s(FixedObjects::default().with("lb1", told as Arc<dyn L4>));
    let site = site(plugin).await;
    for (request, answer) in [
        (
            r#"{"jsonrpc":"2.0","method":"Event.List","params":{"Topic":"streams"},"id":7}"#,
            r#"{"jsonrpc":"2.0","result":{"Nodes":["hr","min","msec","sec"]},"id":7}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"L4.Publish","params":{"Type":"lb1","Route":{"Port":8080,"Protocol":"tcp","LoadBalancerPort":80,"LoadBalancerProtocol":"tcp","Certificate":null,"HealthMonitorPath":null}},"id":4929841435797577886}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","Result":"publish"},"id":4929841435797577886}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"L4.Routes","params":{"Type":"lb1"},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","Routes":[{"Port":8080,"Protocol":"TCP","LoadBalancerPort":80,"LoadBalancerProtocol":"TCP","Certificate":null,"HealthMonitorPath":null}]},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"L4.Unpublish","params":{"Type":"lb1","ExtPort":80},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"Type":"","Result":"unpublish 80"},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"L4.Name","params":{"Type":"lb2"},"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"no-plugin:lb2","data":null},"id":1}"#,
        ),
    ] {
        site.check(request, answer).await;
    }
}

#[tokio::test]
async fn controller_and_stack() {
    let told = Arc::new(Told);
    let plugin = Plugin::new("mystack")
        .with_controllers(FixedObjects::single(Arc::clone(&told) as Arc<dyn Controller>))
        .with_stacks(FixedObjects::single(told as Arc<dyn regrow_plugin::spi::Stack>));
    let site = site(plugin).await;
    for (request, answer) in [
        (
            r#"{"jsonrpc":"2.0","method":"Controller.Commit","params":{"Name":"./groups","Operation":0,"Spec":{"kind":"group","version":"","metadata":{"name":"mystack/q","tags":null},"properties":{"Allocation":{"LogicalIDs":["10.0.0.1","10.0.0.2","10.0.0.3"]},"Flavor":{"Plugin":"vanilla","Properties":{"Init":["x"]}},"Instance":{"Plugin":"simulator/compute","Properties":{"a":"b"}}}}},"id":9003056832463625809}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"./groups","Object":{"kind":"group","version":"","metadata":{"name":"mystack/q","tags":null},"properties":{"Allocation":{"LogicalIDs":["10.0.0.1","10.0.0.2","10.0.0.3"]},"Flavor":{"Plugin":"vanilla","Properties":{"Init":["x"]}},"Instance":{"Plugin":"simulator/compute","Properties":{"a":"b"}}},"state":{"Instances":null,"Converged":false}},"Plan":{"Message":null}},"id":9003056832463625809}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Controller.Describe","params":{"Name":"mystack","Metadata":null},"id":5812012870189427526}"#,
            r#"{"jsonrpc":"2.0","result":{"Name":"mystack","Objects":[{"kind":"group","version":"Group/0.1.1","metadata":{"id":"cattle","name":"group/cattle","tags":null},"properties":{},"state":{"Instances":[],"Converged":true}}]},"id":5812012870189427526}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Manager.IsLeader","params":{},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"Leader":true},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Manager.Enforce","params":{"Specs":[]},"id":1}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"not implemented -- commit to individual plugins","data":null},"id":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"Manager.Terminate","params":{"Specs":[]},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{},"id":1}"#,
        ),
    ] {
        site.check(request, answer).await;
    }
}

#[tokio::test]
async fn handshake() {
    let plugin = typed_plugin("simulator", &["compute", "disk", "net"])
        .with_l4s(FixedObjects::default().with("lb1", Arc::new(Told) as Arc<dyn L4>));
    let site = site(plugin).await;
    site.check(
        r#"{"jsonrpc":"2.0","method":"Handshake.Hello","params":{},"id":8454513026384241254}"#,
        r#"{"jsonrpc":"2.0","result":{"Objects":{"Instance/0.6.1":[{"Name":"compute","ProxyFor":""},{"Name":"disk","ProxyFor":""},{"Name":"net","ProxyFor":""}],"L4/0.6.1":[{"Name":"lb1","ProxyFor":""}]}},"id":8454513026384241254}"#,
    )
    .await;
}

#[tokio::test]
async fn description_of_the_interfaces() {
    let vendor = Vendor {
        name: "infrakit-instance-file".into(),
        version: "0.3.0".into(),
        sub: String::new(),
        url: "https://github.com/docker/infrakit".into(),
    };
    let site = site(typed_plugin("file", &["."]).by(vendor)).await;
    let answer = raw(&site.path, b"GET /info/api.json HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    // The id is the time.
    let at = answer.body.find(r#""id":""#).expect("an id") + 6;
    let id = &answer.body[at..at + 10];
    let body = answer.body.replace(id, "1795289934");
    let start = r#"{"Vendor":{"Name":"infrakit-instance-file","Version":"0.3.0","Sub":"","URL":"https://github.com/docker/infrakit"},"Implements":[{"Name":"Instance","Version":"0.6.1","Sub":""}],"Interfaces":[{"Name":"Instance","Version":"0.6.1","Sub":"","Methods":[{"Request":{"jsonrpc":"2.0","method":"Instance.DescribeInstances","params":{"Type":"","Tags":null,"Properties":false},"id":"1795289934"},"Response":{"jsonrpc":"2.0","result":{"Type":"","Descriptions":null},"id":"1795289934"}},"#;
    assert!(body.starts_with(start), "{body}");
    assert!(body.contains(r#"{"jsonrpc":"2.0","method":"Instance.Validate","params":{"Type":"","Properties":{"Note":"example"}},"id":"1795289934"}"#), "{body}");
    assert!(body.contains(r#""Spec":{"Properties":{"Note":"example"},"Tags":null,"Init":"","LogicalID":null,"Attachments":null}"#), "{body}");
    let answer = raw(&site.path, b"GET /info/functions.json HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}\n"));
}

#[tokio::test]
async fn no_vendor_is_null() {
    let site = site(typed_plugin("file", &["."])).await;
    let answer = raw(&site.path, b"GET /info/api.json HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(answer.body.starts_with(r#"{"Vendor":null,"#), "{}", answer.body);
}
