//! Runs the target `connect` of `muniment::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| muniment::fuzzing::run("connect", data));
