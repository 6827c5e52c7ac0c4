-- psql's backslash commands: each must be answered.
CREATE TABLE described (
    id int PRIMARY KEY,
    name text NOT NULL DEFAULT 'none' CHECK (name <> ''),
    parent int REFERENCES described (id)
);
CREATE INDEX described_name ON described (lower(name)) WHERE parent IS NULL;
CREATE VIEW described_view AS SELECT id FROM described;
CREATE SEQUENCE described_seq;
COMMENT ON TABLE described IS 'A table';
CREATE TABLE described_parts (day date NOT NULL, amount int) PARTITION BY RANGE (day);
CREATE TABLE described_part PARTITION OF described_parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE DOMAIN described_domain AS int CHECK (VALUE > 0);
CREATE ROLE described_role;
GRANT SELECT ON described TO described_role;
\d
\d described
\d+ described
\d described_view
\d+ described_view
\d described_name
\d described_seq
\d described_parts
\d+ described_parts
\d described_part
\da
\dA
\db
\dc
\dC
\dd
\dD
\ddp
\det
\df
\df+ abs
\dF
\dg
\di
\di+
\dl
\dL
\dm
\dn
\dn+
\do
\dO
\dp
\dP
\drds
\dRp
\dRs
\ds
\dS
\dt
\dt+
\dT
\dT+
\du
\du+
\dv
\dv+
\dx
\dy
\l
\l+
\z
\conninfo
\encoding
\sv described_view
\dt pg_catalog.pg_class
\d pg_catalog.pg_class
DROP DOMAIN described_domain;
DROP TABLE described_parts;
DROP VIEW described_view;
DROP TABLE described;
DROP SEQUENCE described_seq;
DROP ROLE described_role;
\echo 'psql, every \\d'
