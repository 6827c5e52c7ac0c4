//! Choosing an overload (PostgreSQL 10.3).

use super::{Parameter, Returns, Signature};
use crate::{
    binder::{can_cast, common_type},
    types::{CastContext, DataType, TypeCategory},
};

/// What came of choosing.
#[derive(Debug)]
pub(crate) enum Resolution {
    /// One overload, with the types that the arguments must have (`None`: as they are) and the
    /// type of its value.
    One(&'static Signature, Vec<Option<DataType>>, DataType),
    /// None takes these arguments.
    None,
    /// Several do.
    Ambiguous,
}

/// An overload that could take the arguments, with its parameters spread over them.
struct Candidate {
    signature: &'static Signature,
    parameters: Vec<Parameter>,
}

/// Chooses among the overloads of one name for arguments of these types.
pub(crate) fn resolve(overloads: &[&'static Signature], arguments: &[DataType]) -> Resolution {
    let mut candidates: Vec<Candidate> = overloads
        .iter()
        .filter_map(|signature| spread(signature, arguments.len()))
        .filter(|candidate| {
            candidate
                .parameters
                .iter()
                .zip(arguments)
                .all(|(parameter, argument)| accepts(*parameter, *argument))
        })
        .collect();
    if candidates.len() > 1 {
        keep_best(&mut candidates, arguments, |parameter, argument| {
            is_exact(parameter, argument)
        });
    }
    if candidates.len() > 1 {
        keep_best(&mut candidates, arguments, |parameter, argument| {
            is_exact(parameter, argument)
                || (argument != DataType::Unknown
                    && matches!(parameter, Parameter::Type(wanted) if is_preferred(wanted)))
        });
    }
    if candidates.len() > 1 {
        decide_unknown(&mut candidates, arguments);
    }
    match candidates.as_slice() {
        [] => Resolution::None,
        [one] => {
            let Some(element) = element(one, arguments) else {
                return Resolution::None;
            };
            let types = one
                .parameters
                .iter()
                .zip(arguments)
                .map(|(parameter, argument)| match parameter {
                    Parameter::Any if *argument == DataType::Unknown => Some(DataType::Text),
                    Parameter::Any => None,
                    Parameter::AnyArray => element.array(),
                    // An array beside arrays: a row of one with more dimensions.
                    Parameter::AnyElement if argument.category() == TypeCategory::Array => {
                        element.array()
                    }
                    Parameter::AnyElement => Some(element),
                    Parameter::Type(wanted) if is_exact(*parameter, *argument) => {
                        (*argument == DataType::Unknown).then_some(*wanted)
                    }
                    Parameter::Type(wanted) => Some(*wanted),
                })
                .collect();
            let returns = match one.signature.returns {
                Returns::Type(data_type) => data_type,
                Returns::AnyElement => element,
                Returns::AnyArray => match element.array() {
                    Some(array) => array,
                    None => return Resolution::None,
                },
            };
            Resolution::One(one.signature, types, returns)
        }
        _ => Resolution::Ambiguous,
    }
}

/// The type of the elements, where arrays are among the parameters; `None` where the arguments
/// have none in common.
fn element(candidate: &Candidate, arguments: &[DataType]) -> Option<DataType> {
    let types = candidate
        .parameters
        .iter()
        .zip(arguments)
        .filter_map(|(parameter, argument)| match parameter {
            Parameter::AnyArray | Parameter::AnyElement => {
                Some(argument.element().unwrap_or(*argument))
            }
            _ => None,
        });
    common_type(types).ok()
}

fn spread(signature: &'static Signature, arguments: usize) -> Option<Candidate> {
    let mut parameters = signature.parameters.to_vec();
    if signature.variadic {
        let last = *parameters.last()?;
        if arguments < parameters.len() {
            return None;
        }
        parameters.resize(arguments, last);
    } else if parameters.len() != arguments {
        return None;
    }
    Some(Candidate {
        signature,
        parameters,
    })
}

fn accepts(parameter: Parameter, argument: DataType) -> bool {
    match parameter {
        Parameter::Any | Parameter::AnyElement => true,
        Parameter::AnyArray => {
            argument == DataType::Unknown || argument.category() == TypeCategory::Array
        }
        Parameter::Type(wanted) => can_cast(argument, wanted, CastContext::Implicit),
    }
}

/// Whether the argument goes in as it is: strings of all kinds are text.
fn is_exact(parameter: Parameter, argument: DataType) -> bool {
    match parameter {
        Parameter::Any => true,
        Parameter::AnyArray | Parameter::AnyElement => argument != DataType::Unknown,
        Parameter::Type(DataType::Text) => argument.is_string(),
        Parameter::Type(DataType::Decimal(_)) => matches!(argument, DataType::Decimal(_)),
        Parameter::Type(wanted) => wanted == argument,
    }
}

fn is_preferred(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Float8
            | DataType::Text
            | DataType::TimestampTz
            | DataType::Interval
    )
}

/// Keeps the candidates that satisfy the test at the most positions.
fn keep_best(
    candidates: &mut Vec<Candidate>,
    arguments: &[DataType],
    test: impl Fn(Parameter, DataType) -> bool,
) {
    let score = |candidate: &Candidate| {
        candidate
            .parameters
            .iter()
            .zip(arguments)
            .filter(|(parameter, argument)| test(**parameter, **argument))
            .count()
    };
    let best = candidates.iter().map(score).max().unwrap_or(0);
    candidates.retain(|candidate| score(candidate) == best);
}

/// Literals of unknown type: strings if a candidate takes one, else the preferred type of the
/// category that all candidates agree on, else the type of the other arguments.
fn decide_unknown(candidates: &mut Vec<Candidate>, arguments: &[DataType]) {
    for (index, argument) in arguments.iter().enumerate() {
        if *argument != DataType::Unknown {
            continue;
        }
        let type_at = |candidate: &Candidate| match candidate.parameters.get(index) {
            Some(Parameter::Type(data_type)) => *data_type,
            _ => DataType::Text,
        };
        let category = if candidates
            .iter()
            .any(|candidate| type_at(candidate).category() == TypeCategory::String)
        {
            TypeCategory::String
        } else {
            let first = candidates
                .first()
                .map_or(TypeCategory::Unknown, |candidate| {
                    type_at(candidate).category()
                });
            if candidates
                .iter()
                .any(|candidate| type_at(candidate).category() != first)
            {
                continue;
            }
            first
        };
        let in_category = |candidate: &Candidate| type_at(candidate).category() == category;
        if candidates.iter().any(in_category) {
            candidates.retain(in_category);
        }
        if candidates
            .iter()
            .any(|candidate| is_preferred(type_at(candidate)))
        {
            candidates.retain(|candidate| is_preferred(type_at(candidate)));
        }
        // A literal in the place of an object is its name rather than its number.
        let named = |candidate: &Candidate| matches!(type_at(candidate), DataType::Object(_));
        if candidates.iter().any(named) {
            candidates.retain(named);
        }
    }
    if candidates.len() > 1 {
        let mut known = arguments
            .iter()
            .filter(|argument| **argument != DataType::Unknown);
        if let Some(first) = known.next()
            && known.all(|other| other == first)
        {
            let same = |candidate: &Candidate| {
                candidate
                    .parameters
                    .iter()
                    .all(|parameter| is_exact(*parameter, *first))
            };
            if candidates.iter().any(same) {
                candidates.retain(same);
            }
        }
    }
}
