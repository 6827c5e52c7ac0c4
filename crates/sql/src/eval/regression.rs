//! Aggregates over pairs of numbers: linear regression, covariance, correlation.

use super::{arithmetic::overflow, internal};
use crate::{Result, bound::RegressionMeasure, types::Value};

/// The state over one group, after Youngs and Cramer (1971): sums, and sums of products of the
/// distances from the means.
#[derive(Clone, Debug)]
pub(super) struct Regression {
    measure: RegressionMeasure,
    count: f64,
    x: f64,
    xx: f64,
    y: f64,
    yy: f64,
    xy: f64,
}

impl Regression {
    pub(super) fn new(measure: RegressionMeasure) -> Regression {
        Regression {
            measure,
            count: 0.0,
            x: 0.0,
            xx: 0.0,
            y: 0.0,
            yy: 0.0,
            xy: 0.0,
        }
    }

    /// Takes in a pair `(y, x)`; one with a NULL does not count.
    pub(super) fn update(&mut self, arguments: &[Value]) -> Result<()> {
        let (y, x) = match arguments {
            [Value::Float8(y), Value::Float8(x)] => (*y, *x),
            [Value::Null, _] | [_, Value::Null] => return Ok(()),
            _ => return Err(internal("regression of other than numbers")),
        };
        let before = self.count;
        let (old_x, old_y) = (self.x, self.y);
        self.count += 1.0;
        self.x += x;
        self.y += y;
        if before == 0.0 {
            // What is not finite has no distance from its mean.
            if !x.is_finite() {
                (self.xx, self.xy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.yy, self.xy) = (f64::NAN, f64::NAN);
            }
            return Ok(());
        }
        let from_x = x * self.count - self.x;
        let from_y = y * self.count - self.y;
        let scale = 1.0 / (self.count * before);
        self.xx += from_x * from_x * scale;
        self.yy += from_y * from_y * scale;
        self.xy += from_x * from_y * scale;
        let finite_x = old_x.is_finite() && x.is_finite();
        let finite_y = old_y.is_finite() && y.is_finite();
        for (sum, inputs_are_finite) in [
            (&mut self.xx, finite_x),
            (&mut self.yy, finite_y),
            (&mut self.xy, finite_x && finite_y),
        ] {
            if sum.is_infinite() {
                if inputs_are_finite {
                    return Err(overflow());
                }
                *sum = f64::NAN;
            }
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Regression) -> Result<()> {
        if other.count == 0.0 {
            return Ok(());
        }
        if self.count == 0.0 {
            *self = other.clone();
            return Ok(());
        }
        let count = self.count + other.count;
        let apart_x = self.x / self.count - other.x / other.count;
        let apart_y = self.y / self.count - other.y / other.count;
        let weight = self.count * other.count / count;
        let sum = |left: f64, right: f64, more: f64| {
            let total = left + right + more;
            if total.is_infinite() && left.is_finite() && right.is_finite() {
                return Err(overflow());
            }
            Ok(total)
        };
        *self = Regression {
            measure: self.measure,
            count,
            x: sum(self.x, other.x, 0.0)?,
            xx: sum(self.xx, other.xx, weight * apart_x * apart_x)?,
            y: sum(self.y, other.y, 0.0)?,
            yy: sum(self.yy, other.yy, weight * apart_y * apart_y)?,
            xy: sum(self.xy, other.xy, weight * apart_x * apart_y)?,
        };
        Ok(())
    }

    pub(super) fn finish(&self) -> Value {
        use RegressionMeasure as M;
        if self.measure == M::Count {
            return Value::Int8(self.count as i64);
        }
        if self.count < 1.0 {
            return Value::Null;
        }
        let value = match self.measure {
            M::Count => self.count,
            M::SumXx => self.xx,
            M::SumYy => self.yy,
            M::SumXy => self.xy,
            M::AverageX => self.x / self.count,
            M::AverageY => self.y / self.count,
            M::CovariancePopulation => self.xy / self.count,
            M::CovarianceSample if self.count < 2.0 => return Value::Null,
            M::CovarianceSample => self.xy / (self.count - 1.0),
            M::Correlation if self.xx == 0.0 || self.yy == 0.0 => return Value::Null,
            M::Correlation => self.xy / (self.xx * self.yy).sqrt(),
            // Vertical lines have neither slope nor intercept.
            M::Determination | M::Slope | M::Intercept if self.xx == 0.0 => return Value::Null,
            M::Determination if self.yy == 0.0 => 1.0,
            M::Determination => (self.xy * self.xy) / (self.xx * self.yy),
            M::Slope => self.xy / self.xx,
            M::Intercept => (self.y - self.x * self.xy / self.xx) / self.count,
        };
        Value::Float8(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(measure: RegressionMeasure, pairs: &[(f64, f64)]) -> Regression {
        let mut state = Regression::new(measure);
        for (y, x) in pairs {
            state
                .update(&[Value::Float8(*y), Value::Float8(*x)])
                .expect("finite sums");
        }
        state
    }

    #[test]
    fn parts_come_to_the_whole() {
        let pairs = [(150.0, 10.0), (250.0, 20.0), (350.0, 30.0), (540.0, 80.0)];
        for split in 0..=pairs.len() {
            let (left, right) = pairs.split_at(split);
            for measure in [
                RegressionMeasure::SumXx,
                RegressionMeasure::SumXy,
                RegressionMeasure::Slope,
            ] {
                let mut merged = of(measure, left);
                merged.merge(&of(measure, right)).expect("finite sums");
                let (Value::Float8(merged), Value::Float8(whole)) =
                    (merged.finish(), of(measure, &pairs).finish())
                else {
                    unreachable!("four pairs have a value");
                };
                assert!((merged - whole).abs() < 1e-9, "{merged} is not {whole}");
            }
        }
    }

    #[test]
    fn what_is_not_defined_is_null() {
        use RegressionMeasure as M;
        assert_eq!(
            of(M::Slope, &[(1.0, 2.0), (2.0, 2.0)]).finish(),
            Value::Null
        );
        assert_eq!(of(M::CovarianceSample, &[(1.0, 2.0)]).finish(), Value::Null);
        assert_eq!(of(M::SumXx, &[]).finish(), Value::Null);
        assert_eq!(of(M::Count, &[]).finish(), Value::Int8(0));
    }
}
