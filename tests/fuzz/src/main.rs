//! Mutates inputs of one parser for as long as it is told, guided by coverage.
//!
//! The parser is named by `STATION_FUZZ`; the arguments are those of libFuzzer. A panic, a broken
//! promise and memory beyond a bound that follows from the input all end the process.

#![no_main]

use std::alloc::System;
use std::sync::OnceLock;

use cap::Cap;
use libfuzzer_sys::{Corpus, fuzz_target};

#[path = "../targets/mod.rs"]
mod targets;

use targets::{TARGETS, Target};

/// How many times its input a parser may hold at once, besides its [`Target::memory`].
const FACTOR: usize = 64;

/// Counts what is held, and gives no more than allowed.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

static CHOSEN: OnceLock<&Target> = OnceLock::new();

#[expect(
    clippy::disallowed_methods,
    reason = "libFuzzer asks before its first input and takes no answer"
)]
fn choose() {
    let name = std::env::var("STATION_FUZZ").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("set STATION_FUZZ to one of: {}", names.join(" "));
        std::process::exit(2);
    };
    // Tables that are made once are no input's fault.
    for chip in station_esp::Chip::ALL {
        let _ = chip.spec();
    }
    let _ = (target.run)(&[]);
    let _ = CHOSEN.set(target);
    // Saying what broke takes memory too.
    let say_and_abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |broken| {
        let _ = MEMORY.set_limit(usize::MAX);
        say_and_abort(broken);
    }));
}

fuzz_target!(init: choose(), |input: &[u8]| -> Corpus {
    let target = CHOSEN.get().expect("chosen before the first input");
    if input.len() > target.longest {
        return Corpus::Reject;
    }
    let allowed = target.memory + FACTOR * input.len();
    let _ = MEMORY.set_limit(MEMORY.allocated() + allowed);
    (target.run)(input);
    let _ = MEMORY.set_limit(usize::MAX);
    Corpus::Keep
});
