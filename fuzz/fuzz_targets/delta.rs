#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| git::pack::probe::delta(bytes));
