use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::conformance::site::Site;
use crate::conformance::{Verdict, ensure, not_applicable};
use crate::spi::{GroupDescription, GroupSpec, Interface};

/// A group that no controller watches.
const NOBODY: &str = "regrow-check-no-such-group";

/// Groups that are looked at in detail.
const SAMPLE: usize = 5;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Answer {
    name: String,
    #[serde(rename = "ID")]
    id: String,
    groups: Vec<GroupSpec>,
    description: GroupDescription,
    size: Option<i64>,
}

async fn ask(site: &Site, method: &str, id: &str) -> Verdict<Answer> {
    let name = site.name(Interface::Group)?;
    site.result(method, &json!({"Name": name, "ID": id})).await
}

async fn groups(site: &Site) -> Verdict<Vec<GroupSpec>> {
    ask(site, "Group.InspectGroups", "").await.map(|answer| answer.groups)
}

/// Some of the groups; not applicable if there is none.
async fn sample(site: &Site) -> Verdict<Vec<String>> {
    let groups = groups(site).await?;
    if groups.is_empty() {
        return not_applicable("it watches no group");
    }
    Ok(groups.into_iter().take(SAMPLE).map(|group| group.id.to_string()).collect())
}

async fn inspects(site: &Site) -> Verdict {
    let groups = groups(site).await?;
    let ids: BTreeSet<_> = groups.iter().map(|group| group.id.as_str()).collect();
    ensure(!ids.contains(""), || "a group has no id".to_owned())?;
    ensure(ids.len() == groups.len(), || "a group is listed twice".to_owned())
}

async fn describes(site: &Site) -> Verdict {
    for id in sample(site).await? {
        let answer = ask(site, "Group.DescribeGroup", &id).await?;
        let members = answer.description.instances;
        let ids: BTreeSet<_> = members.iter().map(|one| one.id.as_str()).collect();
        ensure(ids.len() == members.len() && !ids.contains(""), || {
            format!("the members of {id} have no ids of their own")
        })?;
    }
    Ok(())
}

async fn sizes(site: &Site) -> Verdict {
    for id in sample(site).await? {
        let size = ask(site, "Group.Size", &id).await?.size;
        ensure(size.is_some_and(|size| size >= 0), || format!("the size of {id} is {size:?}"))?;
    }
    Ok(())
}

async fn echoes(site: &Site) -> Verdict {
    let name = site.name(Interface::Group)?;
    let answer = ask(site, "Group.InspectGroups", "").await?;
    ensure(answer.name == name.as_str(), || format!("asked {name}, {:?} answers", answer.name))?;
    for id in sample(site).await? {
        let answer = ask(site, "Group.Size", &id).await?;
        ensure(answer.id == id, || format!("asked for {id}, got {:?}", answer.id))?;
    }
    Ok(())
}

async fn unknown_group(site: &Site) -> Verdict {
    let name = site.name(Interface::Group)?;
    for method in ["Group.DescribeGroup", "Group.FreeGroup", "Group.DestroyGroup", "Group.Size"] {
        site.refusal(method, &json!({"Name": name, "ID": NOBODY})).await?;
    }
    site.refusal("Group.SetSize", &json!({"Name": name, "ID": NOBODY, "Size": 1})).await?;
    let params = json!({"Name": name, "ID": NOBODY, "Instances": ["x"]});
    site.refusal("Group.DestroyInstances", &params).await.map(drop)
}

async fn pretends(site: &Site) -> Verdict {
    let name = site.name(Interface::Group)?;
    let before = groups(site).await?;
    for spec in [json!({"ID": NOBODY, "Properties": {}}), json!({"ID": "", "Properties": null})] {
        let params = json!({"Name": name, "Spec": spec, "Pretend": true});
        site.refusal("Group.CommitGroup", &params).await?;
    }
    let after = groups(site).await?;
    ensure(before == after, || {
        format!("{} groups before pretending, {} after", before.len(), after.len())
    })
}

async fn refuses_bad_documents(site: &Site) -> Verdict {
    let name = site.name(Interface::Group)?;
    let before = groups(site).await?;
    let properties = json!({
        "Instance": {"Plugin": "regrow-check-nobody", "Properties": {}},
        "Flavor": {"Plugin": "regrow-check-nobody", "Properties": {}},
        "Allocation": {"Size": 1},
    });
    let spec = json!({"ID": NOBODY, "Properties": properties});
    let params = json!({"Name": name, "Spec": spec, "Pretend": false});
    let refused = site.refusal("Group.CommitGroup", &params).await;
    let after = groups(site).await?;
    ensure(before == after, || "a refused document was stored".to_owned())?;
    refused.map(drop)
}

async fn tells_state(site: &Site) -> Verdict {
    let name = site.name(Interface::Group)?;
    for id in sample(site).await? {
        let params = json!({"Name": name, "ID": id});
        let answer: Value = site.result("Group.DescribeGroup", &params).await?;
        let converged = answer.pointer("/Description/Converged");
        ensure(converged.is_some_and(Value::is_boolean), || format!("Converged is {converged:?}"))?;
    }
    Ok(())
}

super::checks! {
    "group.inspect" Must "lists its groups" = inspects;
    "group.describe" Must "lists the members of a group" = describes within 8;
    "group.converged" Must "says whether a group has converged" = tells_state within 8;
    "group.size" Must "tells the size of a group" = sizes within 8;
    "group.echo" Should "returns the Name and ID of the request" = echoes within 8;
    "group.unknown" Must "refuses an unknown group" = unknown_group within 8;
    "group.pretend" Must "changes nothing when it pretends" = pretends;
    "group.refuses" Must "stores nothing that it refuses" = refuses_bad_documents;
}
