//! Types, their operators and how they are indexed.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    engine::system::{Letter, Oid, objects, type_rows},
    system::oids,
};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_type 1247 by oid;
        for of in |view, oid| view.types(oid);
        oid: Oid = Oid(of.oid),
        typname: Name = of.name.as_str(),
        typnamespace: Oid = Oid(of.schema),
        typowner: Oid = Oid(of.owner),
        typlen: Int2 = of.size,
        typbyval: Bool = of.by_value,
        typtype: Char = Letter(of.kind),
        typcategory: Char = Letter(of.category),
        typispreferred: Bool = of.preferred,
        typisdefined: Bool = of.defined,
        typdelim: Char = Letter(','),
        typrelid: Oid = Oid(of.relation),
        typsubscript: Function = type_rows::subscripting(&of),
        typelem: Oid = Oid(of.element),
        typarray: Oid = Oid(of.array),
        typinput: Function = type_rows::input(&of, "in"),
        typoutput: Function = type_rows::input(&of, "out"),
        typreceive: Function = type_rows::input(&of, "recv"),
        typsend: Function = type_rows::input(&of, "send"),
        typmodin: Function = type_rows::none(),
        typmodout: Function = type_rows::none(),
        typanalyze: Function = type_rows::none(),
        typalign: Char = Letter(of.alignment),
        typstorage: Char = Letter(of.storage),
        typnotnull: Bool = of.not_null,
        typbasetype: Oid = Oid(of.base),
        typtypmod: Int4 = of.modifier,
        typndims: Int4 = 0,
        typcollation: Oid = Oid(of.collation),
        typdefaultbin: Tree = Value::Null,
        typdefault: Text = of.default.clone(),
        typacl: TextArray = Value::Null,
    },
    relation! {
        pg_enum 3501;
        for label in |view| view.enum_labels();
        oid: Oid = Oid(label.oid),
        enumtypid: Oid = Oid(label.of),
        enumsortorder: Float4 = label.order,
        enumlabel: Name = label.name,
    },
    relation! {
        pg_range 3541;
        rngtypid: Oid,
        rngsubtype: Oid,
        rngmultitypid: Oid,
        rngcollation: Oid,
        rngsubopc: Oid,
        rngcanonical: Function,
        rngsubdiff: Function,
    },
    relation! {
        pg_collation 3456;
        for (oid, name, provider) in |_| [
            (oids::DEFAULT_COLLATION, "default", 'd'),
            (oids::C_COLLATION, "C", 'c'),
            (951, "POSIX", 'c'),
        ];
        oid: Oid = Oid(oid),
        collname: Name = name,
        collnamespace: Oid = Oid(oids::PG_CATALOG_SCHEMA),
        collowner: Oid = Oid(oids::OWNER),
        collprovider: Char = Letter(provider),
        collisdeterministic: Bool = true,
        collencoding: Int4 = -1,
        collcollate: Text = (provider == 'c').then_some("C"),
        collctype: Text = (provider == 'c').then_some("C"),
        colliculocale: Text = Value::Null,
        collversion: Text = Value::Null,
    },
    relation! {
        pg_operator 2617;
        for operator in |_| objects::operators();
        oid: Oid = Oid(operator.oid),
        oprname: Name = operator.name,
        oprnamespace: Oid = Oid(oids::PG_CATALOG_SCHEMA),
        oprowner: Oid = Oid(oids::OWNER),
        oprkind: Char = Letter('b'),
        oprcanmerge: Bool = operator.name == "=",
        oprcanhash: Bool = operator.name == "=",
        oprleft: Oid = Oid(operator.left),
        oprright: Oid = Oid(operator.right),
        oprresult: Oid = Oid(operator.returns),
        oprcom: Oid = Oid(0),
        oprnegate: Oid = Oid(0),
        oprcode: Function = type_rows::none(),
        oprrest: Function = type_rows::none(),
        oprjoin: Function = type_rows::none(),
    },
    relation! {
        pg_opclass 2616;
        for of in |_| type_rows::indexable();
        oid: Oid = Oid(type_rows::operator_class(of.data_type)),
        opcmethod: Oid = Oid(oids::BTREE_INDEX),
        opcname: Name = format!("{}_ops", of.name),
        opcnamespace: Oid = Oid(oids::PG_CATALOG_SCHEMA),
        opcowner: Oid = Oid(oids::OWNER),
        opcfamily: Oid = Oid(type_rows::operator_class(of.data_type)),
        opcintype: Oid = Oid(of.oid),
        opcdefault: Bool = true,
        opckeytype: Oid = Oid(0),
    },
    relation! {
        pg_opfamily 2753;
        for of in |_| type_rows::indexable();
        oid: Oid = Oid(type_rows::operator_class(of.data_type)),
        opfmethod: Oid = Oid(oids::BTREE_INDEX),
        opfname: Name = format!("{}_ops", of.name),
        opfnamespace: Oid = Oid(oids::PG_CATALOG_SCHEMA),
        opfowner: Oid = Oid(oids::OWNER),
    },
    relation! {
        pg_amop 2602;
        oid: Oid,
        amopfamily: Oid,
        amoplefttype: Oid,
        amoprighttype: Oid,
        amopstrategy: Int2,
        amoppurpose: Char,
        amopopr: Oid,
        amopmethod: Oid,
        amopsortfamily: Oid,
    },
    relation! {
        pg_amproc 2603;
        oid: Oid,
        amprocfamily: Oid,
        amproclefttype: Oid,
        amprocrighttype: Oid,
        amprocnum: Int2,
        amproc: Function,
    },
    relation! {
        pg_am 2601;
        for (oid, name, kind) in |_| [
            (oids::HEAP, "heap", 't'),
            (oids::BTREE_INDEX, "btree", 'i'),
            (oids::LSM, "lsm", 't'),
            (oids::HYBRID, "hybrid", 't'),
        ];
        oid: Oid = Oid(oid),
        amname: Name = name,
        amhandler: Function = type_rows::none(),
        amtype: Char = Letter(kind),
    },
    relation! {
        pg_cast 2605;
        for (from, to, context) in |_| type_rows::casts();
        oid: Oid = Oid(from << 16 | to),
        castsource: Oid = Oid(from),
        casttarget: Oid = Oid(to),
        castfunc: Oid = Oid(0),
        castcontext: Char = Letter(context),
        castmethod: Char = Letter('f'),
    },
    relation! {
        pg_conversion 2607;
        oid: Oid,
        conname: Name,
        connamespace: Oid,
        conowner: Oid,
        conforencoding: Int4,
        contoencoding: Int4,
        conproc: Function,
        condefault: Bool,
    },
];
