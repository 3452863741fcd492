//! The targets under libFuzzer. `FUZZ_TARGET` names the one to run; without it they are listed.
//! Arguments are libFuzzer's. Built and called by `cargo xtask fuzz`.
#![no_main]

use std::process::exit;
use std::sync::OnceLock;

use fuzz::{TARGETS, Target};

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = CHOSEN.set(choose());
        fuzz::memory::bound();
    },
    |data: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            (target.run)(data);
        }
    }
);

fn choose() -> &'static Target {
    let Some(name) = std::env::var_os("FUZZ_TARGET") else {
        for target in TARGETS {
            println!("{}\t{}", target.name, target.about);
        }
        exit(0)
    };
    fuzz::find(&name.to_string_lossy()).unwrap_or_else(|| {
        eprintln!("there is no target {name:?}; without FUZZ_TARGET they are listed");
        exit(64)
    })
}
