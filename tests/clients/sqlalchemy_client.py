"""SQLAlchemy: a model, its tables made and dropped, sessions, queries, COPY, errors, cancel,
reflection."""

import io
import os
import threading

import sqlalchemy as sa
from sqlalchemy.orm import Session, declarative_base, relationship

Base = declarative_base()


class Author(Base):
    __tablename__ = "sa_author"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(50), nullable=False, unique=True)
    books = relationship("Book", back_populates="author", order_by="Book.title")


class Book(Base):
    __tablename__ = "sa_book"
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.Text, nullable=False)
    price = sa.Column(sa.Numeric(8, 2))
    author_id = sa.Column(sa.ForeignKey("sa_author.id"), nullable=False)
    author = relationship("Author", back_populates="books")


url = sa.engine.URL.create(
    "postgresql+psycopg2" if sa.__version__ < "2" else "postgresql+psycopg",
    username=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    host=os.environ["PGHOST"],
    port=int(os.environ["PGPORT"]),
    database="gate",
)
engine = sa.create_engine(url)
with engine.begin() as connection:
    connection.execute(sa.text("DROP TABLE IF EXISTS sa_book"))
    connection.execute(sa.text("DROP TABLE IF EXISTS sa_author"))
Base.metadata.create_all(engine)
with Session(engine) as session:
    ada = Author(name="Ada")
    ada.books = [Book(title="Notes", price=12.5), Book(title="Letters", price=7)]
    session.add_all([ada, Author(name="Grace")])
    session.commit()
    total = session.execute(
        sa.select(Author.name, sa.func.sum(Book.price))
        .join(Book, isouter=True)
        .group_by(Author.name)
        .order_by(Author.name)
    ).all()
    assert [(name, str(price)) for name, price in total] == [("Ada", "19.50"), ("Grace", "None")], total
    assert [book.title for book in session.get(Author, ada.id).books] == ["Letters", "Notes"]
    ada.books[0].price = 8
    session.commit()
    session.add(Author(name="Ada"))
    try:
        session.commit()
        raise AssertionError("no error")
    except sa.exc.IntegrityError:
        session.rollback()
    session.delete(ada.books[0])
    session.commit()
    assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 1
columns = {column["name"]: column for column in sa.inspect(engine).get_columns("sa_book")}
assert list(columns) == ["id", "title", "price", "author_id"], columns
assert not columns["title"]["nullable"] and columns["price"]["nullable"]
assert sa.inspect(engine).get_pk_constraint("sa_book")["constrained_columns"] == ["id"]
assert sa.inspect(engine).get_foreign_keys("sa_book")[0]["referred_table"] == "sa_author"
# Reflection: everything there is to know of the tables, from the catalog.
with engine.begin() as connection:
    connection.execute(sa.text("CREATE INDEX sa_book_title ON sa_book (title DESC)"))
    connection.execute(sa.text("ALTER TABLE sa_book ADD CONSTRAINT sa_positive CHECK (price > 0)"))
    connection.execute(sa.text("COMMENT ON TABLE sa_book IS 'books'"))
    connection.execute(sa.text("CREATE VIEW sa_view AS SELECT id, title FROM sa_book"))
inspector = sa.inspect(engine)
assert {"sa_author", "sa_book"} <= set(inspector.get_table_names())
assert "sa_view" in inspector.get_view_names()
assert "title" in inspector.get_view_definition("sa_view")
assert [index["name"] for index in inspector.get_indexes("sa_book")] == ["sa_book_title"], inspector.get_indexes("sa_book")
assert [c["column_names"] for c in inspector.get_unique_constraints("sa_author")] == [["name"]]
assert [c["name"] for c in inspector.get_check_constraints("sa_book")] == ["sa_positive"]
assert inspector.get_table_comment("sa_book")["text"] == "books"
assert "public" in inspector.get_schema_names()
inspector.get_enums()
reflected = sa.MetaData()
reflected.reflect(engine, only=["sa_author", "sa_book"])
book = reflected.tables["sa_book"]
assert isinstance(book.c.price.type, sa.Numeric) and book.c.price.type.scale == 2, book.c.price.type
assert [fk.target_fullname for fk in book.c.author_id.foreign_keys] == ["sa_author.id"]
assert book.c.id.primary_key and book.c.id.server_default is not None
with engine.begin() as connection:
    connection.execute(sa.text("DROP VIEW sa_view"))

# What SQLAlchemy leaves to the driver: COPY and cancel.
raw = engine.raw_connection()
cursor = raw.cursor()
if sa.__version__ < "2":
    cursor.copy_expert("COPY sa_author (id, name) FROM STDIN (FORMAT csv)", io.StringIO("100,Copied\n"))
    out = io.StringIO()
    cursor.copy_expert("COPY (SELECT id, name FROM sa_author WHERE id = 100) TO STDOUT", out)
    assert out.getvalue() == "100\tCopied\n", out.getvalue()
else:
    with cursor.copy("COPY sa_author (id, name) FROM STDIN (FORMAT csv)") as copy:
        copy.write("100,Copied\n")
raw.commit()
timer = threading.Timer(0.3, (raw.dbapi_connection if hasattr(raw, "dbapi_connection") else raw.connection).cancel)
timer.start()
try:
    cursor.execute("SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b")
    raise AssertionError("not cancelled")
except engine.dialect.dbapi.Error as error:
    state = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    assert state == "57014", error
raw.rollback()
raw.close()
with engine.begin() as connection:
    assert connection.execute(sa.text("SELECT name FROM sa_author WHERE id = 100")).scalar() == "Copied"
Base.metadata.drop_all(engine)
print("SQLAlchemy", sa.__version__)
