use regrow_ids::{GroupId, InstanceId, PluginName};

use crate::spi::{Group, GroupDescription, GroupSpec};

super::service! {
    Group: groups, dyn Group, keyed;
    "Group.CommitGroup" Write
        Commit { name: PluginName = "Name", spec: GroupSpec = "Spec", pretend: bool = "Pretend" }
        -> Committed { name: PluginName = "Name", id: GroupId = "ID", details: String = "Details" }
        = |object, request| {
            let details = object.commit_group(&request.spec, request.pretend).await?;
            Ok(Committed { name: request.name, id: request.spec.id, details })
        };
    "Group.DescribeGroup" Read
        Describe { name: PluginName = "Name", id: GroupId = "ID" }
        -> Described {
            name: PluginName = "Name", id: GroupId = "ID", description: GroupDescription = "Description",
        }
        = |object, Describe { name, id }| {
            let description = object.describe_group(&id).await?;
            Ok(Described { name, id, description })
        };
    "Group.DestroyGroup" Slow
        Destroy { name: PluginName = "Name", id: GroupId = "ID" }
        -> Destroyed { name: PluginName = "Name", id: GroupId = "ID" }
        = |object, Destroy { name, id }| {
            object.destroy_group(&id).await?;
            Ok(Destroyed { name, id })
        };
    "Group.DestroyInstances" Slow
        DestroyInstances {
            name: PluginName = "Name", id: GroupId = "ID", instances: Vec<InstanceId> = "Instances",
        }
        -> InstancesDestroyed { name: PluginName = "Name", id: GroupId = "ID" }
        = |object, DestroyInstances { name, id, instances }| {
            object.destroy_instances(&id, &instances).await?;
            Ok(InstancesDestroyed { name, id })
        };
    "Group.FreeGroup" Write
        Free { name: PluginName = "Name", id: GroupId = "ID" }
        -> Freed { name: PluginName = "Name", id: GroupId = "ID" }
        = |object, Free { name, id }| {
            object.free_group(&id).await?;
            Ok(Freed { name, id })
        };
    "Group.InspectGroups" Read
        Inspect { name: PluginName = "Name", id: GroupId = "ID" }
        -> Inspected { name: PluginName = "Name", id: GroupId = "ID", groups: Vec<GroupSpec> = "Groups" }
        = |object, Inspect { name, id }| {
            let groups = object.inspect_groups().await?;
            Ok(Inspected { name, id, groups })
        };
    "Group.SetSize" Write
        SetSize { name: PluginName = "Name", id: GroupId = "ID", size: i64 = "Size" }
        -> SizeSet { name: PluginName = "Name", id: GroupId = "ID" }
        = |object, SetSize { name, id, size }| {
            let size = u32::try_from(size).map_err(|_| {
                crate::PluginError::refused(format!(
                    "set the size of group {id}: {size} is not a number from 0 to {}", u32::MAX
                ))
            })?;
            object.set_size(&id, size).await?;
            Ok(SizeSet { name, id })
        };
    "Group.Size" Read
        SizeOf { name: PluginName = "Name", id: GroupId = "ID" }
        -> Sized { name: PluginName = "Name", id: GroupId = "ID", size: u32 = "Size" }
        = |object, SizeOf { name, id }| {
            let size = object.size(&id).await?;
            Ok(Sized { name, id, size })
        };
}
