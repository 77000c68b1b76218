//! Arguments → settings → app → exit code.

fn main() {}
