//! Variance and standard deviation.

use super::{arithmetic::overflow, internal};
use crate::{
    Result,
    types::{DataType, Decimal, Value},
};

/// Which of the four is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// The standard deviation: the variance's root.
    pub(super) root: bool,
    /// Of a sample: divided by one less than the count.
    pub(super) sample: bool,
}

/// The state over one group: exact sums for exact numbers, a running variance for floats.
#[derive(Clone, Debug)]
pub(super) struct Variance {
    measure: Measure,
    count: i64,
    sums: Sums,
}

#[derive(Clone, Debug)]
enum Sums {
    /// Sum and sum of squares of integers; [`Sums::Decimal`] takes over before they overflow.
    Int {
        sum: i128,
        squares: i128,
    },
    Decimal {
        sum: Decimal,
        squares: Decimal,
    },
    /// Youngs and Cramer (1971): the sum, and the sum of squared distances from the mean.
    Float {
        sum: f64,
        distances: f64,
    },
}

impl Variance {
    pub(super) fn new(data_type: DataType, measure: Measure) -> Variance {
        Variance {
            measure,
            count: 0,
            sums: match data_type {
                DataType::Float4 | DataType::Float8 => Sums::Float {
                    sum: 0.0,
                    distances: 0.0,
                },
                DataType::Decimal(_) => Sums::Decimal {
                    sum: Decimal::ZERO,
                    squares: Decimal::ZERO,
                },
                _ => Sums::Int { sum: 0, squares: 0 },
            },
        }
    }

    fn widen(&mut self) {
        if let Sums::Int { sum, squares } = self.sums {
            self.sums = Sums::Decimal {
                sum: Decimal::from(sum),
                squares: Decimal::from(squares),
            };
        }
    }

    pub(super) fn update(&mut self, value: &Value) -> Result<()> {
        if let (Sums::Int { sum, squares }, Some(number)) = (&mut self.sums, value.as_integer()) {
            let number = i128::from(number);
            if let Some(more) = squares.checked_add(number * number) {
                *sum += number;
                *squares = more;
                self.count += 1;
                return Ok(());
            }
            self.widen();
        }
        match (&mut self.sums, value) {
            (Sums::Decimal { sum, squares }, value) => {
                let number = match value {
                    Value::Decimal(number) => number.clone(),
                    _ => match value.as_integer() {
                        Some(number) => Decimal::from(number),
                        None => return Err(internal("variance of other than numbers")),
                    },
                };
                *sum = sum.checked_add(&number)?;
                *squares = squares.checked_add(&number.checked_mul(&number)?)?;
            }
            (Sums::Float { sum, distances }, Value::Float4(_) | Value::Float8(_)) => {
                let number = match value {
                    Value::Float4(number) => f64::from(*number),
                    Value::Float8(number) => *number,
                    _ => f64::NAN,
                };
                let (count, earlier) = (self.count as f64, *sum);
                *sum += number;
                if self.count > 0 {
                    let distance = number * (count + 1.0) - *sum;
                    *distances += distance * distance / ((count + 1.0) * count);
                    if sum.is_infinite() || distances.is_infinite() {
                        if earlier.is_finite() && number.is_finite() {
                            return Err(overflow());
                        }
                        *distances = f64::NAN;
                    }
                } else if !number.is_finite() {
                    *distances = f64::NAN;
                }
            }
            _ => return Err(internal("variance of other than numbers")),
        }
        self.count += 1;
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Variance) -> Result<()> {
        if other.count == 0 {
            return Ok(());
        }
        if self.count == 0 {
            *self = other.clone();
            return Ok(());
        }
        if let (
            Sums::Int { sum, squares },
            Sums::Int {
                sum: more,
                squares: more_squares,
            },
        ) = (&mut self.sums, &other.sums)
            && let Some(total) = squares.checked_add(*more_squares)
        {
            *sum += more;
            *squares = total;
            self.count += other.count;
            return Ok(());
        }
        let mut other = other.clone();
        if !matches!(self.sums, Sums::Float { .. }) {
            self.widen();
            other.widen();
        }
        match (&mut self.sums, other.sums) {
            (
                Sums::Decimal { sum, squares },
                Sums::Decimal {
                    sum: more,
                    squares: more_squares,
                },
            ) => {
                *sum = sum.checked_add(&more)?;
                *squares = squares.checked_add(&more_squares)?;
            }
            (
                Sums::Float { sum, distances },
                Sums::Float {
                    sum: more,
                    distances: more_distances,
                },
            ) => {
                let (left, right) = (self.count as f64, other.count as f64);
                let difference = *sum / left - more / right;
                *distances +=
                    more_distances + left * right * difference * difference / (left + right);
                *sum += more;
            }
            _ => return Err(internal("states of different aggregates cannot be merged")),
        }
        self.count += other.count;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Value> {
        let Measure { root, sample } = self.measure;
        if self.count == 0 || (sample && self.count == 1) {
            return Ok(Value::Null);
        }
        let divisor = if sample { self.count - 1 } else { self.count };
        let (sum, squares) = match self.sums {
            Sums::Float { distances, .. } => {
                let variance = distances / divisor as f64;
                return Ok(Value::Float8(if root { variance.sqrt() } else { variance }));
            }
            Sums::Int { sum, squares } => (Decimal::from(sum), Decimal::from(squares)),
            Sums::Decimal { sum, squares } => (sum, squares),
        };
        let count = Decimal::from(self.count);
        // n Σx² − (Σx)², over n times the divisor: exact until the division.
        let numerator = count
            .checked_mul(&squares)?
            .checked_sub(&sum.checked_mul(&sum)?)?;
        if numerator.signum() <= 0 {
            return Ok(Value::Decimal(Decimal::ZERO));
        }
        let denominator = count.checked_mul(&Decimal::from(divisor))?;
        let scale = numerator.division_scale(&denominator);
        let variance = numerator.div_to_scale(&denominator, scale)?;
        Ok(Value::Decimal(if root {
            variance.sqrt_to_scale(scale)?
        } else {
            variance
        }))
    }
}
