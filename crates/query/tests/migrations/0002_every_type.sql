-- A column of every type.
CREATE TABLE every_type (
    id int PRIMARY KEY,
    a_boolean boolean,
    a_smallint smallint,
    a_bigint bigint,
    a_real real,
    a_double double precision,
    a_numeric numeric,
    a_char char(3),
    a_bytea bytea,
    a_time time,
    a_timestamp timestamp,
    an_interval interval,
    a_uuid uuid,
    a_json json,
    some_integers int[] NOT NULL
);
