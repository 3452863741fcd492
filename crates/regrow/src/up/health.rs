//! The flavor's word on every member, asked directly: a group asks by itself only during an update
//! or with a health policy.

use regrow_groups::Groups;
use regrow_ids::GroupId;
use regrow_plugin::Lookup;
use regrow_plugin::spi::Health;

/// True when every member of every group is healthy.
pub async fn all_healthy(groups: &Groups, plugins: &dyn Lookup, ids: &[GroupId]) -> bool {
    let each = ids.iter().map(|id| healthy(groups, plugins, id));
    futures::future::join_all(each).await.into_iter().all(|healthy| healthy)
}

async fn healthy(groups: &Groups, plugins: &dyn Lookup, id: &GroupId) -> bool {
    let known = groups
        .inspect(id, |state| {
            let members: Vec<_> =
                state.members.values().map(|member| member.description.clone()).collect();
            (state.config.clone(), members)
        })
        .await;
    let Ok((config, members)) = known else { return false };
    if members.len() != config.membership.size() as usize {
        return false;
    }
    let settings = &config.document.flavor;
    let Ok(flavor) = plugins.flavor(&settings.plugin).await else { return false };
    let asked = members.iter().map(|member| flavor.healthy(&settings.properties, member));
    let answers = futures::future::join_all(asked).await;
    answers.into_iter().all(|answer| answer == Ok(Health::Healthy))
}
