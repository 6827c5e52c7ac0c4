//! Evaluating expressions: recorded facts, and the laws of conditions and aggregates.

use rustling_sql::{
    DataType, Result, Span, Value,
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction},
    eval::{
        CompiledExpr, EvalContext, NoRandomness, SessionInfo, fold_constants, fold_constants_in,
    },
    types::TimeZone,
};

/// `numeric(5,2)`, `varchar(3)` …
fn type_by_name(name: &str) -> Option<DataType> {
    Some(match name {
        "boolean" => DataType::Boolean,
        "smallint" => DataType::Int2,
        "integer" => DataType::Int4,
        "bigint" => DataType::Int8,
        "real" => DataType::Float4,
        "double precision" => DataType::Float8,
        "numeric" => DataType::Decimal(None),
        "numeric(5,2)" => DataType::Decimal(Some((5, 2))),
        "text" => DataType::Text,
        "varchar(3)" => DataType::Varchar(Some(3)),
        "char(4)" => DataType::Char(4),
        "char(5)" => DataType::Char(5),
        "bytea" => DataType::Bytea,
        "uuid" => DataType::Uuid,
        "date" => DataType::Date,
        "time" => DataType::Time,
        "timestamp" => DataType::Timestamp,
        "timestamptz" => DataType::TimestampTz,
        "interval" => DataType::Interval,
        _ => return None,
    })
}

fn operator(symbol: &str) -> Option<BinaryOp> {
    Some(match symbol {
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Subtract,
        "*" => BinaryOp::Multiply,
        "/" => BinaryOp::Divide,
        "%" => BinaryOp::Modulo,
        "^" => BinaryOp::Power,
        "&" => BinaryOp::BitAnd,
        "|" => BinaryOp::BitOr,
        "#" => BinaryOp::BitXor,
        "<<" => BinaryOp::ShiftLeft,
        ">>" => BinaryOp::ShiftRight,
        "||" => BinaryOp::Concat,
        _ => return None,
    })
}

fn function(name: &str) -> Option<ScalarFunction> {
    use ScalarFunction as F;
    Some(match name {
        "abs" => F::Abs,
        "ceil" => F::Ceil,
        "floor" => F::Floor,
        "round" => F::Round,
        "trunc" => F::Trunc,
        "sign" => F::Sign,
        "sqrt" => F::Sqrt,
        "cbrt" => F::Cbrt,
        "exp" => F::Exp,
        "ln" => F::Ln,
        "log10" => F::Log10,
        "log" => F::Log,
        "power" => F::Power,
        "mod" => F::Mod,
        "div" => F::Div,
        "sin" => F::Sin,
        "cos" => F::Cos,
        "tan" => F::Tan,
        "asin" => F::Asin,
        "acos" => F::Acos,
        "atan" => F::Atan,
        "atan2" => F::Atan2,
        "degrees" => F::Degrees,
        "radians" => F::Radians,
        "gcd" => F::Gcd,
        "lcm" => F::Lcm,
        "width_bucket" => F::WidthBucket,
        "length" => F::Length,
        "octet_length" => F::OctetLength,
        "bit_length" => F::BitLength,
        "lower" => F::Lower,
        "upper" => F::Upper,
        "initcap" => F::Initcap,
        "reverse" => F::Reverse,
        "ascii" => F::Ascii,
        "md5" => F::Md5,
        "quote_ident" => F::QuoteIdent,
        "quote_literal" => F::QuoteLiteral,
        "btrim" => F::Trim,
        "ltrim" => F::LeftTrim,
        "rtrim" => F::RightTrim,
        "substr" => F::Substring,
        "left" => F::Left,
        "right" => F::Right,
        "repeat" => F::Repeat,
        "lpad" => F::LeftPad,
        "rpad" => F::RightPad,
        "replace" => F::Replace,
        "translate" => F::Translate,
        "split_part" => F::SplitPart,
        "strpos" => F::Position,
        "starts_with" => F::StartsWith,
        "chr" => F::Chr,
        "to_hex" => F::ToHex,
        "concat_ws" => F::ConcatWs,
        "regexp_replace" => F::RegexpReplace,
        "regexp_like" => F::RegexpLike,
        "encode" => F::Encode,
        "decode" => F::Decode,
        "extract" => F::Extract,
        "date_part" => F::DatePart,
        "date_trunc" => F::DateTrunc,
        "age" => F::Age,
        "make_date" => F::MakeDate,
        "make_time" => F::MakeTime,
        "make_timestamp" => F::MakeTimestamp,
        "make_interval" => F::MakeInterval,
        "to_timestamp" => F::ToTimestamp,
        "justify_hours" => F::JustifyHours,
        "justify_days" => F::JustifyDays,
        "justify_interval" => F::JustifyInterval,
        "timezone" => F::AtTimeZone,
        "to_char" => F::ToChar,
        "to_date" => F::ToDate,
        "to_number" => F::ToNumber,
        _ => return None,
    })
}

fn expr(kind: ExprKind, data_type: DataType) -> Expr {
    Expr {
        kind,
        data_type,
        nullable: true,
        span: Span::default(),
    }
}

/// `type=text` as a literal.
fn literal(argument: &str) -> Result<Expr> {
    let (name, text) = argument.split_once('=').expect("type=text");
    let data_type = type_by_name(name).expect("a known type");
    Ok(expr(
        ExprKind::Literal(Value::parse(text, data_type)?),
        data_type,
    ))
}

fn call(name: &str, arguments: &[&str]) -> Result<Expr> {
    let mut arguments = arguments
        .iter()
        .map(|argument| literal(argument))
        .collect::<Result<Vec<Expr>>>()?;
    if let Some(to) = name.strip_prefix("cast:") {
        let operand = Box::new(arguments.remove(0));
        return Ok(expr(
            ExprKind::Cast(operand),
            type_by_name(to).expect("a known type"),
        ));
    }
    if let Some(op) = operator(name) {
        let right = Box::new(arguments.remove(1));
        let left = Box::new(arguments.remove(0));
        return Ok(expr(ExprKind::Binary(op, left, right), DataType::Unknown));
    }
    let function = function(name).expect("a known function");
    Ok(expr(
        ExprKind::Function(function, arguments),
        DataType::Unknown,
    ))
}

fn evaluate(of: &Expr) -> Result<Value> {
    let session = SessionInfo::default();
    let context = EvalContext {
        parameters: &[],
        transaction_time: 1_700_000_000_000_000,
        random: &NoRandomness,
        session: &session,
    };
    CompiledExpr::compile(of, &|_| None)?.eval(&[], &context)
}

/// A cast to text of the value, as the facts were recorded.
fn shown(result: Result<Value>) -> String {
    match result {
        Ok(Value::Null) => "<NULL>".to_owned(),
        Ok(Value::Boolean(truth)) => truth.to_string(),
        Ok(value) => value.to_string(),
        Err(error) => format!("!{}", error.state().0),
    }
}

#[test]
fn operators_functions_and_casts_are_as_recorded() {
    let mut wrong = Vec::new();
    let mut facts = 0;
    for line in include_str!("eval/facts.tsv").lines() {
        if line.starts_with('#') {
            continue;
        }
        facts += 1;
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, arguments @ .., expected] = &fields[..] else {
            panic!("malformed line {line:?}");
        };
        let built = call(name, arguments);
        let found = shown(built.clone().and_then(|built| evaluate(&built)));
        let found = if name.starts_with("cast:char") {
            // A cast of char(n) to text drops the padding.
            found.trim_end_matches(' ').to_owned()
        } else {
            found
        };
        if &found != expected {
            wrong.push(format!(
                "{name} {arguments:?}: {found:?}, expected {expected:?}"
            ));
        }
        // Folding must not change a result, nor raise what is not run.
        if let Ok(built) = built {
            let folded = fold_constants(built.clone()).expect("folding does not fail");
            assert_eq!(shown(evaluate(&folded)), shown(evaluate(&built)), "{line}");
        }
    }
    assert!(facts > 1_000, "{facts}");
    assert!(
        wrong.is_empty(),
        "{} of {facts}\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

mod conditions {
    use quickcheck::quickcheck;
    use rustling_sql::bound::{ColumnId, UnaryOp};

    use super::*;

    fn truth(value: Option<bool>) -> Expr {
        expr(
            ExprKind::Literal(value.map_or(Value::Null, Value::Boolean)),
            DataType::Boolean,
        )
    }

    /// The values of AND and OR by the standard's truth tables: false below unknown below true.
    fn rank(value: Option<bool>) -> u8 {
        match value {
            Some(false) => 0,
            None => 1,
            Some(true) => 2,
        }
    }

    fn of_value(value: &Value) -> Option<bool> {
        value.as_bool()
    }

    quickcheck! {
        fn and_is_the_least_and_or_the_greatest(operands: Vec<Option<bool>>) -> bool {
            if operands.len() < 2 {
                return true;
            }
            let literals: Vec<Expr> = operands.iter().map(|value| truth(*value)).collect();
            let and = expr(ExprKind::And(literals.clone()), DataType::Boolean);
            let or = expr(ExprKind::Or(literals), DataType::Boolean);
            let least = operands.iter().copied().min_by_key(|value| rank(*value));
            let greatest = operands.iter().copied().max_by_key(|value| rank(*value));
            [(and, least), (or, greatest)].into_iter().all(|(built, expected)| {
                let folded = fold_constants(built.clone()).expect("folds");
                evaluate(&built).is_ok_and(|value| Some(of_value(&value)) == expected)
                    && evaluate(&folded).is_ok_and(|value| Some(of_value(&value)) == expected)
            })
        }

        fn a_long_list_of_constants_is_as_a_chain_of_equalities(
            operand: Option<i8>, list: Vec<Option<i8>>, negated: bool
        ) -> bool {
            if list.is_empty() {
                return true;
            }
            let number = |value: Option<i8>| {
                let value = value.map_or(Value::Null, |value| Value::Int4((value % 8).into()));
                expr(ExprKind::Literal(value), DataType::Int4)
            };
            let in_list = expr(
                ExprKind::InList {
                    operand: Box::new(number(operand)),
                    list: list.iter().map(|value| number(*value)).collect(),
                    negated,
                },
                DataType::Boolean,
            );
            let mut chain: Vec<Expr> = list
                .iter()
                .map(|value| expr(
                    ExprKind::Binary(
                        BinaryOp::Equal,
                        Box::new(number(operand)),
                        Box::new(number(*value)),
                    ),
                    DataType::Boolean,
                ))
                .collect();
            chain.push(truth(Some(false)));
            let mut equalities = expr(ExprKind::Or(chain), DataType::Boolean);
            if negated {
                equalities = expr(
                    ExprKind::Unary(UnaryOp::Not, Box::new(equalities)),
                    DataType::Boolean,
                );
            }
            shown(evaluate(&in_list)) == shown(evaluate(&equalities))
        }
    }

    #[test]
    fn what_is_not_taken_does_not_fail() {
        let one_by_zero = || call("/", &["integer=1", "integer=0"]).expect("builds");
        let case = expr(
            ExprKind::Case {
                branches: vec![
                    (truth(None), one_by_zero()),
                    (truth(Some(false)), one_by_zero()),
                    (
                        truth(Some(true)),
                        call("+", &["integer=1", "integer=1"]).expect("builds"),
                    ),
                ],
                otherwise: Some(Box::new(one_by_zero())),
            },
            DataType::Int4,
        );
        let folded = fold_constants(case.clone()).expect("folds");
        assert!(
            matches!(folded.kind, ExprKind::Literal(Value::Int4(2))),
            "{folded:?}"
        );
        assert_eq!(shown(evaluate(&case)), "2");
        let failing = fold_constants(one_by_zero()).expect("folds");
        assert_eq!(shown(evaluate(&failing)), "!22012");
    }

    #[test]
    fn what_the_time_zone_decides_is_not_folded_for_all_sessions() {
        let local = || Box::new(literal("timestamp=2024-07-01 12:00").expect("valid"));
        for kind in [ExprKind::Cast(local()), ExprKind::AssignmentCast(local())] {
            let cast = expr(kind, DataType::TimestampTz);
            let folded = fold_constants(cast).expect("folds");
            assert!(!matches!(folded.kind, ExprKind::Literal(_)), "{folded:?}");
            let mut session = SessionInfo::default();
            session.style.time_zone = TimeZone::named("Europe/Berlin").expect("a zone");
            let context = EvalContext {
                parameters: &[],
                transaction_time: 0,
                random: &NoRandomness,
                session: &session,
            };
            let folded = fold_constants_in(folded, &context).expect("folds");
            let ExprKind::Literal(value) = &folded.kind else {
                panic!("not folded: {folded:?}");
            };
            assert_eq!(value.to_string(), "2024-07-01 10:00:00+00");
        }
    }

    #[test]
    fn padded_characters_compare_without_their_blanks() {
        let equal = |left: &str, right: &str| {
            expr(
                ExprKind::Binary(
                    BinaryOp::Equal,
                    Box::new(literal(left).expect("valid")),
                    Box::new(literal(right).expect("valid")),
                ),
                DataType::Boolean,
            )
        };
        assert_eq!(shown(evaluate(&equal("char(5)=ab", "char(4)=ab"))), "true");
        assert_eq!(shown(evaluate(&equal("text=ab ", "text=ab"))), "false");
    }

    #[test]
    fn columns_and_parameters_come_from_the_row_and_the_statement() {
        let column = |id| Box::new(expr(ExprKind::Column(ColumnId(id)), DataType::Int4));
        let sum = expr(
            ExprKind::Binary(
                BinaryOp::Add,
                column(7),
                Box::new(expr(ExprKind::Parameter(0), DataType::Int4)),
            ),
            DataType::Int4,
        );
        let compiled = CompiledExpr::compile(&sum, &|id| (id == ColumnId(7)).then_some(1));
        let session = SessionInfo::default();
        let context = EvalContext {
            parameters: &[Value::Int4(40)],
            transaction_time: 0,
            random: &NoRandomness,
            session: &session,
        };
        let row = [Value::Null, Value::Int4(2)];
        let value = compiled.and_then(|compiled| compiled.eval(&row, &context));
        assert_eq!(shown(value), "42");
        let missing = CompiledExpr::compile(&sum, &|_| None).expect_err("no such column");
        assert_eq!(missing.state().0, "XX000");
    }
}

mod aggregates {
    use quickcheck::quickcheck;
    use rustling_sql::{
        bound::{AggregateCall, AggregateFunction},
        eval::Accumulator,
    };

    use super::*;

    fn aggregate(name: &str, of: DataType) -> AggregateCall {
        use AggregateFunction as F;
        let function = match name {
            "count" => F::Count,
            "sum" => F::Sum,
            "avg" => F::Avg,
            "min" => F::Min,
            "max" => F::Max,
            "stddev_pop" => F::StddevPop,
            "stddev_samp" => F::StddevSamp,
            "var_pop" => F::VarPop,
            _ => F::VarSamp,
        };
        AggregateCall {
            function,
            arguments: vec![expr(ExprKind::Literal(Value::Null), of)],
            distinct: false,
            filter: None,
            order_by: Vec::new(),
            data_type: DataType::Unknown,
        }
    }

    #[test]
    fn results_are_as_recorded() {
        let mut wrong = Vec::new();
        for line in include_str!("eval/aggregates.tsv").lines() {
            if line.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, type_name, values, expected] = fields[..] else {
                panic!("malformed line {line:?}");
            };
            let of = type_by_name(type_name).expect("a known type");
            let result = Accumulator::new(&aggregate(name, of)).and_then(|mut state| {
                for text in values.split('|') {
                    let value = if text == "NULL" {
                        Value::Null
                    } else {
                        Value::parse(text, of)?
                    };
                    state.update(&[value])?;
                }
                state.finish()
            });
            let found = shown(result);
            if found != expected {
                wrong.push(format!(
                    "{name}({type_name}) {values}: {found}, expected {expected}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    quickcheck! {
        fn merged_parts_are_as_the_whole(left: Vec<i64>, right: Vec<i64>) -> bool {
            ["count", "sum", "avg", "min", "max", "var_pop", "stddev_samp"].iter().all(|name| {
                let call = aggregate(name, DataType::Int8);
                let state = |numbers: &[i64]| {
                    let mut state = Accumulator::new(&call).expect("defined");
                    for number in numbers {
                        state.update(&[Value::Int8(*number)]).expect("in range");
                    }
                    state
                };
                let mut merged = state(&left);
                merged.merge(state(&right)).expect("the same call");
                let both: Vec<i64> = left.iter().chain(&right).copied().collect();
                shown(merged.finish()) == shown(state(&both).finish())
            })
        }
    }
}

mod robustness {
    use quickcheck::{Gen, QuickCheck};

    use super::*;

    const EXTREMES: &[&str] = &[
        "integer=2147483647",
        "integer=-2147483648",
        "integer=0",
        "integer=3",
        "smallint=-32768",
        "bigint=9223372036854775807",
        "bigint=-9223372036854775808",
        "double precision=NaN",
        "double precision=-inf",
        "double precision=1.7976931348623157e308",
        "double precision=5e-324",
        "double precision=-1.5",
        "real=3.4e38",
        "numeric=1e30000",
        "numeric=-1e-16383",
        "numeric=-9999999999999999999999999999.5",
        "numeric=0.00",
        "numeric=1.0000000000000000000001",
        "text=",
        "text=ä🦀\u{0}",
        "text=((((",
        "text=\\",
        "text=%_%_%",
        "text=day",
        "text=julian",
        "text=Europe/Berlin",
        "text=YYYY-MM-DD\"HH24:MI:SS.US TZHTZM AM J FMRM Q",
        "text=99G999D99S",
        "text=FM0V99999999999999999999",
        "text=2024-02-30",
        "text=hex",
        "bytea=\\xff00",
        "char(5)=a",
        "boolean=t",
        "date=infinity",
        "date=-infinity",
        "date=5874897-12-31",
        "date=4714-11-24 BC",
        "time=24:00",
        "timestamp=infinity",
        "timestamp=4714-11-24 00:00 BC",
        "timestamp=294246-12-31 23:59:59.999999",
        "timestamptz=-infinity",
        "timestamptz=2024-02-29 12:00+00",
        "interval=-178000000 years",
        "interval=178000000 years 2147483647 days 9223372036854775807 us",
        "interval=-2147483648 mons -2147483648 days -9223372036854775808 us",
        "interval=1 mon -1 day",
    ];

    fn names() -> Vec<&'static str> {
        let mut names: Vec<&str> = include_str!("eval/facts.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split('\t').next())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    #[test]
    fn no_arguments_make_anything_panic() {
        // Strings of hundreds of megabytes are allowed, but slow to make here.
        let heavy = |name: &str, arguments: &[&str]| {
            matches!(name, "repeat" | "lpad" | "rpad")
                && arguments
                    .iter()
                    .any(|argument| argument.ends_with("2147483647"))
        };
        let names = names();
        let mut g = Gen::new(4);
        for _ in 0..40_000 {
            let name = *g.choose(&names).expect("there are names");
            let arity = if operator(name).is_some() {
                2
            } else if name.starts_with("cast:") {
                1
            } else {
                *g.choose(&[1, 1, 2, 2, 3, 4]).expect("there are choices")
            };
            let arguments: Vec<&str> = (0..arity)
                .map(|_| *g.choose(EXTREMES).expect("there are choices"))
                .collect();
            if heavy(name, &arguments) {
                continue;
            }
            if let Ok(built) = call(name, &arguments) {
                let result = evaluate(&built);
                if let Err(error) = &result {
                    assert_ne!(error.state().0, "XX000", "{name} {arguments:?}: {error}");
                }
                drop(shown(result));
            }
        }
    }

    #[test]
    fn no_template_or_pattern_makes_anything_panic() {
        fn property(pieces: Vec<u8>, text: String) -> bool {
            const PIECES: &[&str] = &[
                "Y", "YYYY", "MM", "DD", "HH12", "AM", "FM", "TH", "\"", "\\", "9", "0", ".", ",",
                "S", "MI", "PR", "V", "RN", "EEEE", "ä", " ", "TZ", "J", "IW", "%", "_", "(", "[",
                "^", "*", "{9}", "CC", "B", "PL", "G", "D", "L", "FF6", "W", "12",
            ];
            let template: String = pieces
                .iter()
                .take(12)
                .map(|piece| PIECES[usize::from(*piece) % PIECES.len()])
                .collect();
            let template = format!("text={template}");
            let text = format!("text={text}");
            for (name, first) in [
                ("to_char", "timestamp=2024-02-29 13:14:15.678"),
                ("to_char", "numeric=-1234.567"),
                ("to_char", "interval=-1 year 2 mons -3 days"),
                ("to_date", "text=2024-02-29 13:14:15"),
                ("to_timestamp", text.as_str()),
                ("to_number", text.as_str()),
                ("to_number", "text=<-1,234.50>"),
                ("regexp_like", text.as_str()),
            ] {
                let result = call(name, &[first, &template]).and_then(|built| evaluate(&built));
                if let Err(error) = result {
                    assert_ne!(error.state().0, "XX000", "{name} {template}: {error}");
                }
            }
            true
        }
        QuickCheck::new()
            .tests(3_000)
            .quickcheck(property as fn(Vec<u8>, String) -> bool);
    }

    #[test]
    fn what_would_take_all_memory_is_refused() {
        for (name, arguments) in [
            ("repeat", &["text=xx", "integer=2147483647"][..]),
            ("lpad", &["text=", "integer=2147483647", "text=ä"][..]),
            ("^", &["numeric=10", "numeric=1000000000"][..]),
            ("*", &["numeric=1e70000", "numeric=1e70000"][..]),
            ("exp", &["numeric=1e30000"][..]),
        ] {
            let result = call(name, arguments).and_then(|built| evaluate(&built));
            let state = result.expect_err("refused").state().0;
            assert!(matches!(state, "54000" | "22003"), "{name}: {state}");
        }
        assert_eq!(
            Value::parse("1e999999999", DataType::Decimal(None))
                .expect_err("refused")
                .state()
                .0,
            "22003"
        );
    }
}
