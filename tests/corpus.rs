//! Every parser over the saved corpus: the inputs as they are, cut short, and with bytes changed.
//!
//! The fuzzer finds new inputs (`.ci/fuzz`); what it found once stays found here.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::support::root;

#[path = "fuzz/targets/mod.rs"]
mod targets;

use targets::{TARGETS, Target};

/// The corpus stays one that people can look at.
const MAX_CORPUS: u64 = 300 * 1024;

fn corpus() -> PathBuf {
    root().join("tests/fuzz/corpus")
}

/// The inputs of a parser by name.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(corpus().join(target.name))
        .unwrap_or_else(|error| panic!("`{}` has no corpus: {error}", target.name))
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = format!("{}/{}", target.name, path.file_name().unwrap().display());
            (name, fs::read(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// Runs one input and says which it was if the parser breaks.
fn run(target: &Target, name: &str, input: &[u8]) -> bool {
    std::panic::catch_unwind(|| (target.run)(input))
        .unwrap_or_else(|_| panic!("`{name}` breaks its parser: {}", hex::encode(input)))
}

#[test]
fn every_parser_has_a_corpus_of_its_own_and_accepts_some_of_it() {
    let mut parsers = BTreeSet::new();
    for target in TARGETS {
        let accepted = seeds(target)
            .into_iter()
            .filter(|(name, bytes)| run(target, name, bytes));
        assert!(accepted.count() > 0, "`{}` takes none", target.name);
        assert!(parsers.insert(target.name.to_owned()), "two of a name");
    }
    let folders: BTreeSet<String> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, parsers);
}

#[test]
fn inputs_that_break_off_break_no_parser() {
    for target in TARGETS {
        for (name, bytes) in seeds(target) {
            let step = (bytes.len() / 32).max(1);
            for end in (0..bytes.len()).step_by(step) {
                run(target, &format!("{name} cut at {end}"), &bytes[..end]);
            }
        }
    }
}

#[test]
fn inputs_with_changed_bytes_break_no_parser() {
    for target in TARGETS {
        for (name, mut bytes) in seeds(target) {
            let step = (bytes.len() / 48).max(1);
            for at in (0..bytes.len()).step_by(step) {
                let was = bytes[at];
                for changed in [0, 0xFF, was ^ 1, was ^ 0x80] {
                    bytes[at] = changed;
                    run(target, &format!("{name}, byte {at} {changed:#04x}"), &bytes);
                }
                bytes[at] = was;
            }
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let mut total = 0;
    for target in TARGETS {
        for (name, bytes) in seeds(target) {
            assert!(bytes.len() <= target.longest, "`{name}` is too long");
            total += bytes.len() as u64;
        }
    }
    assert!(total <= MAX_CORPUS, "{total} bytes");
}
