-- psql: statements, variables, COPY from the script, errors, transactions.
DROP TABLE IF EXISTS psql_t;
CREATE TABLE psql_t (id int PRIMARY KEY, name text);
COPY psql_t FROM STDIN;
1	one
2	two \\ three
3	\N
\.
\set wanted 2
SELECT name = E'two \\ three' AS intact FROM psql_t WHERE id = :wanted \gset
\if :intact
\else
  \echo the backslash is gone
  SELECT 1 / 0;
\endif
BEGIN;
DELETE FROM psql_t;
ROLLBACK;
SELECT count(*) = 3 AS kept FROM psql_t \gset
\if :kept
\else
  \echo the rows are gone
  SELECT 1 / 0;
\endif
\set ON_ERROR_STOP off
INSERT INTO psql_t VALUES (1, 'again');
\set ON_ERROR_STOP on
SELECT :'SQLSTATE' = '23505' AS refused \gset
\if :refused
\else
  \echo the duplicate was taken
  SELECT 1 / 0;
\endif
PREPARE p (int) AS SELECT name FROM psql_t WHERE id = $1;
EXECUTE p (1);
\copy (SELECT * FROM psql_t ORDER BY id) TO STDOUT (FORMAT csv)
\echo psql :VERSION_NUM
