//! Runs the target `policy` of `muniment::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| muniment::fuzzing::run("policy", data));
