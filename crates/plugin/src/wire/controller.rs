use regrow_ids::PluginName;

use crate::spi::{Controller, ObjectMeta, Operation, Plan as PlanText, Spec, SpecObject};

// A commit may answer only when what it destroys is gone: which operation it is stands in the
// request, and the time limit belongs to the method.
super::service! {
    Controller: controllers, dyn Controller, keyed;
    "Controller.Commit" Slow
        Commit { name: PluginName = "Name", operation: Operation = "Operation", spec: Spec = "Spec" }
        -> Committed { name: PluginName = "Name", object: SpecObject = "Object", plan: PlanText = "Plan" }
        = |target, Commit { name, operation, spec }| {
            let (object, plan) = target.commit(operation, &spec).await?;
            Ok(Committed { name, object, plan })
        };
    "Controller.Describe" Read
        Describe { name: PluginName = "Name", metadata: Option<ObjectMeta> = "Metadata" }
        -> Described { name: PluginName = "Name", objects: Vec<SpecObject> = "Objects" }
        = |target, Describe { name, metadata }| {
            let objects = target.describe(metadata.as_ref()).await?;
            Ok(Described { name, objects })
        };
    "Controller.Free" Write
        Free { name: PluginName = "Name", metadata: Option<ObjectMeta> = "Metadata" }
        -> Freed { name: PluginName = "Name", objects: Vec<SpecObject> = "Objects" }
        = |target, Free { name, metadata }| {
            let objects = target.free(metadata.as_ref()).await?;
            Ok(Freed { name, objects })
        };
    "Controller.Plan" Read
        Plan { name: PluginName = "Name", operation: Operation = "Operation", spec: Spec = "Spec" }
        -> Planned { name: PluginName = "Name", object: SpecObject = "Object", plan: PlanText = "Plan" }
        = |target, Plan { name, operation, spec }| {
            let (object, plan) = target.plan(operation, &spec).await?;
            Ok(Planned { name, object, plan })
        };
}
