//! All verbs. The order is that of InfraKit: where verbs clash, the first keeps the name.

use regrow_plugin::spi::Interface;

use super::{
    Verb, controller, event, flavor, group, info, instance, l4, metadata, resource, stack,
};

const GROUP: &[Interface] = &[Interface::Group];
const CONTROLLER: &[Interface] = &[Interface::Controller];
const INSTANCE: &[Interface] = &[Interface::Instance];
const FLAVOR: &[Interface] = &[Interface::Flavor];
const METADATA: &[Interface] = &[Interface::Metadata, Interface::Updatable];
const UPDATABLE: &[Interface] = &[Interface::Updatable];
const EVENT: &[Interface] = &[Interface::Event];
const BALANCER: &[Interface] = &[Interface::L4];
const STACK: &[Interface] = &[Interface::Stack];
const RESOURCE: &[Interface] = &[Interface::Resource];

/// Every verb that a plugin's object may have.
pub static VERBS: &[Verb] = &[
    Verb::of::<info::InfoArgs>(&[], "info", "Show what the plugin says about itself"),
    Verb::of::<group::CommitGroup>(GROUP, "commit-group", "Commit a group: create or change it"),
    Verb::of::<group::Ls>(GROUP, "ls", "List the members of a group"),
    Verb::of::<group::Inspect>(GROUP, "inspect", "Show the document of a group"),
    Verb::of::<group::Free>(GROUP, "free-group", "Stop watching a group; its members stay"),
    Verb::of::<group::Destroy>(GROUP, "destroy", "Destroy a group with all its members"),
    Verb::of::<group::DestroyInstances>(
        GROUP,
        "destroy-instance",
        "Destroy members and shrink the group by their number",
    ),
    Verb::of::<group::Scale>(GROUP, "scale", "Show or change the size of a group"),
    Verb::of::<group::GroupNames>(GROUP, "groups", "List the groups"),
    Verb::of::<controller::CommitArgs>(CONTROLLER, "commit", "Commit a spec"),
    Verb::of::<controller::ControllerDescribe>(CONTROLLER, "describe", "Describe objects"),
    Verb::of::<controller::FreeArgs>(
        CONTROLLER,
        "free",
        "Stop watching objects; nothing is destroyed",
    ),
    Verb::of::<instance::DescribeArgs>(INSTANCE, "describe", "List instances"),
    Verb::of::<instance::ProvisionArgs>(INSTANCE, "provision", "Make an instance"),
    Verb::of::<instance::DestroyArgs>(INSTANCE, "destroy", "Destroy instances"),
    Verb::of::<instance::LabelArgs>(INSTANCE, "label", "Add tags to an instance"),
    Verb::of::<instance::ValidateArgs>(
        INSTANCE,
        "validate",
        "Check settings without doing anything",
    ),
    Verb::of::<flavor::ValidateFlavor>(FLAVOR, "validate", "Check settings of a flavor"),
    Verb::of::<flavor::PrepareArgs>(FLAVOR, "prepare", "Complete the spec of an instance"),
    Verb::of::<flavor::HealthyArgs>(FLAVOR, "healthy", "Ask whether an instance works"),
    Verb::of::<metadata::KeysArgs>(METADATA, "keys", "List keys"),
    Verb::of::<metadata::CatArgs>(METADATA, "cat", "Show values"),
    Verb::of::<metadata::ChangeArgs>(UPDATABLE, "change", "Change values"),
    Verb::of::<event::TopicsArgs>(EVENT, "topics", "List topics"),
    Verb::of::<event::TailArgs>(EVENT, "tail", "Show events as they come"),
    Verb::of::<l4::RoutesArgs>(BALANCER, "routes", "List, add or remove routes"),
    Verb::of::<l4::BackendsArgs>(BALANCER, "backends", "List, add or remove backends"),
    Verb::of::<stack::EnforceArgs>(STACK, "enforce", "Make specs true and remember them"),
    Verb::of::<stack::InspectArgs>(STACK, "inspect", "Show the stored specs with their state"),
    Verb::of::<stack::SpecsArgs>(STACK, "specs", "Show the stored specs"),
    Verb::of::<stack::TerminateArgs>(STACK, "terminate", "Destroy what specs describe"),
    Verb::of::<resource::CommitResource>(RESOURCE, "commit", "Make resources"),
    Verb::of::<resource::DescribeResource>(RESOURCE, "describe", "Describe resources"),
    Verb::of::<resource::DestroyResource>(RESOURCE, "destroy", "Destroy resources"),
];
