//! Calls for one instance, which go to the one choice that has it.

use std::sync::Arc;

use regrow_ids::InstanceId;
use regrow_plugin::Effect;
use regrow_plugin::spi::{Description, DestroyReason, Instance, Result, Tags};

use super::SelectorError;
use super::fan::{self, CHANGE_LIMIT};
use super::provider::{Core, Outcome, fault};

/// What is to be done with an instance.
pub(super) enum Change {
    Label(Tags),
    Destroy(DestroyReason),
}

impl Change {
    /// What is being done, for errors.
    fn doing(&self) -> &'static str {
        match self {
            Self::Label(_) => "label",
            Self::Destroy(_) => "destroy",
        }
    }

    /// The same with its object, and the method.
    fn doing_it(&self) -> (&'static str, &'static str) {
        match self {
            Self::Label(_) => ("label instance", "Instance.Label"),
            Self::Destroy(_) => ("destroy instance", "Instance.Destroy"),
        }
    }

    async fn call(&self, plugin: &Arc<dyn Instance>, id: &InstanceId) -> Result<()> {
        match self {
            Self::Label(labels) => plugin.label(id, labels).await,
            Self::Destroy(reason) => plugin.destroy(id, *reason).await,
        }
    }
}

impl Core {
    /// Changes an instance through the choice where it was seen, and where it was not seen, or not
    /// found any more, through the one that a list of everything shows.
    pub(super) async fn change(self: Arc<Self>, id: InstanceId, change: Change) -> Outcome<()> {
        let Some(seen) = self.owners.of(&id) else {
            let owner = self.owner(change.doing(), &id).await?;
            return self.change_in(owner, &id, &change).await;
        };
        let refusal = match self.change_in(seen, &id, &change).await {
            Err(SelectorError::Choice { source, doing, choice })
                if source.effect() == Effect::Refused =>
            {
                SelectorError::Choice { source, doing, choice }
            }
            done => return done,
        };
        // Others may have destroyed it, and another choice may have made one of that id since.
        self.owners.forget(&id);
        match self.owner(change.doing(), &id).await {
            Ok(owner) if owner != seen => self.change_in(owner, &id, &change).await,
            Err(gone @ SelectorError::Unknown { .. }) => Err(gone),
            Ok(_) | Err(_) => Err(refusal),
        }
    }

    async fn change_in(&self, at: usize, id: &InstanceId, change: &Change) -> Outcome<()> {
        let choice = &self.choices.as_slice()[at];
        let (doing, method) = change.doing_it();
        let call = async {
            let plugin = fan::find(&self.lookup, &choice.name).await?;
            fan::bounded(&choice.name, method, CHANGE_LIMIT, change.call(&plugin, id)).await
        };
        call.await.map_err(|source| fault(doing, choice, source))?;
        match change {
            Change::Label(_) if choice.affinity.labels.is_empty() => {}
            Change::Label(_) => self.counts.forget(),
            Change::Destroy(_) => {
                self.owners.forget(id);
                self.counts.gone(at, id);
            }
        }
        Ok(())
    }

    /// Position of the one choice that has an instance.
    async fn owner(&self, doing: &'static str, id: &InstanceId) -> Outcome<usize> {
        let answers = fan::list_all(&self.lookup, &self.choices, false, |_| Tags::new()).await;
        let mut owner: Option<(usize, Arc<Description>)> = None;
        let mut unsure = None;
        for (at, answer) in answers.into_iter().enumerate() {
            let list = match answer {
                Ok(list) => list,
                Err(fault) => {
                    unsure = unsure.or(Some(fault));
                    continue;
                }
            };
            let found = list.into_iter().find(|one| one.id == *id);
            match (found, &owner) {
                (Some(one), None) => owner = Some((at, one)),
                (Some(one), Some((first, known))) if one != *known => {
                    return Err(self.ambiguous(id, *first, at));
                }
                _ => {}
            }
        }
        match (owner, unsure) {
            (Some((at, _)), None) => {
                self.owners.found(id, at);
                Ok(at)
            }
            (Some((at, _)), Some(_)) => Ok(at),
            (None, Some(fault)) => Err(fault),
            (None, None) => Err(SelectorError::Unknown { doing, id: id.clone() }),
        }
    }
}
