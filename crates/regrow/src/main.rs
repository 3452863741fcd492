//! regrow
fn main() {}
