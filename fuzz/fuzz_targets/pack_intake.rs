#![no_main]

use std::sync::LazyLock;

use git::pack::probe::Ground;

static GROUND: LazyLock<Ground> = LazyLock::new(|| Ground::new().expect("a temporary directory"));

libfuzzer_sys::fuzz_target!(|body: &[u8]| GROUND.pack_intake(body));
