//! A target of libFuzzer: the reader of `sharp_eyes::fuzz` that has this program's name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sharp_eyes::fuzz::TARGETS;
use std::sync::LazyLock;

static READ: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let target = TARGETS.iter().find(|(name, _)| *name == env!("CARGO_BIN_NAME"));
    target.expect("each program has the name of a reader").1
});

fuzz_target!(|bytes: &[u8]| READ(bytes));
