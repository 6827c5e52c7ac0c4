import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** JDBC: rows, batches, prepared statements, fetch sizes, transactions, COPY, errors, cancel. */
public final class JdbcClient {
    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static java.util.List<String> column(ResultSet rows, String name) throws SQLException {
        java.util.List<String> values = new java.util.ArrayList<>();
        while (rows.next()) {
            values.add(rows.getString(name));
        }
        return values;
    }

    /**
     * What tools ask of the driver about tables. getPrimaryKeys, getIndexInfo and
     * getBestRowIdentifier are missing: they need composite values,
     * (information_schema._pg_expandarray(i.indkey)).n.
     */
    static void metadata(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE jdbc_child (id serial PRIMARY KEY, parent int NOT NULL REFERENCES jdbc_t (id),"
                + " tags text[], at timestamptz DEFAULT now(), UNIQUE (parent, at))");
            statement.execute("CREATE INDEX jdbc_child_at ON jdbc_child (at DESC)");
            statement.execute("INSERT INTO jdbc_child (parent, tags) VALUES (1, ARRAY['a', 'b'])");
        }
        java.sql.DatabaseMetaData about = connection.getMetaData();
        check(column(about.getTables(null, "public", "jdbc_%", new String[] {"TABLE"}), "TABLE_NAME").contains("jdbc_child"), "getTables");
        check(column(about.getColumns(null, "public", "jdbc_child", "%"), "COLUMN_NAME").equals(java.util.List.of("id", "parent", "tags", "at")), "getColumns");
        check(column(about.getImportedKeys(null, "public", "jdbc_child"), "PKTABLE_NAME").equals(java.util.List.of("jdbc_t")), "getImportedKeys");
        check(column(about.getExportedKeys(null, "public", "jdbc_t"), "FKTABLE_NAME").equals(java.util.List.of("jdbc_child")), "getExportedKeys");
        check(column(about.getSchemas(), "TABLE_SCHEM").contains("public"), "getSchemas");
        check(column(about.getTypeInfo(), "TYPE_NAME").contains("int4"), "getTypeInfo");
        check(column(about.getTableTypes(), "TABLE_TYPE").contains("VIEW"), "getTableTypes");
        check(column(about.getTablePrivileges(null, "public", "jdbc_child"), "PRIVILEGE").contains("SELECT"), "getTablePrivileges");
        check(!column(about.getCatalogs(), "TABLE_CAT").isEmpty(), "getCatalogs");
        column(about.getFunctions(null, null, "abs"), "FUNCTION_NAME");
        column(about.getProcedures(null, null, "%"), "PROCEDURE_NAME");
        check(about.getDatabaseMajorVersion() >= 15, "getDatabaseMajorVersion");
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery("SELECT tags FROM jdbc_child");
            check(rows.next(), "a row with an array");
            check(java.util.Arrays.equals((Object[]) rows.getArray(1).getArray(), new String[] {"a", "b"}), "an array");
            check(rows.getMetaData().getColumnTypeName(1).equals("_text"), rows.getMetaData().getColumnTypeName(1));
            statement.execute("DROP TABLE jdbc_child");
        }
    }

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/gate";
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("prepareThreshold", "1");
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            try (Statement statement = connection.createStatement()) {
                statement.execute("DROP TABLE IF EXISTS jdbc_child");
                statement.execute("DROP TABLE IF EXISTS jdbc_t");
                statement.execute("CREATE TABLE jdbc_t (id int PRIMARY KEY, name text, amount numeric(9,2))");
            }
            connection.setAutoCommit(false);
            String insert = "INSERT INTO jdbc_t VALUES (?, ?, ?)";
            try (PreparedStatement statement = connection.prepareStatement(insert)) {
                for (int id = 0; id < 1000; id++) {
                    statement.setInt(1, id);
                    statement.setString(2, "name " + id);
                    statement.setBigDecimal(3, new java.math.BigDecimal("1.50"));
                    statement.addBatch();
                }
                check(statement.executeBatch().length == 1000, "a batch of 1000");
            }
            connection.commit();
            // Rows in portions.
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(50);
                ResultSet rows = statement.executeQuery("SELECT id, name, amount FROM jdbc_t ORDER BY id");
                int seen = 0;
                while (rows.next()) {
                    check(rows.getInt(1) == seen && rows.getString(2).equals("name " + seen), "row " + seen);
                    seen++;
                }
                check(seen == 1000, "1000 rows in portions");
            }
            connection.rollback();
            connection.setAutoCommit(true);
            CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
            check(copy.copyIn("COPY jdbc_t FROM STDIN (FORMAT csv)", new StringReader("5000,copied,2\n")) == 1, "COPY FROM");
            StringWriter out = new StringWriter();
            copy.copyOut("COPY (SELECT * FROM jdbc_t WHERE id = 5000) TO STDOUT", out);
            check(out.toString().equals("5000\tcopied\t2.00\n"), out.toString());
            try (Statement statement = connection.createStatement()) {
                statement.execute("INSERT INTO jdbc_t (id) VALUES (1)");
                check(false, "no error");
            } catch (SQLException error) {
                check("23505".equals(error.getSQLState()), error.getSQLState());
            }
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                statement.executeQuery("SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b");
                check(false, "not cancelled");
            } catch (SQLException error) {
                check("57014".equals(error.getSQLState()), error.getSQLState());
            }
            try (PreparedStatement statement = connection.prepareStatement("SELECT count(*) FROM jdbc_t WHERE id < ?")) {
                for (int limit = 0; limit < 10; limit++) {
                    statement.setInt(1, limit);
                    ResultSet rows = statement.executeQuery();
                    check(rows.next() && rows.getLong(1) == limit, "a statement run often");
                }
            }
            metadata(connection);
            System.out.println("JDBC " + connection.getMetaData().getDriverVersion());
        }
    }
}
