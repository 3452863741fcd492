use rand::RngExt as _;
use rand::rngs::StdRng;
use regrow_ids::{GoDuration, InstanceId};
use serde::{Deserialize, Serialize};

/// When something goes wrong: the next so many times, and after that by chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Fault {
    /// This many calls from now on. Default 0.
    pub next: u32,
    /// Share of the calls after that, 0 to 1. Default 0.
    pub rate: f64,
}

impl Fault {
    /// The next `count` calls.
    pub const fn next(count: u32) -> Self {
        Self { next: count, rate: 0.0 }
    }

    /// A share of all calls.
    pub const fn rate(share: f64) -> Self {
        Self { next: 0, rate: share }
    }

    /// Every call until it is switched off.
    pub const fn always() -> Self {
        Self::rate(1.0)
    }

    /// Decides for one call.
    pub(super) fn strikes(&mut self, rng: &mut StdRng) -> bool {
        if self.next > 0 {
            self.next -= 1;
            return true;
        }
        // No draw at rate zero: switching on one fault must not shift the chances of another.
        self.rate > 0.0 && rng.random_bool(self.rate.clamp(0.0, 1.0))
    }
}

/// What goes wrong. All off by default; can be changed while the simulator runs through
/// [`super::SimulatedInstances::configure`].
///
/// Where several faults of one call are on, the first in the order of the fields wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Faults {
    /// Seed of all chances. Default 0.
    pub seed: u64,

    /// Provision refuses and makes nothing.
    pub create_fails: Fault,
    /// Provision makes the instance and reports a failure.
    pub create_fails_after_making: Fault,
    /// Provision makes the instance and reports that no answer came in time.
    pub create_times_out: Fault,
    /// How long a call that times out hangs first. Default 0: it fails at once.
    pub create_times_out_after: GoDuration,
    /// How long after such a call the instance is made. Default 0: at once.
    pub create_appears_after: GoDuration,
    /// Provision makes two instances and reports one.
    pub create_makes_two: Fault,

    /// Lists show the world as it was so long ago. Default 0. The past is known for an hour and
    /// 16,384 changes; a list that would need more shows the oldest world that is known.
    pub list_lag: GoDuration,
    /// Lists fail.
    pub list_fails: Fault,
    /// Lists are empty.
    pub list_empty: Fault,
    /// Lists end early.
    pub list_partial: Fault,
    /// How much of a partial list there is, in percent. Default 50.
    pub list_partial_percent: u8,
    /// These instances are missing in every second list.
    pub flapping: Vec<InstanceId>,

    /// Destroy refuses and destroys nothing.
    pub destroy_fails: Fault,
    /// Destroy destroys and reports that no answer came in time.
    pub destroy_times_out: Fault,
    /// Label refuses and changes nothing.
    pub label_fails: Fault,
}

/// Default of [`Faults::list_partial_percent`].
const PARTIAL_PERCENT: u8 = 50;

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 0,
            create_fails: Fault::default(),
            create_fails_after_making: Fault::default(),
            create_times_out: Fault::default(),
            create_times_out_after: GoDuration::ZERO,
            create_appears_after: GoDuration::ZERO,
            create_makes_two: Fault::default(),
            list_lag: GoDuration::ZERO,
            list_fails: Fault::default(),
            list_empty: Fault::default(),
            list_partial: Fault::default(),
            list_partial_percent: PARTIAL_PERCENT,
            flapping: Vec::new(),
            destroy_fails: Fault::default(),
            destroy_times_out: Fault::default(),
            label_fails: Fault::default(),
        }
    }
}

/// How one Provision ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CreateFate {
    Good,
    Refused,
    RefusedAfterMaking,
    TimesOut,
    MakesTwo,
}

/// How one list ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListFate {
    Good,
    Fails,
    Empty,
    Partial,
}

/// How one Destroy ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DestroyFate {
    Good,
    Refused,
    TimesOut,
}

impl Faults {
    pub(super) fn draw_create(&mut self, rng: &mut StdRng) -> CreateFate {
        if self.create_fails.strikes(rng) {
            CreateFate::Refused
        } else if self.create_fails_after_making.strikes(rng) {
            CreateFate::RefusedAfterMaking
        } else if self.create_times_out.strikes(rng) {
            CreateFate::TimesOut
        } else if self.create_makes_two.strikes(rng) {
            CreateFate::MakesTwo
        } else {
            CreateFate::Good
        }
    }

    pub(super) fn draw_list(&mut self, rng: &mut StdRng) -> ListFate {
        if self.list_fails.strikes(rng) {
            ListFate::Fails
        } else if self.list_empty.strikes(rng) {
            ListFate::Empty
        } else if self.list_partial.strikes(rng) {
            ListFate::Partial
        } else {
            ListFate::Good
        }
    }

    pub(super) fn draw_destroy(&mut self, rng: &mut StdRng) -> DestroyFate {
        if self.destroy_fails.strikes(rng) {
            DestroyFate::Refused
        } else if self.destroy_times_out.strikes(rng) {
            DestroyFate::TimesOut
        } else {
            DestroyFate::Good
        }
    }
}
