//! Links the program to one place in memory; see docs/adr/0018-one-place-in-memory.md.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-no-pie");
}
