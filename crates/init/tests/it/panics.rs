//! Promise S7: what the linker can reach from the loop of init neither panics nor allocates.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What symbols of panicking and of the allocator have in their names.
const FORBIDDEN: [&str; 6] =
    ["panick", "unwrap_failed", "expect_failed", "index_fail", "__rust_alloc", "__rust_realloc"];

#[test]
fn the_loop_reaches_no_panic_and_no_allocator() {
    let library = build();
    assert_eq!(reached(&library, "regrow_init_run"), Vec::<&str>::new());
    // What the worker calls does both: the search is not blind.
    let encode = symbol(&library, "7Command6encode");
    assert_ne!(reached(&library, &encode), Vec::<&str>::new());
}

/// The library as a release has it. Landing pads are left out: they matter only where something panics.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("panics");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["rustc", "--quiet", "--offline", "--release", "--lib", "--target-dir"])
        .arg(&target);
    cargo.args(["--", "-Cpanic=abort", "-Ccodegen-units=1"]);
    let done = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("run cargo");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    target.join("release/libregrow_init.rlib")
}

/// Forbidden names in what is left when only what `entry` needs is linked.
fn reached(library: &Path, entry: &str) -> Vec<&'static str> {
    let rustc = Command::new("rustc").args(["--print", "target-libdir"]).output().expect("rustc");
    let folder = String::from_utf8(rustc.stdout).expect("a path");
    let files = std::fs::read_dir(folder.trim()).expect("the standard library").flatten();
    let standard = files.map(|file| file.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = ["libcore-", "libstd-", "liballoc-"].iter().any(|part| name.starts_with(part));
        wanted && name.ends_with(".rlib")
    });
    let linked = library.with_file_name(format!("linked-{}", entry.len()));
    let mut cc = Command::new("cc");
    cc.args([
        "-nostdlib",
        "-no-pie",
        "-Wl,--gc-sections,--strip-debug",
        "-Wl,--unresolved-symbols=ignore-all",
    ]);
    cc.arg(format!("-Wl,-e,{entry},-u,{entry}")).arg(library).args(standard);
    let done = cc.arg("-o").arg(&linked).output().expect("run cc");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let bytes = std::fs::read(&linked).expect("what was linked");
    assert!(contains(&bytes, entry), "the entry is there");
    FORBIDDEN.into_iter().filter(|name| contains(&bytes, name)).collect()
}

fn contains(bytes: &[u8], name: &str) -> bool {
    bytes.windows(name.len()).any(|part| part == name.as_bytes())
}

/// The whole name of the symbol with this in it.
fn symbol(library: &Path, part: &str) -> String {
    let bytes = std::fs::read(library).expect("the library");
    let found = bytes.windows(part.len()).position(|at| at == part.as_bytes()).expect(part);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$.".contains(byte);
    let before = bytes[..found].iter().rev().take_while(|byte| is_name(byte)).count();
    let after = bytes[found..].iter().take_while(|byte| is_name(byte)).count();
    String::from_utf8_lossy(&bytes[found - before..found + after]).into_owned()
}
