//! Schemas, relations and their columns.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    engine::system::{Letter, Oid, columns, int2_vector, oid_vector, relations, texts},
};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_namespace 2615;
        for schema in |view| view.schemas();
        oid: Oid = Oid(schema.oid),
        nspname: Name = schema.name.as_str(),
        nspowner: Oid = Oid(view.owner_of_schema(&schema.name)),
        nspacl: TextArray = view.schema_access_list(&schema.name).map(texts),
    },
    relation! {
        pg_class 1259 by oid;
        for class in |view, oid| view.relations(oid);
        oid: Oid = Oid(class.oid),
        relname: Name = &*class.name(),
        relnamespace: Oid = Oid(view.schema_oid(class.schema())),
        reltype: Oid = Oid(if matches!(class.kind(), 'r' | 'p' | 'v') { class.oid } else { 0 }),
        reloftype: Oid = Oid(0),
        relowner: Oid = Oid(view.owner_of(&class)),
        relam: Oid = Oid(class.access_method()),
        relfilenode: Oid = Oid(class.file()),
        reltablespace: Oid = Oid(0),
        relpages: Int4 = class.pages(view),
        reltuples: Float4 = class.tuples(),
        relallvisible: Int4 = 0,
        reltoastrelid: Oid = Oid(0),
        relhasindex: Bool = class.has_index(),
        relisshared: Bool = false,
        relpersistence: Char = Letter(class.persistence()),
        relkind: Char = Letter(class.kind()),
        relnatts: Int2 = class.width(),
        relchecks: Int2 = class.checks(),
        relhasrules: Bool = class.kind() == 'v',
        relhastriggers: Bool = class.has_triggers(),
        relhassubclass: Bool = class.has_children(view),
        relrowsecurity: Bool = false,
        relforcerowsecurity: Bool = false,
        relispopulated: Bool = true,
        relreplident: Char = Letter(if matches!(class.kind(), 'r' | 'p') { 'd' } else { 'n' }),
        relispartition: Bool = class.is_partition(),
        relrewrite: Oid = Oid(0),
        relfrozenxid: Xid = Oid(0),
        relminmxid: Xid = Oid(0),
        relacl: TextArray = class.access_list(view).map(texts),
        reloptions: TextArray = class.options().map(texts),
        relpartbound: Tree = class.partition_bound(),
    },
    relation! {
        pg_attribute 1249 by attrelid;
        for column in |view, of| view.columns(of);
        attrelid: Oid = Oid(column.relation.oid),
        attname: Name = column.name.as_str(),
        atttypid: Oid = Oid(column.data_type.oid()),
        attstattarget: Int4 = -1,
        attlen: Int2 = column.size(),
        attnum: Int2 = column.number,
        attndims: Int4 = column.dimensions(),
        attcacheoff: Int4 = -1,
        atttypmod: Int4 = column.data_type.modifier(),
        attbyval: Bool = columns::by_value(column.data_type),
        attalign: Char = Letter(columns::alignment(column.data_type)),
        attstorage: Char = Letter(columns::storage(column.data_type)),
        attcompression: Char = Letter('\0'),
        attnotnull: Bool = column.not_null,
        atthasdef: Bool = column.has_default(),
        atthasmissing: Bool = false,
        attidentity: Char = Letter(column.identity()),
        attgenerated: Char = Letter(column.generated()),
        attisdropped: Bool = false,
        attislocal: Bool = true,
        attinhcount: Int4 = 0,
        attcollation: Oid = Oid(column.collation()),
        attacl: TextArray = column.access_list(view).map(texts),
        attoptions: TextArray = Value::Null,
        attfdwoptions: TextArray = Value::Null,
        attmissingval: TextArray = Value::Null,
    },
    relation! {
        pg_attrdef 2604 by adrelid;
        for column in |view, of| view.columns(of).into_iter().filter(columns::ColumnEntry::has_default);
        oid: Oid = Oid(column.of_table.as_ref().map_or(0, |of| of.default_oid)),
        adrelid: Oid = Oid(column.relation.oid),
        adnum: Int2 = column.number,
        adbin: Tree = column.default(),
    },
    relation! {
        pg_index 2610;
        for (class, index, table) in |view| relations::indexes_with_tables(&view.indexes());
        indexrelid: Oid = Oid(class.oid),
        indrelid: Oid = Oid(relations::oid_of(table)),
        indnatts: Int2 = class.width(),
        indnkeyatts: Int2 = index.columns.len() as i16,
        indisunique: Bool = index.unique,
        indnullsnotdistinct: Bool = false,
        indisprimary: Bool = index.primary,
        indisexclusion: Bool = false,
        indimmediate: Bool = true,
        indisclustered: Bool = false,
        indisvalid: Bool = true,
        indcheckxmin: Bool = false,
        indisready: Bool = true,
        indislive: Bool = true,
        indisreplident: Bool = false,
        indkey: Int2Vector = int2_vector(index.column_numbers(table)),
        indcollation: OidVector = oid_vector(index.collations(table)),
        indclass: OidVector = oid_vector(index.operator_classes(table)),
        indoption: Int2Vector = int2_vector(index.options()),
        indexprs: Tree = index.expression_text(),
        indpred: Tree = index.predicate,
    },
    relation! {
        pg_sequence 2224;
        for sequence in |view| view.sequences();
        seqrelid: Oid = Oid(relations::sequence_oid(&sequence)),
        seqtypid: Oid = Oid(sequence.data_type.oid()),
        seqstart: Int8 = sequence.start,
        seqincrement: Int8 = sequence.increment,
        seqmax: Int8 = sequence.max,
        seqmin: Int8 = sequence.min,
        seqcache: Int8 = sequence.cache,
        seqcycle: Bool = sequence.cycle,
    },
    relation! {
        pg_description 2609;
        for ((class, object, column), text) in |view| view.object_comments();
        objoid: Oid = Oid(object),
        classoid: Oid = Oid(class),
        objsubid: Int4 = column as i32,
        description: Text = text,
    },
    relation! {
        pg_shdescription 2396;
        for ((class, object, _), text) in |view| view.shared_comments();
        objoid: Oid = Oid(object),
        classoid: Oid = Oid(class),
        description: Text = text,
    },
    relation! {
        pg_depend 2608;
        for of in |view| view.dependencies();
        classid: Oid = Oid(of.class),
        objid: Oid = Oid(of.object),
        objsubid: Int4 = of.column,
        refclassid: Oid = Oid(of.referenced_class),
        refobjid: Oid = Oid(of.referenced),
        refobjsubid: Int4 = of.referenced_column,
        deptype: Char = Letter(of.kind),
    },
    relation! {
        pg_rewrite 2618;
        for (class, text) in |view| view.views();
        oid: Oid = Oid(class.oid),
        rulename: Name = "_RETURN",
        ev_class: Oid = Oid(class.oid),
        ev_type: Char = Letter('1'),
        ev_enabled: Char = Letter('O'),
        is_instead: Bool = true,
        ev_qual: Tree = Value::Null,
        ev_action: Tree = text,
    },
    relation! {
        pg_inherits 2611;
        for of in |view| view.inheritances();
        inhrelid: Oid = Oid(of.child),
        inhparent: Oid = Oid(of.parent),
        inhseqno: Int4 = of.number,
        inhdetachpending: Bool = false,
    },
    relation! {
        pg_partitioned_table 3350;
        for of in |view| view.partitioned();
        partrelid: Oid = Oid(of.relation.oid),
        partstrat: Char = Letter(of.strategy()),
        partnatts: Int2 = of.width(),
        partdefid: Oid = Oid(of.default_partition(view)),
        partattrs: Int2Vector = int2_vector(of.columns()),
        partclass: OidVector = oid_vector(vec![0; of.columns().len()]),
        partcollation: OidVector = oid_vector(of.collations()),
        partexprs: Tree = of.expressions(),
    },
];
