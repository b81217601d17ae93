//! The program of the fuzzer: gives what it makes up to the parser that `FUZZ_TARGET` names. Built by any other compiler it
//! gives it files: `cargo run -p fuzz -- <parser> <file>…` shows what a finding does.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static TARGET: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a parser"));
    fuzz::run(&TARGET, bytes)
});

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let target = args.next().unwrap_or_default();
    args.try_for_each(|file| std::fs::read(file).map(|bytes| fuzz::run(&target, &bytes)))
}
