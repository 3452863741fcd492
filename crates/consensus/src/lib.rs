//! Replicated deterministic state machines: OpenRaft behind a narrow interface.
//!
//! It must never acknowledge a command that a majority could forget, nor let the name of the engine
//! below be seen by anybody above.
