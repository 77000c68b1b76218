//! Runs the target `add_checkpoint` of `muniment::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| muniment::fuzzing::run("add_checkpoint", data));
