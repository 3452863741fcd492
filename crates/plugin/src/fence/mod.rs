//! Fences on calls: under whose leadership a call is made, and who refuses it.
//!
//! A [`Mandate`] goes with a call as a value of its task ([`Mandate::scope`]) and, over a socket, as
//! the header `Regrow-Fence`. It is not an argument of the service interfaces, although that would
//! be plainer: those are InfraKit's, every provider and every foreign plugin has them as they are,
//! and next to no implementation has a use for a fence. What spawns a task that calls other
//! plugins must take the mandate along.
//!
//! Who is called need not know of this: a [`Plugin`](crate::Plugin) puts its objects behind a gate,
//! which refuses, before the object hears of it, what changes something under a lower fence than the
//! plugin has seen. Looking raises the mark too, so that a leader that has looked knows that nothing
//! of an earlier one comes after. What was seen outlives the plugin where it is given a file
//! ([`Plugin::keep_fences`](crate::Plugin::keep_fences)). Calls without a mandate pass: people and foreign callers have none.

mod gate;
mod kept;
mod objects;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use regrow_ids::Fence;

pub(crate) use gate::Gate;
pub use kept::KeptFencesError;
pub(crate) use objects::FencedObjects;

/// The header that carries a mandate over a socket: `FENCE;lineage=NUMBER`, both decimal. The second
/// part may be missing and is 0 then.
pub const HEADER: &str = "regrow-fence";

tokio::task_local! {
    static CURRENT: Option<Mandate>;
    static IN_FORCE: InForce;
}

/// Tells whether a mandate is still in force, at any moment and without waiting.
pub type InForce = Arc<dyn Fn() -> bool + Send + Sync>;

/// Whether the running call's mandate is in force, as far as its caller can tell.
pub(crate) fn in_force() -> bool {
    IN_FORCE.try_with(|in_force| in_force()).unwrap_or(true)
}

/// What entitles to a call: a leadership, by its fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mandate {
    /// The fence of the leadership.
    pub fence: Fence,
    /// Where the fence comes from. Fences of one lineage can be compared; those of two say nothing
    /// about one another. A random number, drawn when the source of fences was made.
    pub lineage: u64,
}

impl Mandate {
    /// That of the running call.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| *current).ok().flatten()
    }

    /// Does something under a mandate, or under none.
    pub async fn scope<F: Future>(mandate: Option<Self>, call: F) -> F::Output {
        CURRENT.scope(mandate, call).await
    }

    /// As [`scope`](Self::scope), for a caller who can tell whether the mandate is in force: a gate in
    /// the same process asks again when the call had to wait there.
    pub async fn scope_while<F: Future>(self, in_force: InForce, call: F) -> F::Output {
        IN_FORCE.scope(in_force, CURRENT.scope(Some(self), call)).await
    }
}

impl fmt::Display for Mandate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};lineage={}", self.fence, self.lineage)
    }
}

/// What is not a mandate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read {HEADER} {text:?}: expected FENCE;lineage=NUMBER, both decimal")]
pub struct BadMandate {
    /// Its beginning.
    pub text: String,
}

/// Longest part of a bad mandate in an error text.
const MAX_SHOWN_CHARS: usize = 64;

impl FromStr for Mandate {
    type Err = BadMandate;

    fn from_str(text: &str) -> Result<Self, BadMandate> {
        let bad = || BadMandate { text: text.chars().take(MAX_SHOWN_CHARS).collect() };
        let number = |digits: &str| {
            // Not what the parser of numbers takes beyond digits, such as a sign.
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u64>().ok().filter(|_| plain).ok_or_else(bad)
        };
        let (fence, lineage) = match text.split_once(';') {
            None => (text, 0),
            Some((fence, rest)) => {
                (fence, number(rest.trim().strip_prefix("lineage=").ok_or_else(bad)?)?)
            }
        };
        Ok(Self { fence: Fence::new(number(fence.trim())?), lineage })
    }
}

#[cfg(test)]
mod tests {
    use regrow_ids::Fence;

    use super::Mandate;

    #[test]
    fn mandates_read_back_as_printed_and_nothing_else_does() {
        let most = Mandate { fence: Fence::new(u64::MAX), lineage: u64::MAX };
        assert_eq!(most.to_string().parse(), Ok(most));
        assert_eq!("7".parse(), Ok(Mandate { fence: Fence::new(7), lineage: 0 }));
        for text in ["", "x", "-1", "+1", "7;", "7;lineage=", "7;lineage=x", "18446744073709551616"]
        {
            assert!(text.parse::<Mandate>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_mandate_goes_with_the_task_and_not_into_another() {
        let mandate = Some(Mandate { fence: Fence::new(3), lineage: 1 });
        assert_eq!(Mandate::current(), None);
        let seen = Mandate::scope(mandate, async {
            let spawned = tokio::spawn(async { Mandate::current() }).await;
            (Mandate::current(), spawned.expect("ended"))
        });
        assert_eq!(seen.await, (mandate, None));
    }
}
