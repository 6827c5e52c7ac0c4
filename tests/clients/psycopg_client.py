"""psycopg 3 as programs use it: rows, prepared statements, transactions, COPY, errors, cancel."""

import datetime
import decimal
import os
import threading
import time
import uuid

import psycopg

connection = psycopg.connect(
    host=os.environ["PGHOST"],
    port=os.environ["PGPORT"],
    user=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    dbname="gate",
    autocommit=True,
)
cursor = connection.cursor()
cursor.execute("DROP TABLE IF EXISTS psycopg_t")
cursor.execute(
    "CREATE TABLE psycopg_t (id int PRIMARY KEY, name text NOT NULL, amount numeric(12, 2),"
    " born date, at timestamptz, key uuid, done boolean, bytes bytea)"
)

# Rows there and back, in text and binary form.
row = (
    1,
    "Ada ü",
    decimal.Decimal("12.50"),
    datetime.date(1815, 12, 10),
    datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.timezone.utc),
    uuid.UUID("8c5f1b3e-9d3c-4b0e-8a55-0d8a8f0ac1fe"),
    True,
    b"\x00\xff",
)
cursor.execute("INSERT INTO psycopg_t VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", row)
for binary in (False, True):
    found = connection.execute("SELECT * FROM psycopg_t WHERE id = %s", (1,), binary=binary).fetchone()
    assert found == row, (binary, found)

# A statement prepared on the server.
for n in range(2, 12):
    cursor.execute("INSERT INTO psycopg_t (id, name) VALUES (%s, %s)", (n, f"name {n}"), prepare=True)
cursor.executemany("UPDATE psycopg_t SET amount = %s WHERE id = %s", [(n, n) for n in range(2, 12)])
assert cursor.execute("SELECT sum(amount) FROM psycopg_t WHERE id > 1").fetchone()[0] == 65

# Transactions: committed, rolled back, nested.
with connection.transaction():
    cursor.execute("DELETE FROM psycopg_t WHERE id = 11")
    try:
        with connection.transaction():
            cursor.execute("DELETE FROM psycopg_t")
            raise psycopg.Rollback()
    except psycopg.Rollback:
        pass
assert cursor.execute("SELECT count(*) FROM psycopg_t").fetchone()[0] == 10

# COPY both ways, a row at a time and in blocks.
with cursor.copy("COPY psycopg_t (id, name) FROM STDIN") as copy:
    for n in range(100, 1100):
        copy.write_row((n, f"copied\t{n}"))
with cursor.copy("COPY (SELECT id, name FROM psycopg_t WHERE id >= 100 ORDER BY id) TO STDOUT") as copy:
    copied = list(copy.rows())
assert len(copied) == 1000 and copied[0] == ("100", "copied\t100"), copied[:2]
with cursor.copy("COPY psycopg_t (id, name) FROM STDIN (FORMAT binary)") as copy:
    copy.set_types(["int4", "text"])
    copy.write_row((2000, "binary"))

# Errors carry their state, place and context; the connection goes on.
try:
    cursor.execute("SELECT nope FROM psycopg_t")
    raise AssertionError("no error")
except psycopg.errors.UndefinedColumn as error:
    assert error.diag.statement_position == "8", error.diag.statement_position
try:
    cursor.execute("INSERT INTO psycopg_t (id, name) VALUES (1, 'again')")
    raise AssertionError("no error")
except psycopg.errors.UniqueViolation:
    pass
try:
    with cursor.copy("COPY psycopg_t (id, name) FROM STDIN") as copy:
        copy.write("x\tbad\n")
    raise AssertionError("no error")
except psycopg.errors.InvalidTextRepresentation as error:
    assert error.diag.context.startswith("COPY psycopg_t, line 1, column id"), error.diag.context
assert cursor.execute("SELECT 1").fetchone() == (1,)

# Cancel from another thread.
timer = threading.Timer(0.3, connection.cancel)
timer.start()
begin = time.monotonic()
try:
    cursor.execute(
        "SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b"
    )
    raise AssertionError("not cancelled")
except psycopg.errors.QueryCanceled:
    pass
assert time.monotonic() - begin < 10

# Arrays and JSON come as themselves.
for binary in (False, True):
    found = connection.execute(
        "SELECT %s::int[], %s::text[], '{\"a\": [1]}'::jsonb", ([1, None], ["x", "y z"]), binary=binary
    ).fetchone()
    assert found == ([1, None], ["x", "y z"], {"a": [1]}), (binary, found)

# Messages of another session.
connection.execute("LISTEN psycopg_news")
other = psycopg.connect(
    host=os.environ["PGHOST"],
    port=os.environ["PGPORT"],
    user=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    dbname="gate",
    autocommit=True,
)
timer = threading.Timer(0.3, lambda: other.execute("NOTIFY psycopg_news, 'hello'"))
timer.start()
assert next(connection.notifies()).payload == "hello"
timer.join()
other.close()

# Many statements in one round trip.
with connection.pipeline():
    cursors = [connection.execute("SELECT %s::int * 2", (n,)) for n in range(100)]
assert [each.fetchone()[0] for each in cursors] == [n * 2 for n in range(100)]

# A cursor on the server.
with connection.transaction():
    with connection.cursor(name="c") as named:
        named.execute("SELECT id FROM psycopg_t ORDER BY id")
        assert len(named.fetchmany(5)) == 5
        assert len(named.fetchall()) == 1006
connection.close()
print("psycopg", psycopg.__version__)
