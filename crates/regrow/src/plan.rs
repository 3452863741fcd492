//! Plans that are shown before they are run: what was shown is run, or nothing is.
//!
//! A plan is compared as a whole: its text, and what it stands on (the stored document, the members).
//! It is looked at again right before the first call that changes something. What changes between that
//! look and that call is not noticed: the calls themselves carry no expectation.

use std::fmt;
use std::future::Future;

use anyhow::{Result, bail};
use sha2::{Digest as _, Sha256};

use crate::output::confirm;

/// Bytes of the digest in the name of a plan: enough that two plans never share one by accident.
const HASH_BYTES: usize = 8;

/// A plan as people see it, and what it stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    text: String,
    basis: Vec<String>,
}

impl Plan {
    /// What people see.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), basis: Vec::new() }
    }

    /// Adds something that must stay as it is.
    #[must_use]
    pub fn on(mut self, basis: impl Into<String>) -> Self {
        self.basis.push(basis.into());
        self
    }

    /// Name of this plan and of no other: 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for part in std::iter::once(&self.text).chain(&self.basis) {
            // With lengths, so that no two lists of parts read alike.
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.finalize().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Shows a plan and asks, unless `yes`; then looks again.
///
/// # Errors
/// It is not confirmed, or the plan is another one by then; nothing may be done.
pub async fn confirmed<F, L>(yes: bool, look: L) -> Result<()>
where
    F: Future<Output = Result<Plan>> + Send,
    L: Fn() -> F,
{
    // What nobody was shown needs no comparing.
    if yes { Ok(()) } else { confirmed_by(look, |plan| confirm(&plan.to_string(), false)).await }
}

async fn confirmed_by<F: Future<Output = Result<Plan>>>(
    look: impl Fn() -> F,
    ask: impl FnOnce(&Plan) -> Result<()>,
) -> Result<()> {
    let shown = look().await?;
    ask(&shown)?;
    let now = look().await?;
    if now != shown {
        bail!(
            "{shown}: what it is about changed while you were asked; nothing was done. Now the plan \
             is: {now}; run the command again to confirm that"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::{Plan, confirmed_by};

    #[test]
    fn a_plan_has_a_name_of_its_own() {
        let plan = Plan::new("a").on("b");
        assert_eq!(plan.hash(), Plan::new("a").on("b").hash());
        assert_eq!(plan.hash().len(), 16);
        for other in
            [Plan::new("ab"), Plan::new("a"), Plan::new("a").on("b").on(""), Plan::new("b")]
        {
            assert_ne!(plan.hash(), other.hash(), "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_world_that_changes_while_somebody_is_asked_ends_it() {
        let members = Cell::new(2);
        let look = || async { Ok(Plan::new("destroy web").on(members.get().to_string())) };
        assert!(confirmed_by(look, |_| Ok(())).await.is_ok());
        let asked = confirmed_by(look, |plan| {
            assert_eq!(plan.to_string(), "destroy web");
            members.set(3);
            Ok(())
        });
        let fault = asked.await.expect_err("changed").to_string();
        assert!(fault.contains("nothing was done"), "{fault}");
        let looks = Cell::new(0);
        let counting = || async {
            looks.set(looks.get() + 1);
            Ok(Plan::default())
        };
        assert!(confirmed_by(counting, |_| bail!("no")).await.is_err());
        assert_eq!(looks.get(), 1);
    }
}
