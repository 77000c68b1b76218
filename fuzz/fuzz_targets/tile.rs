//! Runs the target `tile` of `muniment::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| muniment::fuzzing::run("tile", data));
