//! Tests of the machine: what it does is looked at from outside, by inputs and effects.

mod lives;
mod rig;
