//! Tests of the machine: what it does is looked at from outside, by inputs and effects.

mod cells;
mod complaints;
mod draw;
mod laws;
mod lives;
mod locks;
mod reloads;
mod rig;
mod world;
