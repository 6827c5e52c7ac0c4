//! What there is in PostgreSQL and not here: relations without rows, so that clients that look
//! find nothing instead of failing.

use crate::system::{SystemRelation, relation::relation};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_statistic_ext 3381;
        oid: Oid,
        stxrelid: Oid,
        stxname: Name,
        stxnamespace: Oid,
        stxowner: Oid,
        stxstattarget: Int4,
        stxkeys: Int2Vector,
        stxkind: CharArray,
        stxexprs: Tree,
    },
    relation! {
        pg_publication 6104;
        oid: Oid,
        pubname: Name,
        pubowner: Oid,
        puballtables: Bool,
        pubinsert: Bool,
        pubupdate: Bool,
        pubdelete: Bool,
        pubtruncate: Bool,
        pubviaroot: Bool,
    },
    relation! {
        pg_publication_rel 6106;
        oid: Oid,
        prpubid: Oid,
        prrelid: Oid,
        prqual: Tree,
        prattrs: Int2Vector,
    },
    relation! {
        pg_publication_namespace 6237;
        oid: Oid,
        pnpubid: Oid,
        pnnspid: Oid,
    },
    relation! {
        pg_publication_tables 12030;
        pubname: Name,
        schemaname: Name,
        tablename: Name,
        attnames: NameArray,
        rowfilter: Text,
    },
    relation! {
        pg_subscription 6100;
        oid: Oid,
        subdbid: Oid,
        subskiplsn: Text,
        subname: Name,
        subowner: Oid,
        subenabled: Bool,
        subbinary: Bool,
        substream: Bool,
        subtwophasestate: Char,
        subdisableonerr: Bool,
        subconninfo: Text,
        subslotname: Name,
        subsynccommit: Text,
        subpublications: TextArray,
    },
    relation! {
        pg_subscription_rel 6102;
        srsubid: Oid,
        srrelid: Oid,
        srsubstate: Char,
        srsublsn: Text,
    },
    relation! {
        pg_replication_slots 12031;
        slot_name: Name,
        plugin: Name,
        slot_type: Text,
        datoid: Oid,
        database: Name,
        temporary: Bool,
        active: Bool,
        active_pid: Int4,
        xmin: Xid,
        catalog_xmin: Xid,
        restart_lsn: Text,
        confirmed_flush_lsn: Text,
        wal_status: Text,
        safe_wal_size: Int8,
        two_phase: Bool,
    },
    relation! {
        pg_foreign_data_wrapper 2328;
        oid: Oid,
        fdwname: Name,
        fdwowner: Oid,
        fdwhandler: Oid,
        fdwvalidator: Oid,
        fdwacl: TextArray,
        fdwoptions: TextArray,
    },
    relation! {
        pg_foreign_server 1417;
        oid: Oid,
        srvname: Name,
        srvowner: Oid,
        srvfdw: Oid,
        srvtype: Text,
        srvversion: Text,
        srvacl: TextArray,
        srvoptions: TextArray,
    },
    relation! {
        pg_foreign_table 3118;
        ftrelid: Oid,
        ftserver: Oid,
        ftoptions: TextArray,
    },
    relation! {
        pg_user_mappings 12032;
        umid: Oid,
        srvid: Oid,
        srvname: Name,
        umuser: Oid,
        usename: Name,
        umoptions: TextArray,
    },
    relation! {
        pg_event_trigger 3466;
        oid: Oid,
        evtname: Name,
        evtevent: Name,
        evtowner: Oid,
        evtfoid: Oid,
        evtenabled: Char,
        evttags: TextArray,
    },
    relation! {
        pg_ts_config 3602;
        oid: Oid,
        cfgname: Name,
        cfgnamespace: Oid,
        cfgowner: Oid,
        cfgparser: Oid,
    },
    relation! {
        pg_ts_config_map 3603;
        mapcfg: Oid,
        maptokentype: Int4,
        mapseqno: Int4,
        mapdict: Oid,
    },
    relation! {
        pg_ts_dict 3600;
        oid: Oid,
        dictname: Name,
        dictnamespace: Oid,
        dictowner: Oid,
        dicttemplate: Oid,
        dictinitoption: Text,
    },
    relation! {
        pg_ts_parser 3601;
        oid: Oid,
        prsname: Name,
        prsnamespace: Oid,
        prsstart: Function,
        prstoken: Function,
        prsend: Function,
        prsheadline: Function,
        prslextype: Function,
    },
    relation! {
        pg_ts_template 3764;
        oid: Oid,
        tmplname: Name,
        tmplnamespace: Oid,
        tmplinit: Function,
        tmpllexize: Function,
    },
    relation! {
        pg_largeobject_metadata 2995;
        oid: Oid,
        lomowner: Oid,
        lomacl: TextArray,
    },
    relation! {
        pg_seclabel 3596;
        objoid: Oid,
        classoid: Oid,
        objsubid: Int4,
        provider: Text,
        label: Text,
    },
    relation! {
        pg_seclabels 12033;
        objoid: Oid,
        classoid: Oid,
        objsubid: Int4,
        objtype: Text,
        objnamespace: Oid,
        objname: Text,
        provider: Text,
        label: Text,
    },
    relation! {
        pg_shseclabel 3592;
        objoid: Oid,
        classoid: Oid,
        provider: Text,
        label: Text,
    },
    relation! {
        pg_parameter_acl 6243;
        oid: Oid,
        parname: Text,
        paracl: TextArray,
    },
    relation! {
        pg_prepared_xacts 12034;
        transaction: Xid,
        gid: Text,
        prepared: TimestampTz,
        owner: Name,
        database: Name,
    },
];
