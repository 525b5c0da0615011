//! The target of libFuzzer: the reader of `sharp_eyes::fuzz` that `SHARP_EYES_READER` names. One
//! program for all of them, because linking one takes longer than a run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sharp_eyes::fuzz::TARGETS;
use std::sync::LazyLock;

static READ: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("SHARP_EYES_READER").expect("SHARP_EYES_READER names a reader; see scripts/fuzz");
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    target.expect("SHARP_EYES_READER is a reader of sharp_eyes::fuzz").1
});

fuzz_target!(|bytes: &[u8]| READ(bytes));
