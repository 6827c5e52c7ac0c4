//! The five transactions (clause 2).

use super::{
    super::{
        client::{Cell, Client, Failure, Result, StatementId},
        small::transaction,
    },
    DISTRICTS, ITEMS, random,
};

macro_rules! statements {
    ($($name:ident = $sql:literal;)*) => {
        /// The statements of a terminal.
        struct Statements { $($name: StatementId,)* }

        impl Statements {
            fn prepare(client: &mut dyn Client) -> Result<Statements> {
                Ok(Statements { $($name: client.prepare($sql)?,)* })
            }
        }
    };
}

statements! {
    warehouse_tax = "SELECT w_tax FROM warehouse WHERE w_id = $1";
    district_next = "SELECT d_tax, d_next_o_id FROM district WHERE d_w_id = $1 AND d_id = $2 FOR UPDATE";
    take_order_id = "UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_w_id = $1 AND d_id = $2";
    discount = "SELECT c_discount, c_last, c_credit FROM customer WHERE c_w_id = $1 AND c_d_id = $2 AND c_id = $3";
    insert_order = "INSERT INTO orders VALUES ($1, $2, $3, $4, $5, NULL, $6, $7)";
    insert_new = "INSERT INTO new_order VALUES ($1, $2, $3)";
    item = "SELECT i_price, i_name, i_data FROM item WHERE i_id = $1";
    stock = "SELECT s_quantity, s_dist, s_data FROM stock WHERE s_w_id = $1 AND s_i_id = $2 FOR UPDATE";
    update_stock = "UPDATE stock SET s_quantity = $3, s_ytd = s_ytd + $4, s_order_cnt = s_order_cnt + 1, s_remote_cnt = s_remote_cnt + $5 WHERE s_w_id = $1 AND s_i_id = $2";
    insert_line = "INSERT INTO order_line VALUES ($1, $2, $3, $4, $5, $6, NULL, $7, $8, $9)";
    pay_warehouse = "UPDATE warehouse SET w_ytd = w_ytd + $2 WHERE w_id = $1";
    warehouse_name = "SELECT w_name, w_street FROM warehouse WHERE w_id = $1";
    pay_district = "UPDATE district SET d_ytd = d_ytd + $3 WHERE d_w_id = $1 AND d_id = $2";
    district_name = "SELECT d_name, d_street FROM district WHERE d_w_id = $1 AND d_id = $2";
    by_name = "SELECT c_id FROM customer WHERE c_w_id = $1 AND c_d_id = $2 AND c_last = $3 ORDER BY c_first";
    customer = "SELECT c_balance, c_credit, c_data, c_first, c_middle, c_last FROM customer WHERE c_w_id = $1 AND c_d_id = $2 AND c_id = $3";
    pay = "UPDATE customer SET c_balance = c_balance - $4, c_ytd_payment = c_ytd_payment + $4, c_payment_cnt = c_payment_cnt + 1 WHERE c_w_id = $1 AND c_d_id = $2 AND c_id = $3";
    pay_bad = "UPDATE customer SET c_balance = c_balance - $4, c_ytd_payment = c_ytd_payment + $4, c_payment_cnt = c_payment_cnt + 1, c_data = $5 WHERE c_w_id = $1 AND c_d_id = $2 AND c_id = $3";
    insert_history = "INSERT INTO history VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    last_order = "SELECT o_id, o_entry_d, o_carrier_id FROM orders WHERE o_w_id = $1 AND o_d_id = $2 AND o_c_id = $3 ORDER BY o_id DESC LIMIT 1";
    lines = "SELECT ol_i_id, ol_supply_w_id, ol_quantity, ol_amount, ol_delivery_d FROM order_line WHERE ol_w_id = $1 AND ol_d_id = $2 AND ol_o_id = $3";
    oldest_new = "SELECT no_o_id FROM new_order WHERE no_w_id = $1 AND no_d_id = $2 ORDER BY no_o_id LIMIT 1";
    delete_new = "DELETE FROM new_order WHERE no_w_id = $1 AND no_d_id = $2 AND no_o_id = $3";
    order_customer = "SELECT o_c_id FROM orders WHERE o_w_id = $1 AND o_d_id = $2 AND o_id = $3";
    set_carrier = "UPDATE orders SET o_carrier_id = $4 WHERE o_w_id = $1 AND o_d_id = $2 AND o_id = $3";
    deliver_lines = "UPDATE order_line SET ol_delivery_d = $4 WHERE ol_w_id = $1 AND ol_d_id = $2 AND ol_o_id = $3";
    amount = "SELECT sum(ol_amount) FROM order_line WHERE ol_w_id = $1 AND ol_d_id = $2 AND ol_o_id = $3";
    deliver = "UPDATE customer SET c_balance = c_balance + $4, c_delivery_cnt = c_delivery_cnt + 1 WHERE c_w_id = $1 AND c_d_id = $2 AND c_id = $3";
    next_order = "SELECT d_next_o_id FROM district WHERE d_w_id = $1 AND d_id = $2";
    low_stock = "SELECT count(DISTINCT s_i_id) FROM order_line, stock WHERE ol_w_id = $1 AND ol_d_id = $2 AND ol_o_id < $3 AND ol_o_id >= $4 AND s_w_id = $1 AND s_i_id = ol_i_id AND s_quantity < $5";
}

/// A terminal: it draws transactions and runs them.
pub struct Terminal {
    statements: Statements,
    random: fastrand::Rng,
    warehouses: i64,
    home: i64,
    /// The transactions that are still to be run of the present hand of cards (clause 5.2.4.2).
    cards: Vec<u8>,
}

impl Terminal {
    /// The terminal of client number `client`.
    pub fn new(client: &mut dyn Client, warehouses: i64, number: u64) -> Result<Terminal> {
        Ok(Terminal {
            statements: Statements::prepare(client)?,
            random: fastrand::Rng::with_seed(number + 7),
            warehouses,
            home: number as i64 % warehouses + 1,
            cards: Vec::new(),
        })
    }

    /// Runs one transaction; whether it was a new order that was committed.
    pub fn step(&mut self, client: &mut dyn Client) -> Result<bool> {
        if self.cards.is_empty() {
            for (kind, count) in [(0, 10), (1, 10), (2, 1), (3, 1), (4, 1)] {
                self.cards.extend(std::iter::repeat_n(kind, count));
            }
            self.random.shuffle(&mut self.cards);
        }
        match self.cards.pop() {
            Some(0) => return self.new_order(client),
            Some(1) => self.payment(client)?,
            Some(2) => self.order_status(client)?,
            Some(3) => self.delivery(client)?,
            _ => self.stock_level(client)?,
        }
        Ok(false)
    }

    fn other_warehouse(&mut self) -> i64 {
        if self.warehouses == 1 {
            return 1;
        }
        (self.home - 1 + self.random.i64(1..self.warehouses)) % self.warehouses + 1
    }

    fn new_order(&mut self, client: &mut dyn Client) -> Result<bool> {
        let w = Cell::Int(self.home);
        let d = Cell::Int(self.random.i64(1..=DISTRICTS));
        let c = Cell::Int(random::customer(&mut self.random));
        let mut lines: Vec<(i64, i64, i64)> = (0..self.random.usize(5..=15))
            .map(|_| {
                let item = random::item(&mut self.random);
                let is_remote = self.warehouses > 1 && self.random.u8(1..=100) == 1;
                let supplier = if is_remote {
                    self.other_warehouse()
                } else {
                    self.home
                };
                (item, supplier, self.random.i64(1..=10))
            })
            .collect();
        // One of a hundred asks for an item that there is not, and is rolled back.
        let is_mistaken = self.random.u8(1..=100) == 1;
        if is_mistaken && let Some(last) = lines.last_mut() {
            last.0 = ITEMS + 1;
        }
        let all_local = lines.iter().all(|line| line.1 == self.home);
        let sql = &self.statements;
        let mut is_done = false;
        transaction(client, &mut |client| {
            is_done = false;
            client.number(sql.warehouse_tax, &[w])?;
            let mut order = 0;
            client.query(sql.district_next, &[w, d], &mut |row| order = row.int(1))?;
            client.execute(sql.take_order_id, &[w, d])?;
            client.number(sql.discount, &[w, d, c])?;
            let o = Cell::Int(order);
            let count = Cell::Int(lines.len() as i64);
            let local = Cell::Int(i64::from(all_local));
            client.execute(sql.insert_order, &[w, d, o, c, Cell::Int(1), count, local])?;
            client.execute(sql.insert_new, &[w, d, o])?;
            for (number, (item, supplier, quantity)) in (1..).zip(&lines) {
                let (i, s) = (Cell::Int(*item), Cell::Int(*supplier));
                let mut price = None;
                client.query(sql.item, &[i], &mut |row| price = Some(row.int(0)))?;
                let Some(price) = price else {
                    return Ok(false);
                };
                let (mut left, mut info) = (0, String::new());
                client.query(sql.stock, &[s, i], &mut |row| {
                    left = row.int(0);
                    info.push_str(row.text(1).get(..24).unwrap_or_default());
                })?;
                let left = if left - quantity >= 10 {
                    left - quantity
                } else {
                    left - quantity + 91
                };
                let is_remote = i64::from(*supplier != self.home);
                let quantity_cell = Cell::Int(*quantity);
                let change = [s, i, Cell::Int(left), quantity_cell, Cell::Int(is_remote)];
                client.execute(sql.update_stock, &change)?;
                let row = [
                    w,
                    d,
                    o,
                    Cell::Int(number),
                    i,
                    s,
                    quantity_cell,
                    Cell::Int(price * quantity),
                    Cell::Text(&info),
                ];
                client.execute(sql.insert_line, &row)?;
            }
            is_done = true;
            Ok(true)
        })?;
        Ok(is_done)
    }

    /// The customer that a transaction asks for: three of five by name.
    fn customer(&mut self) -> Customer {
        if self.random.u8(..100) < 60 {
            Customer::Name(random::some_last_name(&mut self.random))
        } else {
            Customer::Number(random::customer(&mut self.random))
        }
    }

    fn payment(&mut self, client: &mut dyn Client) -> Result<()> {
        let w = Cell::Int(self.home);
        let district = self.random.i64(1..=DISTRICTS);
        let d = Cell::Int(district);
        let is_remote = self.warehouses > 1 && self.random.u8(..100) < 15;
        let (cw, cd) = if is_remote {
            (self.other_warehouse(), self.random.i64(1..=DISTRICTS))
        } else {
            (self.home, district)
        };
        let (cw, cd) = (Cell::Int(cw), Cell::Int(cd));
        let customer = self.customer();
        let amount = Cell::Int(self.random.i64(100..=500_000));
        let sql = &self.statements;
        transaction(client, &mut |client| {
            client.execute(sql.pay_warehouse, &[w, amount])?;
            let mut note = String::new();
            client.query(sql.warehouse_name, &[w], &mut |row| {
                note.push_str(row.text(0))
            })?;
            client.execute(sql.pay_district, &[w, d, amount])?;
            note.push_str("    ");
            client.query(sql.district_name, &[w, d], &mut |row| {
                note.push_str(row.text(0))
            })?;
            let number = customer.find(client, sql, cw, cd)?;
            let c = Cell::Int(number);
            let mut data = None;
            client.query(sql.customer, &[cw, cd, c], &mut |row| {
                if row.text(1) == "BC" {
                    data = Some(row.text(2).to_owned());
                }
            })?;
            match data {
                None => client.execute(sql.pay, &[cw, cd, c, amount])?,
                Some(before) => {
                    let mut data =
                        format!("{number} {cw:?} {cd:?} {d:?} {w:?} {amount:?} {before}");
                    data.truncate(500);
                    client.execute(sql.pay_bad, &[cw, cd, c, amount, Cell::Text(&data)])?
                }
            };
            let row = [c, cd, cw, d, w, Cell::Int(1), amount, Cell::Text(&note)];
            client.execute(sql.insert_history, &row)?;
            Ok(true)
        })
    }

    fn order_status(&mut self, client: &mut dyn Client) -> Result<()> {
        let w = Cell::Int(self.home);
        let d = Cell::Int(self.random.i64(1..=DISTRICTS));
        let customer = self.customer();
        let sql = &self.statements;
        transaction(client, &mut |client| {
            let c = Cell::Int(customer.find(client, sql, w, d)?);
            client.number(sql.customer, &[w, d, c])?;
            let order = Cell::Int(client.number(sql.last_order, &[w, d, c])?);
            let mut lines = 0;
            client.query(sql.lines, &[w, d, order], &mut |_| lines += 1)?;
            if (5..=15).contains(&lines) {
                Ok(true)
            } else {
                Err(Failure::text(format!("an order has {lines} lines")))
            }
        })
    }

    fn delivery(&mut self, client: &mut dyn Client) -> Result<()> {
        let w = Cell::Int(self.home);
        let carrier = Cell::Int(self.random.i64(1..=10));
        let sql = &self.statements;
        transaction(client, &mut |client| {
            for d in (1..=DISTRICTS).map(Cell::Int) {
                let mut order = None;
                client.query(sql.oldest_new, &[w, d], &mut |row| order = Some(row.int(0)))?;
                let Some(order) = order else { continue };
                let o = Cell::Int(order);
                // Another delivery may have been faster.
                if client.execute(sql.delete_new, &[w, d, o])? == 0 {
                    return Err(Failure::GiveWay);
                }
                let c = Cell::Int(client.number(sql.order_customer, &[w, d, o])?);
                client.execute(sql.set_carrier, &[w, d, o, carrier])?;
                client.execute(sql.deliver_lines, &[w, d, o, Cell::Int(1)])?;
                let amount = Cell::Int(client.number(sql.amount, &[w, d, o])?);
                client.execute(sql.deliver, &[w, d, c, amount])?;
            }
            Ok(true)
        })
    }

    fn stock_level(&mut self, client: &mut dyn Client) -> Result<()> {
        let w = Cell::Int(self.home);
        let d = Cell::Int(self.random.i64(1..=DISTRICTS));
        let threshold = Cell::Int(self.random.i64(10..=20));
        let sql = &self.statements;
        transaction(client, &mut |client| {
            let next = client.number(sql.next_order, &[w, d])?;
            let (next, first) = (Cell::Int(next), Cell::Int(next - 20));
            client.number(sql.low_stock, &[w, d, next, first, threshold])?;
            Ok(true)
        })
    }
}

/// How a customer is named.
enum Customer {
    Number(i64),
    Name(String),
}

impl Customer {
    /// The customer's number; of several with the name, the one in the middle.
    fn find(
        &self,
        client: &mut dyn Client,
        sql: &Statements,
        w: Cell<'_>,
        d: Cell<'_>,
    ) -> Result<i64> {
        let name = match self {
            Customer::Number(number) => return Ok(*number),
            Customer::Name(name) => name,
        };
        let mut found = Vec::new();
        client.query(sql.by_name, &[w, d, Cell::Text(name)], &mut |row| {
            found.push(row.int(0));
        })?;
        let middle = found.len().div_ceil(2).saturating_sub(1);
        found
            .get(middle)
            .copied()
            .ok_or_else(|| Failure::text(format!("no customer is called {name}")))
    }
}
