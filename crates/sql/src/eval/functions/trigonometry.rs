//! Trigonometry in degrees, and hyperbolic functions (PostgreSQL 9.3, tables 9.7 and 9.8).

use super::{Function, function};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{EvalContext, arithmetic::overflow},
    types::{DataType as T, Value},
};

fn input_out_of_range() -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "input is out of range",
    )
}

/// A finite angle within one turn, and its sign.
fn reduced(degrees: f64) -> Result<f64> {
    if degrees.is_infinite() {
        return Err(input_out_of_range());
    }
    Ok(degrees % 360.0)
}

/// The sine in degrees: exact where it is a multiple of a half.
fn sine(degrees: f64) -> f64 {
    let magnitude = degrees.abs() % 360.0;
    let (half, turned) = if magnitude > 180.0 {
        (magnitude - 180.0, true)
    } else {
        (magnitude, false)
    };
    let quarter = if half > 90.0 { 180.0 - half } else { half };
    let value = if quarter == 0.0 {
        0.0
    } else if quarter == 30.0 {
        0.5
    } else if quarter == 90.0 {
        1.0
    } else {
        quarter.to_radians().sin()
    };
    // There is one zero.
    if value == 0.0 {
        return 0.0;
    }
    if turned != (degrees < 0.0) {
        -value
    } else {
        value
    }
}

fn cosine(degrees: f64) -> f64 {
    sine(90.0 - degrees.abs() % 360.0)
}

/// The angle in degrees, exact for the common ones.
fn degrees(radians: f64) -> f64 {
    let degrees = radians.to_degrees();
    let whole = degrees.round();
    if (degrees - whole).abs() < 1e-13 * whole.abs().max(1.0) {
        whole
    } else {
        degrees
    }
}

fn within_one(x: f64) -> Result<f64> {
    if x.abs() > 1.0 {
        return Err(input_out_of_range());
    }
    Ok(x)
}

fn finite(input: f64, result: f64) -> Result<Value> {
    if result.is_infinite() && input.is_finite() {
        return Err(overflow());
    }
    Ok(Value::Float8(result))
}

/// A quotient of a sine and a cosine; where it has no value an infinity, as in PostgreSQL.
fn quotient(above: f64, below: f64) -> Value {
    Value::Float8(if above == 0.0 { 0.0 } else { above / below })
}

macro_rules! float {
    (|$x:ident| $result:expr) => {
        function!(|Value::Float8(x)| {
            let $x = *x;
            $result
        })
    };
}

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    Some(match (function, types) {
        (F::Atan2d, [T::Float8, T::Float8]) => {
            function!(|Value::Float8(y), Value::Float8(x)| Value::Float8(degrees(y.atan2(*x))))
        }
        (_, [T::Float8]) => match function {
            F::Sinh => float!(|x| Value::Float8(x.sinh())),
            F::Cosh => float!(|x| Value::Float8(x.cosh())),
            F::Tanh => float!(|x| Value::Float8(x.tanh())),
            F::Asinh => float!(|x| Value::Float8(if x.is_infinite() { x } else { x.asinh() })),
            F::Acosh => float!(|x| {
                if x < 1.0 {
                    return Err(input_out_of_range());
                }
                Value::Float8(x.acosh())
            }),
            F::Atanh => float!(|x| {
                within_one(x)?;
                Value::Float8(if x.abs() == 1.0 {
                    f64::INFINITY.copysign(x)
                } else {
                    x.atanh()
                })
            }),
            F::Cot => float!(|x| {
                if x.is_infinite() {
                    return Err(input_out_of_range());
                }
                Value::Float8(1.0 / x.tan())
            }),
            F::Sind => float!(|x| Value::Float8(sine(reduced(x)?))),
            F::Cosd => float!(|x| Value::Float8(cosine(reduced(x)?))),
            F::Tand => float!(|x| {
                let x = reduced(x)?;
                quotient(sine(x), cosine(x))
            }),
            F::Cotd => float!(|x| {
                let x = reduced(x)?;
                quotient(cosine(x), sine(x))
            }),
            F::Asind => float!(|x| Value::Float8(degrees(within_one(x)?.asin()))),
            F::Acosd => float!(|x| Value::Float8(degrees(within_one(x)?.acos()))),
            F::Atand => float!(|x| finite(x, degrees(x.atan()))?),
            _ => return None,
        },
        _ => return None,
    })
}
