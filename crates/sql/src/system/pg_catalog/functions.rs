//! Functions and languages.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    engine::system::{Letter, Oid, objects, oid_vector, type_rows},
    system::oids,
};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_proc 1255;
        for function in |_| objects::functions();
        oid: Oid = Oid(function.oid),
        proname: Name = function.name,
        pronamespace: Oid = Oid(oids::PG_CATALOG_SCHEMA),
        proowner: Oid = Oid(oids::OWNER),
        prolang: Oid = Oid(oids::INTERNAL_LANGUAGE),
        procost: Float4 = 1.0_f32,
        prorows: Float4 = if function.gives_rows { 1000.0_f32 } else { 0.0 },
        provariadic: Oid = Oid(function.variadic),
        prosupport: Function = type_rows::none(),
        prokind: Char = Letter(function.kind),
        prosecdef: Bool = false,
        proleakproof: Bool = false,
        proisstrict: Bool = function.strict,
        proretset: Bool = function.gives_rows,
        provolatile: Char = Letter(function.volatility),
        proparallel: Char = Letter(if function.volatility == 'v' { 'u' } else { 's' }),
        pronargs: Int2 = function.arguments.len() as i16,
        pronargdefaults: Int2 = 0_i16,
        prorettype: Oid = Oid(function.returns),
        proargtypes: OidVector = oid_vector(function.arguments.iter().copied()),
        proallargtypes: OidArray = Value::Null,
        proargmodes: CharArray = Value::Null,
        proargnames: TextArray = Value::Null,
        proargdefaults: Tree = Value::Null,
        protrftypes: OidArray = Value::Null,
        prosrc: Text = function.name,
        probin: Text = Value::Null,
        prosqlbody: Tree = Value::Null,
        proconfig: TextArray = Value::Null,
        proacl: TextArray = Value::Null,
    },
    relation! {
        pg_aggregate 2600;
        for function in |_| objects::functions().filter(|function| function.kind == 'a');
        aggfnoid: Function = type_rows::function(function),
        aggkind: Char = Letter('n'),
        aggnumdirectargs: Int2 = 0_i16,
        aggtransfn: Function = type_rows::none(),
        aggfinalfn: Function = type_rows::none(),
        aggcombinefn: Function = type_rows::none(),
        aggserialfn: Function = type_rows::none(),
        aggdeserialfn: Function = type_rows::none(),
        aggmtransfn: Function = type_rows::none(),
        aggminvtransfn: Function = type_rows::none(),
        aggmfinalfn: Function = type_rows::none(),
        aggfinalextra: Bool = false,
        aggmfinalextra: Bool = false,
        aggfinalmodify: Char = Letter('r'),
        aggmfinalmodify: Char = Letter('r'),
        aggsortop: Oid = Oid(0),
        aggtranstype: Oid = Oid(function.returns),
        aggtransspace: Int4 = 0,
        aggmtranstype: Oid = Oid(0),
        aggmtransspace: Int4 = 0,
        agginitval: Text = Value::Null,
        aggminitval: Text = Value::Null,
    },
    relation! {
        pg_language 2612;
        for (oid, name) in |_| [(oids::INTERNAL_LANGUAGE, "internal")];
        oid: Oid = Oid(oid),
        lanname: Name = name,
        lanowner: Oid = Oid(oids::OWNER),
        lanispl: Bool = false,
        lanpltrusted: Bool = false,
        lanplcallfoid: Oid = Oid(0),
        laninline: Oid = Oid(0),
        lanvalidator: Oid = Oid(0),
        lanacl: TextArray = Value::Null,
    },
    relation! {
        pg_transform 3576;
        oid: Oid,
        trftype: Oid,
        trflang: Oid,
        trffromsql: Function,
        trftosql: Function,
    },
];
