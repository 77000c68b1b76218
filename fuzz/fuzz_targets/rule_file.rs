//! Runs the target `rule_file` of `muniment::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| muniment::fuzzing::run("rule_file", data));
