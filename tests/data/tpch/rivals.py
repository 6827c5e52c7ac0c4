"""Runs TPC-H on what is installed of DuckDB and DataFusion, for `cargo xtask bench tpch --rivals PYTHON`.

    python3 rivals.py DIRECTORY

DIRECTORY holds a file `TABLE.csv` without header and `TABLE.columns` (a line `name type` each) for every
table, and `queries.sql`, in which `year(x)` is the year of a date. Prints a line `engine TAB query TAB
milliseconds` for each query. Each runs once to warm up, then is timed.
"""

import glob
import os
import sys
import time


def tables(directory):
    for path in sorted(glob.glob(os.path.join(directory, "*.columns"))):
        name = os.path.basename(path).removesuffix(".columns")
        with open(path) as lines:
            yield name, [line.split(" ", 1) for line in lines.read().splitlines()]


def report(engine, queries, run):
    for number, sql in enumerate(queries, 1):
        run(sql)
        start = time.perf_counter()
        run(sql)
        print(f"{engine}\t{number}\t{(time.perf_counter() - start) * 1000}", flush=True)


def duckdb_runs(directory, queries):
    import duckdb

    connection = duckdb.connect(os.path.join(directory, "duckdb.db"))
    for name, columns in tables(directory):
        declared = ", ".join(f"{column} {kind}" for column, kind in columns)
        connection.execute(f"CREATE TABLE {name} ({declared})")
        connection.execute(f"COPY {name} FROM '{directory}/{name}.csv' (HEADER false, DELIMITER '|')")
    report("DuckDB", queries, lambda sql: connection.execute(sql).fetchall())


def datafusion_runs(directory, queries):
    import datafusion
    import duckdb

    # Parquet, written by DuckDB: DataFusion has no tables of its own on disk.
    connection = duckdb.connect(os.path.join(directory, "duckdb.db"))
    context = datafusion.SessionContext()
    for name, _ in tables(directory):
        connection.execute(f"COPY {name} TO '{directory}/{name}.parquet' (FORMAT parquet)")
        context.register_parquet(name, f"{directory}/{name}.parquet")
    queries = [sql.replace("year(", "date_part('year', ") for sql in queries]
    report("DataFusion", queries, lambda sql: context.sql(sql).collect())


def main(directory):
    with open(os.path.join(directory, "queries.sql")) as text:
        lines = [line for line in text if not line.startswith("--")]
    queries = [sql for sql in "".join(lines).split(";") if sql.strip()]
    for run in [duckdb_runs, datafusion_runs]:
        try:
            run(directory, queries)
        except ImportError as missing:
            print(f"{missing.name} is not installed", file=sys.stderr)


main(sys.argv[1])
