//! How sure a proportion is: the Wilson score interval.
//!
//! Formula after E. B. Wilson, JASA 22 (1927) 209; numbers to compare with in R. G. Newcombe,
//! Statistics in Medicine 17 (1998) 857, table I. It stays inside 0 to 1 and is honest for small
//! counts and for proportions near 1, where a factory lives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Where a true proportion lies, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Lower bound, 0 to 1.
    pub low: f64,
    /// Upper bound, 0 to 1.
    pub high: f64,
}

/// Returns the 95 % Wilson score interval of `good` out of `all`, or `None` out of none.
pub fn wilson(good: u64, all: u64) -> Option<Interval> {
    if all == 0 {
        return None;
    }
    let n = as_float(all);
    let p = as_float(good.min(all)) / n;
    let z2 = Z * Z;
    let centre = 2.0f64.mul_add(n * p, z2);
    let spread = Z * 4.0f64.mul_add(n * p * (1.0 - p), z2).sqrt();
    let divisor = 2.0 * (n + z2);
    let low = if good == 0 {
        0.0
    } else {
        (centre - spread) / divisor
    };
    let high = if good >= all {
        1.0
    } else {
        (centre + spread) / divisor
    };
    Some(Interval {
        low: low.clamp(0.0, 1.0),
        high: high.clamp(0.0, 1.0),
    })
}

/// A count as a float; exact up to 2^53, which no line reaches.
pub(super) fn as_float(count: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of attempts stay far below 2^53"
    )]
    let float = count as f64;
    float
}
