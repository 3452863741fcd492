//! Tests of the machine: what it does is looked at from outside, by inputs and effects.

mod draw;
mod laws;
mod lives;
mod rig;
mod world;
