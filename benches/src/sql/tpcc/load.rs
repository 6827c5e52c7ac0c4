//! The tables and what they hold at the beginning (clauses 1.3 and 4.3.3). Money is in cents and
//! rates in ten-thousandths, so that sums are exact in every database.

use std::time::Instant;

use super::{
    super::client::{Cell, Client, Durability, Result, SqlDatabase, StatementId},
    CUSTOMERS, DISTRICTS, FIRST_NEW, ITEMS, random,
};

const SCHEMA: &str = "
    CREATE TABLE warehouse (w_id bigint PRIMARY KEY, w_name text NOT NULL, w_street text NOT NULL,
        w_tax bigint NOT NULL, w_ytd bigint NOT NULL);
    CREATE TABLE district (d_w_id bigint, d_id bigint, d_name text NOT NULL, d_street text NOT NULL,
        d_tax bigint NOT NULL, d_ytd bigint NOT NULL, d_next_o_id bigint NOT NULL, PRIMARY KEY (d_w_id, d_id));
    CREATE TABLE customer (c_w_id bigint, c_d_id bigint, c_id bigint, c_first text NOT NULL, c_middle text NOT NULL,
        c_last text NOT NULL, c_street text NOT NULL, c_phone text NOT NULL, c_since bigint NOT NULL,
        c_credit text NOT NULL, c_credit_lim bigint NOT NULL, c_discount bigint NOT NULL, c_balance bigint NOT NULL,
        c_ytd_payment bigint NOT NULL, c_payment_cnt bigint NOT NULL, c_delivery_cnt bigint NOT NULL,
        c_data text NOT NULL, PRIMARY KEY (c_w_id, c_d_id, c_id));
    CREATE INDEX customer_by_name ON customer (c_w_id, c_d_id, c_last, c_first);
    CREATE TABLE history (h_c_id bigint NOT NULL, h_c_d_id bigint NOT NULL, h_c_w_id bigint NOT NULL,
        h_d_id bigint NOT NULL, h_w_id bigint NOT NULL, h_date bigint NOT NULL, h_amount bigint NOT NULL,
        h_data text NOT NULL);
    CREATE TABLE new_order (no_w_id bigint, no_d_id bigint, no_o_id bigint, PRIMARY KEY (no_w_id, no_d_id, no_o_id));
    CREATE TABLE orders (o_w_id bigint, o_d_id bigint, o_id bigint, o_c_id bigint NOT NULL, o_entry_d bigint NOT NULL,
        o_carrier_id bigint, o_ol_cnt bigint NOT NULL, o_all_local bigint NOT NULL,
        PRIMARY KEY (o_w_id, o_d_id, o_id));
    CREATE UNIQUE INDEX orders_by_customer ON orders (o_w_id, o_d_id, o_c_id, o_id);
    CREATE TABLE order_line (ol_w_id bigint, ol_d_id bigint, ol_o_id bigint, ol_number bigint, ol_i_id bigint NOT NULL,
        ol_supply_w_id bigint NOT NULL, ol_delivery_d bigint, ol_quantity bigint NOT NULL, ol_amount bigint NOT NULL,
        ol_dist_info text NOT NULL, PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number));
    CREATE TABLE item (i_id bigint PRIMARY KEY, i_im_id bigint NOT NULL, i_name text NOT NULL, i_price bigint NOT NULL,
        i_data text NOT NULL);
    CREATE TABLE stock (s_w_id bigint, s_i_id bigint, s_quantity bigint NOT NULL, s_dist text NOT NULL,
        s_ytd bigint NOT NULL, s_order_cnt bigint NOT NULL, s_remote_cnt bigint NOT NULL, s_data text NOT NULL,
        PRIMARY KEY (s_w_id, s_i_id))";

/// Rows of a transaction.
const BATCH: u64 = 10_000;

/// Writes rows, some thousand to a transaction.
struct Loader<'a> {
    client: &'a mut dyn Client,
    rows: u64,
}

impl Loader<'_> {
    fn insert(&mut self, table: &str, columns: usize) -> Result<StatementId> {
        let places: Vec<String> = (1..=columns).map(|at| format!("${at}")).collect();
        self.client.prepare(&format!(
            "INSERT INTO {table} VALUES ({})",
            places.join(", ")
        ))
    }

    fn row(&mut self, statement: StatementId, row: &[Cell<'_>]) -> Result<()> {
        if self.rows.is_multiple_of(BATCH) {
            if self.rows > 0 {
                self.client.commit()?;
            }
            self.client.begin()?;
        }
        self.rows += 1;
        self.client.execute(statement, row).map(|_| ())
    }
}

/// Makes the tables and fills them.
pub fn load(
    database: &dyn SqlDatabase,
    warehouses: i64,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let mut client = database.client(Durability::Relaxed)?;
    client.script(SCHEMA)?;
    let start = Instant::now();
    let mut random = fastrand::Rng::with_seed(1);
    let mut loader = Loader {
        client: &mut *client,
        rows: 0,
    };
    let item = loader.insert("item", 5)?;
    for number in 1..=ITEMS {
        let (name, data) = (
            random::letters(&mut random, 14, 24),
            random::data(&mut random),
        );
        let row = [
            Cell::Int(number),
            Cell::Int(random.i64(1..=10_000)),
            Cell::Text(&name),
            Cell::Int(random.i64(100..=10_000)),
            Cell::Text(&data),
        ];
        loader.row(item, &row)?;
    }
    for warehouse in 1..=warehouses {
        load_warehouse(&mut loader, warehouse, &mut random)?;
    }
    let rows = loader.rows;
    client.commit()?;
    report("load, rows", rows as f64 / start.elapsed().as_secs_f64());
    database.settle()
}

fn load_warehouse(
    loader: &mut Loader<'_>,
    warehouse: i64,
    random: &mut fastrand::Rng,
) -> Result<()> {
    let w = Cell::Int(warehouse);
    let statement = loader.insert("warehouse", 5)?;
    let (name, street) = (
        random::letters(random, 6, 10),
        random::letters(random, 40, 60),
    );
    let row = [
        w,
        Cell::Text(&name),
        Cell::Text(&street),
        Cell::Int(random.i64(0..=2000)),
        Cell::Int(30_000_000),
    ];
    loader.row(statement, &row)?;
    let stock = loader.insert("stock", 8)?;
    for item in 1..=ITEMS {
        let (info, data) = (random::letters(random, 240, 240), random::data(random));
        let row = [
            w,
            Cell::Int(item),
            Cell::Int(random.i64(10..=100)),
            Cell::Text(&info),
            Cell::Int(0),
            Cell::Int(0),
            Cell::Int(0),
            Cell::Text(&data),
        ];
        loader.row(stock, &row)?;
    }
    let district = loader.insert("district", 7)?;
    for number in 1..=DISTRICTS {
        let (name, street) = (
            random::letters(random, 6, 10),
            random::letters(random, 40, 60),
        );
        let row = [
            w,
            Cell::Int(number),
            Cell::Text(&name),
            Cell::Text(&street),
            Cell::Int(random.i64(0..=2000)),
            Cell::Int(3_000_000),
            Cell::Int(CUSTOMERS + 1),
        ];
        loader.row(district, &row)?;
        load_customers(loader, w, Cell::Int(number), random)?;
        load_orders(loader, w, Cell::Int(number), random)?;
    }
    Ok(())
}

fn load_customers(
    loader: &mut Loader<'_>,
    w: Cell<'_>,
    d: Cell<'_>,
    random: &mut fastrand::Rng,
) -> Result<()> {
    let customer = loader.insert("customer", 17)?;
    let history = loader.insert("history", 8)?;
    for number in 1..=CUSTOMERS {
        let last = random::last_name_of(number, random);
        let first = random::letters(random, 8, 16);
        let street = random::letters(random, 40, 60);
        let data = random::letters(random, 300, 500);
        let credit = if random.u8(..10) == 0 { "BC" } else { "GC" };
        let row = [
            w,
            d,
            Cell::Int(number),
            Cell::Text(&first),
            Cell::Text("OE"),
            Cell::Text(&last),
            Cell::Text(&street),
            Cell::Text("0123456789012345"),
            Cell::Int(0),
            Cell::Text(credit),
            Cell::Int(5_000_000),
            Cell::Int(random.i64(0..=5000)),
            Cell::Int(-1000),
            Cell::Int(1000),
            Cell::Int(1),
            Cell::Int(0),
            Cell::Text(&data),
        ];
        loader.row(customer, &row)?;
        let note = random::letters(random, 12, 24);
        let row = [
            Cell::Int(number),
            d,
            w,
            d,
            w,
            Cell::Int(0),
            Cell::Int(1000),
            Cell::Text(&note),
        ];
        loader.row(history, &row)?;
    }
    Ok(())
}

fn load_orders(
    loader: &mut Loader<'_>,
    w: Cell<'_>,
    d: Cell<'_>,
    random: &mut fastrand::Rng,
) -> Result<()> {
    let order = loader.insert("orders", 8)?;
    let line = loader.insert("order_line", 10)?;
    let new_order = loader.insert("new_order", 3)?;
    let mut customers: Vec<i64> = (1..=CUSTOMERS).collect();
    random.shuffle(&mut customers);
    for (number, customer) in (1..).zip(customers) {
        let is_new = number >= FIRST_NEW;
        let lines = random.i64(5..=15);
        let carrier = if is_new {
            Cell::Null
        } else {
            Cell::Int(random.i64(1..=10))
        };
        let row = [
            w,
            d,
            Cell::Int(number),
            Cell::Int(customer),
            Cell::Int(0),
            carrier,
            Cell::Int(lines),
            Cell::Int(1),
        ];
        loader.row(order, &row)?;
        for at in 1..=lines {
            let info = random::letters(random, 24, 24);
            let (delivered, amount) = if is_new {
                (Cell::Null, random.i64(1..=999_999))
            } else {
                (Cell::Int(0), 0)
            };
            let row = [
                w,
                d,
                Cell::Int(number),
                Cell::Int(at),
                Cell::Int(random.i64(1..=ITEMS)),
                w,
                delivered,
                Cell::Int(5),
                Cell::Int(amount),
                Cell::Text(&info),
            ];
            loader.row(line, &row)?;
        }
        if is_new {
            loader.row(new_order, &[w, d, Cell::Int(number)])?;
        }
    }
    Ok(())
}
