//! An object behind every interface that answers what was captured.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId};
use regrow_plugin::PluginError;
use regrow_plugin::spi::*;
use serde_json::json;

use crate::support::tags;

pub struct Told;

/// Id of a group, and kind of a spec, whose end takes a while.
pub const SLOW: &str = "slow";
pub const SLOW_FOR: Duration = Duration::from_secs(6);

fn any(text: &str) -> Any {
    Any::from_text(text).expect("JSON")
}

#[async_trait]
impl Instance for Told {
    async fn validate(&self, _properties: &Any) -> Result<()> {
        Ok(())
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        assert_eq!(spec.logical_id.as_ref().map(AsRef::as_ref), Some("10.0.0.1"));
        Ok("1795289923915557380".into())
    }

    async fn label(&self, _instance: &InstanceId, _labels: &Tags) -> Result<()> {
        Ok(())
    }

    async fn destroy(&self, _instance: &InstanceId, reason: DestroyReason) -> Result<()> {
        assert_eq!(reason, DestroyReason::RollingUpdate);
        Ok(())
    }

    async fn describe_instances(&self, _tags: &Tags, _: bool) -> Result<Vec<Arc<Description>>> {
        Ok(vec![Arc::new(Description {
            id: "instance-2996529747050757360".into(),
            logical_id: None,
            tags: tags([
                ("infrakit.config.hash", "jwc4vmxxqwrpp72ce36c4tbzgfganbao"),
                ("infrakit.group", "cattle"),
                ("tier", "web"),
            ]),
            properties: any(
                r#"{"Properties":{"Note":"v1"},"Tags":{"tier":"web"},"Init":"echo hello","LogicalID":null,"Attachments":[{"ID":"attachid","Type":"attachtype"}]}"#,
            ),
        })])
    }
}

#[async_trait]
impl Flavor for Told {
    async fn validate(&self, _properties: &Any, allocation: &Allocation) -> Result<()> {
        assert_eq!(allocation.size, 1);
        Ok(())
    }

    async fn prepare(
        &self,
        _properties: &Any,
        mut spec: InstanceSpec,
        allocation: &Allocation,
        index: &Index,
    ) -> Result<InstanceSpec> {
        assert_eq!((allocation.size, index.sequence, index.group.as_str()), (2, 2, "cattle"));
        spec.init = "echo hello".into();
        spec.tags.insert("tier".into(), "web".into());
        spec.attachments =
            Some(vec![Attachment { id: "attachid".into(), kind: "attachtype".into() }]);
        Ok(spec)
    }

    async fn healthy(&self, _properties: &Any, _instance: &Description) -> Result<Health> {
        Ok(Health::Healthy)
    }

    async fn drain(&self, _properties: &Any, _instance: &Description) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Group for Told {
    async fn commit_group(&self, _spec: &GroupSpec, pretend: bool) -> Result<String> {
        assert!(pretend);
        Ok("Performing a rolling update on 2 instances, then adding 1 instances to increase the \
            group size to 3"
            .into())
    }

    async fn free_group(&self, _id: &GroupId) -> Result<()> {
        Ok(())
    }

    async fn describe_group(&self, _id: &GroupId) -> Result<GroupDescription> {
        Ok(GroupDescription { instances: Vec::new(), converged: true })
    }

    async fn destroy_group(&self, id: &GroupId) -> Result<()> {
        if id.as_str() == SLOW {
            tokio::time::sleep(SLOW_FOR).await;
        }
        Ok(())
    }

    async fn inspect_groups(&self) -> Result<Vec<GroupSpec>> {
        let properties = any(r#"{"Allocation":{"Size":2,"LogicalIDs":null}}"#);
        Ok(vec![GroupSpec { id: "cattle".into(), properties }])
    }

    async fn destroy_instances(&self, _id: &GroupId, _instances: &[InstanceId]) -> Result<()> {
        Ok(())
    }

    async fn size(&self, _id: &GroupId) -> Result<u32> {
        Ok(2)
    }

    async fn set_size(&self, _id: &GroupId, size: u32) -> Result<()> {
        assert_eq!(size, 5);
        Ok(())
    }
}

#[async_trait]
impl Metadata for Told {
    async fn keys(&self, _path: &str) -> Result<Vec<String>> {
        Ok(vec!["cluster".into()])
    }

    async fn get(&self, path: &str) -> Result<Option<Any>> {
        Ok((path == "now/sec").then(|| Any::from(json!(1795289928))))
    }
}

#[async_trait]
impl Updatable for Told {
    async fn changes(&self, changes: &[Change]) -> Result<Proposal> {
        assert_eq!(changes.len(), 2);
        Ok(Proposal {
            original: any("{}"),
            proposed: any(r#"{"cluster":{"name":"foo","size":5}}"#),
            cas: "fc16768af75aefe8c233b2430aa5c334".into(),
        })
    }

    async fn commit(&self, _proposed: &Any, cas: &str) -> Result<()> {
        if cas == "fc16768af75aefe8c233b2430aa5c334" {
            return Ok(());
        }
        Err(PluginError::refused("cas mismatch"))
    }
}

#[async_trait]
impl Events for Told {
    async fn list(&self, topic: &str) -> Result<Vec<String>> {
        assert_eq!(topic, "streams");
        Ok(["hr", "min", "msec", "sec"].map(str::to_owned).to_vec())
    }

    async fn subscribe(&self, _topic: &str) -> Result<EventStream> {
        Ok(Box::pin(futures::stream::iter([Arc::new(Event {
            topic: "streams/msec/500".into(),
            kind: "time".into(),
            id: "500ms".into(),
            message: String::new(),
            timestamp: "2026-11-21T19:38:54.813078004Z".into(),
            received: "0001-01-01T00:00:00Z".into(),
            data: Any::from(json!(500000000)),
        })])))
    }
}

#[async_trait]
impl L4 for Told {
    async fn name(&self) -> Result<String> {
        Ok("lb1".into())
    }

    async fn routes(&self) -> Result<Vec<Route>> {
        Ok(vec![Route {
            port: 8080,
            protocol: Protocol::from("tcp".to_owned()),
            load_balancer_port: 80,
            load_balancer_protocol: Protocol::from("tcp".to_owned()),
            ..Route::default()
        }])
    }

    async fn publish(&self, route: &Route) -> Result<String> {
        assert_eq!(route.protocol.as_str(), "TCP");
        Ok("publish".into())
    }

    async fn unpublish(&self, load_balancer_port: u16) -> Result<String> {
        Ok(format!("unpublish {load_balancer_port}"))
    }

    async fn configure_health_check(&self, check: &HealthCheck) -> Result<String> {
        Ok(format!("check {}", check.backend_port))
    }

    async fn register_backends(&self, ids: &[InstanceId]) -> Result<String> {
        Ok(format!("register {}", ids.len()))
    }

    async fn deregister_backends(&self, ids: &[InstanceId]) -> Result<String> {
        Ok(format!("deregister {}", ids.len()))
    }

    async fn backends(&self) -> Result<Vec<InstanceId>> {
        Ok(vec!["b".into()])
    }
}

#[async_trait]
impl Controller for Told {
    async fn plan(&self, _operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        let plan = Plan { message: Some(vec!["Noop".into()]) };
        Ok((SpecObject::new(spec.clone(), Any::default()), plan))
    }

    async fn commit(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        if spec.kind == SLOW {
            tokio::time::sleep(SLOW_FOR).await;
        } else {
            assert_eq!(operation, Operation::Enforce);
        }
        let state = any(r#"{"Instances":null,"Converged":false}"#);
        Ok((SpecObject::new(spec.clone(), state), Plan::default()))
    }

    async fn describe(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        assert_eq!(of, None);
        Ok(vec![SpecObject {
            kind: "group".into(),
            version: "Group/0.1.1".into(),
            metadata: ObjectMeta { id: "cattle".into(), name: "group/cattle".into(), tags: None },
            properties: any("{}"),
            state: any(r#"{"Instances":[],"Converged":true}"#),
            ..SpecObject::default()
        }])
    }

    async fn free(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        let name = of.map(|of| of.name.clone()).unwrap_or_default();
        Err(PluginError::refused(format!("no object {name:?}")))
    }
}

#[async_trait]
impl Stack for Told {
    async fn is_leader(&self) -> Result<bool> {
        Ok(true)
    }

    async fn leader_location(&self) -> Result<Option<LeaderLocation>> {
        Ok(Some(LeaderLocation { scheme: "http".into(), host: "h:1".into(), path: String::new() }))
    }

    async fn enforce(&self, _specs: &[Spec]) -> Result<()> {
        Err(PluginError::refused("not implemented -- commit to individual plugins"))
    }

    async fn specs(&self) -> Result<Vec<Spec>> {
        Ok(vec![Spec { kind: "group".into(), ..Spec::default() }])
    }

    async fn inspect(&self) -> Result<Vec<SpecObject>> {
        Err(PluginError::refused("not implemented -- coming soon"))
    }

    async fn terminate(&self, _specs: &[Spec]) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Resource for Told {
    async fn commit(&self, spec: &ResourceSpec, pretend: bool) -> Result<String> {
        Ok(format!("commit {} {pretend}", spec.id))
    }

    async fn destroy(&self, spec: &ResourceSpec, pretend: bool) -> Result<String> {
        Ok(format!("destroy {} {pretend}", spec.id))
    }

    async fn describe_resources(&self, spec: &ResourceSpec) -> Result<String> {
        Ok(format!("describe {}", spec.id))
    }
}
