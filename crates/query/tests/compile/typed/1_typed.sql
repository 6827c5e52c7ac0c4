-- What tests/migrations have not: an enumerated type, a schema, a key of two columns, a computed
-- column, and types that no Rust type stands for.
CREATE TYPE urgency AS ENUM ('low', 'very_high', 'none');
CREATE SCHEMA depot;
CREATE TABLE depot.part (
    project int NOT NULL,
    number int GENERATED ALWAYS AS IDENTITY,
    urgency urgency NOT NULL,
    price numeric(12, 2) NOT NULL,
    doubled numeric GENERATED ALWAYS AS (price * 2) STORED,
    opened time with time zone,
    relation oid,
    PRIMARY KEY (project, number)
);
