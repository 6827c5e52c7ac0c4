//! Constraints.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    catalog::Deferral,
    engine::system::{Letter, Oid, constraints, int2s},
};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_constraint 2606 by conrelid;
        for (of, key) in |view, table| constraints::with_keys(view, table);
        oid: Oid = Oid(of.oid()),
        conname: Name = of.name(),
        connamespace: Oid = Oid(view.schema_oid(of.schema())),
        contype: Char = Letter(of.letter()),
        condeferrable: Bool = of.deferral() != Deferral::Never,
        condeferred: Bool = of.deferral() == Deferral::Deferred,
        convalidated: Bool = of.validated(),
        conrelid: Oid = Oid(of.table_oid()),
        contypid: Oid = Oid(0),
        conindid: Oid = Oid(of.index_oid(view)),
        conparentid: Oid = Oid(0),
        confrelid: Oid = Oid(key.parent),
        confupdtype: Char = Letter(key.on_update),
        confdeltype: Char = Letter(key.on_delete),
        confmatchtype: Char = Letter(key.matching),
        conislocal: Bool = true,
        coninhcount: Int4 = 0,
        connoinherit: Bool = of.letter() != 'c',
        conkey: Int2Array = int2s(of.column_numbers()),
        confkey: Int2Array = key.columns.map(int2s),
        conpfeqop: OidArray = Value::Null,
        conppeqop: OidArray = Value::Null,
        conffeqop: OidArray = Value::Null,
        confdelsetcols: Int2Array = key.set_columns.map(int2s),
        conexclop: OidArray = Value::Null,
        conbin: Tree = of.check().map(|check| check.text.as_str()),
    },
    relation! {
        pg_trigger 2620;
        oid: Oid,
        tgrelid: Oid,
        tgparentid: Oid,
        tgname: Name,
        tgfoid: Oid,
        tgtype: Int2,
        tgenabled: Char,
        tgisinternal: Bool,
        tgconstrrelid: Oid,
        tgconstrindid: Oid,
        tgconstraint: Oid,
        tgdeferrable: Bool,
        tginitdeferred: Bool,
        tgnargs: Int2,
        tgattr: Int2Vector,
        tgargs: Bytea,
        tgqual: Tree,
        tgoldtable: Name,
        tgnewtable: Name,
    },
    relation! {
        pg_policy 3256;
        oid: Oid,
        polname: Name,
        polrelid: Oid,
        polcmd: Char,
        polpermissive: Bool,
        polroles: OidArray,
        polqual: Tree,
        polwithcheck: Tree,
    },
];
