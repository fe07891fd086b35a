//! Measured values: how they are distributed over units, and drawn again the same from the same
//! seed.
//!
//! Invariants: a unit is inside or outside a limit for its whole life; a drawn number is rounded
//! before it is compared, so that what is printed is what was judged.

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// How often a number is drawn again to fall inside its limits before it is clamped.
const TRIES: usize = 64;

/// A source of values for one command.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    /// Where the values come from.
    pub(super) source: Source,
    /// Digits after the decimal point.
    pub(super) decimals: u8,
    /// What a good unit stays within, both ends included.
    pub(super) limits: Option<(f64, f64)>,
    /// Fraction of units that stay outside the limits.
    pub(super) outside: f64,
}

/// Where values come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// Normally distributed.
    Normal(Normal<f64>),
    /// Equally likely anywhere from the first to the second.
    Uniform(f64, f64),
    /// One of these texts, equally likely.
    List(Vec<String>),
    /// Always this text.
    Constant(String),
}

/// A drawn value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    /// What the chip prints.
    pub(super) text: String,
    /// Whether it lies outside the script's own limits.
    pub(super) outside: bool,
}

/// Which draw this is: the same coordinates give the same value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coordinates {
    /// The seed of the whole fleet.
    pub(super) seed: u64,
    /// The unit.
    pub(super) unit: u64,
    /// What is drawn for: the number of the command, or a purpose of its own.
    pub(super) subject: u64,
}

impl Coordinates {
    /// A generator for draw number `draw` at these coordinates.
    pub(super) fn generator(self, draw: u64) -> ChaCha8Rng {
        let mut seed = [0; 32];
        for (bytes, part) in
            seed.chunks_exact_mut(8)
                .zip([self.seed, self.unit, self.subject, draw])
        {
            bytes.copy_from_slice(&part.to_le_bytes());
        }
        ChaCha8Rng::from_seed(seed)
    }
}

impl Value {
    /// Draws value number `draw` (counted from 1) at `at`.
    pub(super) fn draw(&self, at: Coordinates, draw: u64) -> Drawn {
        let mut generator = at.generator(draw);
        let text = match &self.source {
            Source::Constant(text) => text.clone(),
            Source::List(texts) => texts[generator.random_range(0..texts.len())].clone(),
            Source::Normal(normal) => {
                return self.number(at, &mut generator, |generator| normal.sample(generator));
            }
            Source::Uniform(low, high) => {
                return self.number(at, &mut generator, |generator| {
                    generator.random_range(*low..=*high)
                });
            }
        };
        let outside = match (text.parse::<f64>(), self.limits) {
            (Ok(number), Some(limits)) => !within(number, limits),
            _ => false,
        };
        Drawn { text, outside }
    }

    /// Draws a number from `sample`, inside the limits or outside them as befits the unit.
    fn number(
        &self,
        at: Coordinates,
        generator: &mut ChaCha8Rng,
        sample: impl Fn(&mut ChaCha8Rng) -> f64,
    ) -> Drawn {
        let mut number = self.rounded(sample(generator));
        let Some((low, high)) = self.limits else {
            return self.drawn(number);
        };
        // Draw 0 belongs to the unit, not to an answer: retrying does not heal a bad unit.
        if at.generator(0).random_bool(self.outside) {
            let step = 10f64.powi(-i32::from(self.decimals));
            let beyond = ((high - low) * generator.random_range(0.05..=0.5)).max(step);
            let beyond = (beyond / step).ceil() * step;
            number = if generator.random_bool(0.5) {
                high + beyond
            } else {
                low - beyond
            };
            return self.drawn(self.rounded(number));
        }
        for _ in 0..TRIES {
            if within(number, (low, high)) {
                return self.drawn(number);
            }
            number = self.rounded(sample(generator));
        }
        self.drawn(number.clamp(low, high))
    }

    /// The number as the chip prints and judges it.
    fn rounded(&self, number: f64) -> f64 {
        let scale = 10f64.powi(i32::from(self.decimals));
        (number * scale).round() / scale
    }

    /// A number with its text and its verdict.
    fn drawn(&self, number: f64) -> Drawn {
        // Adding zero turns -0.0 into 0.0, which prints without a sign.
        let text = format!("{:.*}", usize::from(self.decimals), number + 0.0);
        Drawn {
            text,
            outside: self.limits.is_some_and(|limits| !within(number, limits)),
        }
    }
}

/// Whether a number lies within limits, both ends included.
fn within(number: f64, (low, high): (f64, f64)) -> bool {
    (low..=high).contains(&number)
}
