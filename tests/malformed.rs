//! Bytes that no device, viewer or disk should bring break nothing: what libFuzzer looks for in
//! `tests/fuzz`, a little of it in each test run.

use crate::support::dice::Dice;
use sharp_eyes::fuzz::TARGETS;
use std::panic::catch_unwind;
use std::path::Path;

/// Changed copies of each target's seeds.
const MUTATIONS: usize = 10_000;
/// Bytes on which readers turn.
const TURNS: &[u8] = b"\0\xff\x7f\x80\r\n\t ,;:=\"<>{}[]$/-0129";
/// Longer than this a copy does not grow.
const LONGEST: usize = 8 << 10;

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has seeds");
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn below(dice: &mut Dice, n: usize) -> usize {
    usize::try_from(dice.roll(n.max(1) as u64)).unwrap()
}

/// A range of some bytes, mostly a short one.
fn range(dice: &mut Dice, bytes: &[u8]) -> std::ops::Range<usize> {
    let start = below(dice, bytes.len());
    let length = if dice.one_in(4) { below(dice, bytes.len() + 1) } else { 1 + below(dice, 4) };
    start.min(bytes.len())..(start + length).min(bytes.len())
}

/// One change: a byte, a stretch gone, twice, or from another seed.
fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut Dice) {
    let at = range(dice, bytes);
    match dice.roll(6) {
        0 => drop(bytes.drain(at)),
        1 if bytes.len() < LONGEST => {
            let again = bytes[at.clone()].to_vec();
            drop(bytes.splice(at.start..at.start, again));
        }
        2 if bytes.len() < LONGEST => {
            let other = &seeds[below(dice, seeds.len())];
            let piece = other[range(dice, other)].to_vec();
            drop(bytes.splice(at, piece));
        }
        3 => {
            if let Some(byte) = bytes.get_mut(at.start) {
                *byte ^= 1 << dice.roll(8);
            }
        }
        _ => {
            let turn = dice.pick(TURNS);
            if dice.one_in(2) && bytes.len() < LONGEST {
                bytes.insert(at.start, turn);
            } else if let Some(byte) = bytes.get_mut(at.start) {
                *byte = turn;
            }
        }
    }
}

#[test]
fn c26_no_reader_of_outside_bytes_panics() {
    let seed = u64::from_le_bytes(web::token::random());
    println!("seed {seed}");
    for (target, read) in TARGETS {
        let (seeds, mut dice) = (seeds(target), Dice(seed));
        seeds.iter().for_each(|seed| read(seed));
        for _ in 0..MUTATIONS {
            let mut bytes = seeds[below(&mut dice, seeds.len())].clone();
            for _ in 0..1 + dice.roll(6) {
                change(&mut bytes, &seeds, &mut dice);
            }
            let read = catch_unwind(|| read(&bytes));
            assert!(read.is_ok(), "{target} with seed {seed}: {}", bytes.escape_ascii());
        }
    }
}

#[test]
fn every_folder_of_seeds_is_a_readers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    for seeds in std::fs::read_dir(folder).unwrap() {
        let name = seeds.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "no reader is called {name}");
    }
}
