use crate::spi::{LeaderLocation, Spec, SpecObject, Stack};

super::service! {
    Stack: stacks, dyn Stack, sole;
    "Manager.Enforce" Slow
        Enforce { specs: Vec<Spec> = "Specs" } -> Enforced {}
        = |object, request| object.enforce(&request.specs).await.map(|()| Enforced {});
    "Manager.Inspect" Read
        Inspect {} -> Inspected { objects: Vec<SpecObject> = "Objects" }
        = |object, _| Ok(Inspected { objects: object.inspect().await? });
    "Manager.IsLeader" Read
        IsLeader {} -> Leads { leader: bool = "Leader" }
        = |object, _| Ok(Leads { leader: object.is_leader().await? });
    "Manager.LeaderLocation" Read
        Location {} -> Located { location: Option<LeaderLocation> = "Location" }
        = |object, _| Ok(Located { location: object.leader_location().await? });
    "Manager.Specs" Read
        Specs {} -> Stored { specs: Vec<Spec> = "Specs" }
        = |object, _| Ok(Stored { specs: object.specs().await? });
    "Manager.Terminate" Slow
        Terminate { specs: Vec<Spec> = "Specs" } -> Terminated {}
        = |object, request| object.terminate(&request.specs).await.map(|()| Terminated {});
}
