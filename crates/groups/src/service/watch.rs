//! Hints from providers: a loss that is reported heals at once instead of at the next poll.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use regrow_ids::{InstanceId, PluginName};
use regrow_plugin::spi::EventStream;
use regrow_plugin::{Lookup, topics};
use regrow_reconcile::Handle;

use crate::controller::GroupController;

/// Pause before a provider is asked again for its events.
const RETRY: Duration = Duration::from_secs(10);

/// So often it is checked whether the group still has the same provider.
const CHECK: Duration = Duration::from_secs(30);

/// Follows the events of a group's provider until the group is no longer watched.
pub(super) fn follow(plugins: Arc<dyn Lookup>, handle: Handle<GroupController>) {
    tokio::spawn(async move {
        loop {
            let Some(provider) =
                handle.read(|state| state.config.document.instance.plugin.clone()).await
            else {
                return;
            };
            tokio::select! {
                () = handle.stopped() => return,
                () = pass_on(plugins.as_ref(), &provider, &handle) => {}
            }
            tokio::select! {
                () = handle.stopped() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    });
}

/// Passes on what a provider reports, until its stream ends.
async fn pass_on(plugins: &dyn Lookup, provider: &PluginName, handle: &Handle<GroupController>) {
    let Some(mut events) = subscribe(plugins, provider).await else { return };
    loop {
        let event = tokio::time::timeout(CHECK, events.next()).await;
        let own = handle.read(|state| state.config.document.instance.plugin.clone()).await;
        if own.as_ref() != Some(provider) {
            return;
        }
        let Ok(event) = event else { continue };
        let Some(event) = event else { break };
        if event.kind == topics::CHANGED && event.id.is_empty() {
            // The provider does not know what it missed.
            handle.wake();
        }
        if event.kind != topics::LOST {
            continue;
        }
        let id = InstanceId::from(event.id.as_str());
        match handle.with(move |state, now| state.report_lost(&id, now)).await {
            Some(true) => handle.wake(),
            Some(false) => {}
            None => return,
        }
    }
    // What happened while nobody listened is not known: look.
    handle.wake();
}

async fn subscribe(plugins: &dyn Lookup, provider: &PluginName) -> Option<EventStream> {
    plugins.instance(provider).await.ok()?.watch()
}
