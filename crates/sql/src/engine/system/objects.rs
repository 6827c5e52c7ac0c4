//! Functions, operators and types that are part of the program, as the catalog lists them.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::{
    DataType,
    bound::BinaryOp,
    functions::{self, Parameter, Returns, Signature},
    types::TYPES,
};

/// Types that no column can have, by which functions say what they take and give.
pub(crate) const PSEUDO_TYPES: [(u32, &str); 6] = [
    (2249, "record"),
    (2276, "any"),
    (2277, "anyarray"),
    (2278, "void"),
    (2279, "trigger"),
    (2283, "anyelement"),
];

const ANY: u32 = 2276;
const ANY_ARRAY: u32 = 2277;
const ANY_ELEMENT: u32 = 2283;

/// A function.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// Its number: made of its name and arguments, so that it stays the same.
    pub(crate) oid: u32,
    pub(crate) name: &'static str,
    /// `prokind`: `f`, `a`ggregate, `w`indow.
    pub(crate) kind: char,
    pub(crate) arguments: Vec<u32>,
    pub(crate) returns: u32,
    /// The type of the last argument's repetitions; 0: it is not repeated.
    pub(crate) variadic: u32,
    /// Whether it gives rows.
    pub(crate) gives_rows: bool,
    pub(crate) strict: bool,
    /// `provolatile`
    pub(crate) volatility: char,
}

impl Function {
    fn new(name: &'static str, kind: char, arguments: Vec<u32>, returns: u32) -> Function {
        Function {
            oid: number(name, &arguments),
            name,
            kind,
            arguments,
            returns,
            variadic: 0,
            gives_rows: false,
            strict: false,
            volatility: 'i',
        }
    }

    fn of_signature(signature: &Signature) -> Function {
        let arguments = signature.parameters.iter().map(parameter_oid).collect();
        let returns = match signature.returns {
            Returns::Type(data_type) => data_type.oid(),
            Returns::AnyArray => ANY_ARRAY,
            Returns::AnyElement => ANY_ELEMENT,
        };
        let mut function = Function::new(signature.name, 'f', arguments, returns);
        if signature.variadic {
            function.variadic = function.arguments.last().copied().unwrap_or(0);
        }
        function.strict = signature.nullability == functions::Nullability::Strict;
        function.volatility = if signature.function.is_volatile() {
            'v'
        } else if signature.function.is_of_session() {
            's'
        } else {
            'i'
        };
        function
    }

    /// The names of its arguments' types.
    pub(crate) fn argument_types(&self) -> Vec<String> {
        self.arguments.iter().map(|oid| shown_type(*oid)).collect()
    }

    /// Its arguments as `pg_get_function_arguments` writes them.
    pub(crate) fn shown_arguments(&self) -> String {
        let mut types = self.argument_types();
        if self.variadic != 0
            && let Some(last) = types.last_mut()
        {
            *last = format!("VARIADIC {last}");
        }
        types.join(", ")
    }

    /// What it gives, as `pg_get_function_result` writes it.
    pub(crate) fn shown_result(&self) -> String {
        let shown = shown_type(self.returns);
        if self.gives_rows {
            format!("SETOF {shown}")
        } else {
            shown
        }
    }
}

/// A type's name, pseudo types included.
pub(crate) fn shown_type(oid: u32) -> String {
    PSEUDO_TYPES
        .iter()
        .find(|(pseudo, _)| *pseudo == oid)
        .map(|(_, name)| match *name {
            "any" => "\"any\"".to_owned(),
            name => name.to_owned(),
        })
        .or_else(|| super::names::type_name(oid, None))
        .unwrap_or_else(|| "???".to_owned())
}

fn parameter_oid(parameter: &Parameter) -> u32 {
    match parameter {
        Parameter::Type(data_type) => data_type.oid(),
        Parameter::Any => ANY,
        Parameter::AnyArray => ANY_ARRAY,
        Parameter::AnyElement => ANY_ELEMENT,
    }
}

/// A number made of a name and types (FNV-1a, in a range that nothing else has).
pub(crate) fn number(name: &str, types: &[u32]) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    let numbers = types.iter().flat_map(|oid| oid.to_le_bytes());
    for byte in name.bytes().chain(numbers) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    0x4000_0000 | hash & 0x3fff_ffff
}

static FUNCTIONS: LazyLock<BTreeMap<u32, Function>> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    let mut add = |function: Function| {
        all.insert(function.oid, function);
    };
    for signature in functions::signatures() {
        add(Function::of_signature(signature));
    }
    let types: Vec<DataType> = TYPES
        .iter()
        .map(|entry| entry.data_type)
        .filter(|of| *of != DataType::Unknown)
        .collect();
    for name in functions::aggregate_names() {
        let mut candidates: Vec<Vec<DataType>> = types.iter().map(|of| vec![*of]).collect();
        candidates.extend(types.iter().map(|of| vec![*of, *of]));
        if name == "count" {
            add(Function::new(name, 'a', Vec::new(), DataType::Int8.oid()));
            add(Function::new(name, 'a', vec![ANY], DataType::Int8.oid()));
            continue;
        }
        for candidate in candidates {
            if let Ok((_, taken, returns)) = functions::aggregate(name, &candidate)
                && taken == candidate
            {
                let arguments = candidate.iter().map(|of| of.oid()).collect();
                add(Function::new(name, 'a', arguments, returns.oid()));
            }
        }
    }
    for (name, arguments) in [
        ("row_number", vec![]),
        ("rank", vec![]),
        ("dense_rank", vec![]),
        ("percent_rank", vec![]),
        ("cume_dist", vec![]),
        ("ntile", vec![DataType::Int4.oid()]),
        ("lag", vec![ANY_ELEMENT]),
        ("lead", vec![ANY_ELEMENT]),
        ("first_value", vec![ANY_ELEMENT]),
        ("last_value", vec![ANY_ELEMENT]),
        ("nth_value", vec![ANY_ELEMENT, DataType::Int4.oid()]),
    ] {
        let returns = match name {
            "percent_rank" | "cume_dist" => DataType::Float8.oid(),
            "ntile" => DataType::Int4.oid(),
            _ if arguments.is_empty() => DataType::Int8.oid(),
            _ => ANY_ELEMENT,
        };
        add(Function::new(name, 'w', arguments, returns));
    }
    for of in [DataType::Int4, DataType::Int8, DataType::Decimal(None)] {
        for count in [2, 3] {
            let mut function =
                Function::new("generate_series", 'f', vec![of.oid(); count], of.oid());
            function.gives_rows = true;
            add(function);
        }
    }
    for of in [DataType::Timestamp, DataType::TimestampTz] {
        let arguments = vec![of.oid(), of.oid(), DataType::Interval.oid()];
        let mut function = Function::new("generate_series", 'f', arguments, of.oid());
        function.gives_rows = true;
        add(function);
    }
    let mut unnest = Function::new("unnest", 'f', vec![ANY_ARRAY], ANY_ELEMENT);
    unnest.gives_rows = true;
    add(unnest);
    all
});

/// Every function.
pub(crate) fn functions() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.values()
}

/// The function with that number.
pub(crate) fn function(oid: u32) -> Option<&'static Function> {
    FUNCTIONS.get(&oid)
}

/// The functions of that name.
pub(crate) fn functions_named(name: &str) -> impl Iterator<Item = &'static Function> {
    FUNCTIONS
        .values()
        .filter(move |function| function.name == name)
}

/// An operator.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) oid: u32,
    pub(crate) name: &'static str,
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) returns: u32,
}

static OPERATORS: LazyLock<Vec<Operator>> = LazyLock::new(|| {
    use BinaryOp as B;
    let mut all = Vec::new();
    let mut add = |name: &'static str, left: DataType, right: DataType, returns: DataType| {
        let (left, right) = (left.oid(), right.oid());
        all.push(Operator {
            oid: number(name, &[left, right]),
            name,
            left,
            right,
            returns: returns.oid(),
        });
    };
    for entry in TYPES {
        let of = entry.data_type;
        if matches!(of, DataType::Unknown | DataType::Json) {
            continue;
        }
        for op in [
            B::Equal,
            B::NotEqual,
            B::Less,
            B::LessOrEqual,
            B::Greater,
            B::GreaterOrEqual,
        ] {
            add(op.symbol(), of, of, DataType::Boolean);
        }
        if of.is_numeric() {
            for op in [B::Add, B::Subtract, B::Multiply, B::Divide] {
                add(op.symbol(), of, of, of);
            }
        }
        if of.is_integer() {
            for op in [B::Modulo, B::BitAnd, B::BitOr, B::BitXor] {
                add(op.symbol(), of, of, of);
            }
        }
    }
    for of in [DataType::Text, DataType::Bytea, DataType::Jsonb] {
        add("||", of, of, of);
    }
    for name in ["~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*"] {
        add(name, DataType::Text, DataType::Text, DataType::Boolean);
    }
    all
});

/// Every operator.
pub(crate) fn operators() -> &'static [Operator] {
    &OPERATORS
}

/// The name of the operator with that number.
pub(crate) fn operator(oid: u32) -> Option<&'static str> {
    OPERATORS
        .iter()
        .find(|operator| operator.oid == oid)
        .map(|operator| operator.name)
}

/// The number of the only operator of that name.
pub(crate) fn operator_named(name: &str) -> Option<u32> {
    let mut found = OPERATORS.iter().filter(|operator| operator.name == name);
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only.oid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_are_unique() {
        let signatures: HashSet<(&str, Vec<u32>)> = functions::signatures()
            .map(|signature| {
                let types = signature.parameters.iter().map(parameter_oid).collect();
                (signature.name, types)
            })
            .collect();
        let listed: HashSet<(&str, Vec<u32>)> = functions()
            .map(|function| (function.name, function.arguments.clone()))
            .collect();
        assert!(
            signatures.is_subset(&listed),
            "two functions share a number"
        );
        let operators: HashSet<u32> = operators().iter().map(|operator| operator.oid).collect();
        assert_eq!(operators.len(), super::operators().len());
    }
}
