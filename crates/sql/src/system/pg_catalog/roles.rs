//! Databases and roles.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    catalog::access::{ObjectId, Role},
    engine::system::{Letter, Oid, texts},
    system::oids,
};

/// Until when a role's password is valid; NULL: always.
#[cfg(feature = "engine")]
fn valid_until(role: &Role) -> Value {
    role.valid_until.map_or(Value::Null, Value::TimestampTz)
}

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_database 1262;
        for name in |view| [view.database()];
        oid: Oid = Oid(oids::DATABASE),
        datname: Name = name,
        datdba: Oid = Oid(oids::OWNER),
        encoding: Int4 = 6,
        datlocprovider: Char = Letter('c'),
        datistemplate: Bool = false,
        datallowconn: Bool = true,
        datconnlimit: Int4 = -1,
        datfrozenxid: Xid = Oid(0),
        datminmxid: Xid = Oid(0),
        dattablespace: Oid = Oid(oids::DEFAULT_TABLESPACE),
        datcollate: Text = "C",
        datctype: Text = "C.UTF-8",
        daticulocale: Text = Value::Null,
        datcollversion: Text = Value::Null,
        datacl: TextArray = view.access_list(&ObjectId::Database).map(texts),
    },
    relation! {
        pg_authid 1260;
        for role in |view| view.roles();
        oid: Oid = Oid(role.id.0),
        rolname: Name = role.name.as_str(),
        rolsuper: Bool = role.superuser,
        rolinherit: Bool = role.inherit,
        rolcreaterole: Bool = role.create_role,
        rolcreatedb: Bool = role.create_database,
        rolcanlogin: Bool = role.login,
        rolreplication: Bool = role.replication,
        rolbypassrls: Bool = role.bypass_row_security,
        rolconnlimit: Int4 = role.connection_limit,
        rolpassword: Text = Value::Null,
        rolvaliduntil: TimestampTz = valid_until(&role),
    },
    relation! {
        pg_roles 12000;
        for role in |view| view.roles();
        rolname: Name = role.name.as_str(),
        rolsuper: Bool = role.superuser,
        rolinherit: Bool = role.inherit,
        rolcreaterole: Bool = role.create_role,
        rolcreatedb: Bool = role.create_database,
        rolcanlogin: Bool = role.login,
        rolreplication: Bool = role.replication,
        rolconnlimit: Int4 = role.connection_limit,
        rolpassword: Text = "********",
        rolvaliduntil: TimestampTz = valid_until(&role),
        rolbypassrls: Bool = role.bypass_row_security,
        rolconfig: TextArray = Value::Null,
        oid: Oid = Oid(role.id.0),
    },
    relation! {
        pg_user 12001;
        for role in |view| view.users();
        usename: Name = role.name.as_str(),
        usesysid: Oid = Oid(role.id.0),
        usecreatedb: Bool = role.create_database,
        usesuper: Bool = role.superuser,
        userepl: Bool = role.replication,
        usebypassrls: Bool = role.bypass_row_security,
        passwd: Text = "********",
        valuntil: TimestampTz = valid_until(&role),
        useconfig: TextArray = Value::Null,
    },
    relation! {
        pg_shadow 12002;
        for role in |view| view.users();
        usename: Name = role.name.as_str(),
        usesysid: Oid = Oid(role.id.0),
        usecreatedb: Bool = role.create_database,
        usesuper: Bool = role.superuser,
        userepl: Bool = role.replication,
        usebypassrls: Bool = role.bypass_row_security,
        passwd: Text = Value::Null,
        valuntil: TimestampTz = valid_until(&role),
        useconfig: TextArray = Value::Null,
    },
    relation! {
        pg_group 12003;
        groname: Name,
        grosysid: Oid,
        grolist: OidArray,
    },
    relation! {
        pg_auth_members 1261;
        for (member, of) in |view| view.memberships();
        roleid: Oid = Oid(of.role.0),
        member: Oid = Oid(member.0),
        grantor: Oid = Oid(of.grantor.0),
        admin_option: Bool = of.admin,
    },
    relation! {
        pg_db_role_setting 2964;
        setdatabase: Oid,
        setrole: Oid,
        setconfig: TextArray,
    },
    relation! {
        pg_default_acl 826;
        oid: Oid,
        defaclrole: Oid,
        defaclnamespace: Oid,
        defaclobjtype: Char,
        defaclacl: TextArray,
    },
    relation! {
        pg_init_privs 3394;
        objoid: Oid,
        classoid: Oid,
        objsubid: Int4,
        privtype: Char,
        initprivs: TextArray,
    },
    relation! {
        pg_shdepend 1214;
        dbid: Oid,
        classid: Oid,
        objid: Oid,
        objsubid: Int4,
        refclassid: Oid,
        refobjid: Oid,
        deptype: Char,
    },
    relation! {
        pg_tablespace 1213;
        for (oid, name) in |_| [
            (oids::DEFAULT_TABLESPACE, "pg_default"),
            (oids::GLOBAL_TABLESPACE, "pg_global"),
        ];
        oid: Oid = Oid(oid),
        spcname: Name = name,
        spcowner: Oid = Oid(oids::OWNER),
        spcacl: TextArray = Value::Null,
        spcoptions: TextArray = Value::Null,
    },
];
