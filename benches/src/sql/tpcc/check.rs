//! The consistency conditions (clause 3.3.2): queries that count what breaks them.

use super::super::client::{Durability, Failure, Result, SqlDatabase};

const CONDITIONS: [(&str, &str); 10] = [
    (
        "1: a warehouse's payments are those of its districts",
        "SELECT count(*) FROM warehouse
         WHERE w_ytd <> (SELECT sum(d_ytd) FROM district WHERE d_w_id = w_id)",
    ),
    (
        "2: the next order of a district follows the last one",
        "SELECT count(*) FROM district
         WHERE d_next_o_id - 1 <> (SELECT max(o_id) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id)",
    ),
    (
        "2: no new order is above the last order",
        "SELECT count(*) FROM district
         WHERE d_next_o_id - 1 < (SELECT max(no_o_id) FROM new_order WHERE no_w_id = d_w_id AND no_d_id = d_id)",
    ),
    (
        "3: the new orders of a district have no gaps",
        "SELECT count(*) FROM (SELECT max(no_o_id) - min(no_o_id) + 1 AS range, count(*) AS counted
                               FROM new_order GROUP BY no_w_id, no_d_id) AS districts
         WHERE range <> counted",
    ),
    (
        "4: a district has the lines that its orders say",
        "SELECT count(*) FROM (SELECT o_w_id AS w, o_d_id AS d, sum(o_ol_cnt) AS said FROM orders
                               GROUP BY o_w_id, o_d_id) AS said,
                              (SELECT ol_w_id, ol_d_id, count(*) AS counted FROM order_line
                               GROUP BY ol_w_id, ol_d_id) AS counted
         WHERE w = ol_w_id AND d = ol_d_id AND said <> counted",
    ),
    (
        "5: an order has no carrier exactly where it is new",
        "SELECT count(*) FROM orders LEFT JOIN new_order
             ON no_w_id = o_w_id AND no_d_id = o_d_id AND no_o_id = o_id
         WHERE (o_carrier_id IS NULL) <> (no_o_id IS NOT NULL)",
    ),
    (
        "6: an order has as many lines as it says",
        "SELECT count(*) FROM orders LEFT JOIN
             (SELECT ol_w_id, ol_d_id, ol_o_id, count(*) AS counted FROM order_line
              GROUP BY ol_w_id, ol_d_id, ol_o_id) AS lines
             ON ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id
         WHERE counted IS NULL OR counted <> o_ol_cnt",
    ),
    (
        "7: a line is delivered exactly where its order has a carrier",
        "SELECT count(*) FROM order_line, orders
         WHERE ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id
           AND (ol_delivery_d IS NULL) <> (o_carrier_id IS NULL)",
    ),
    (
        "8: a warehouse's payments are in the history",
        "SELECT count(*) FROM warehouse
         WHERE w_ytd <> (SELECT sum(h_amount) FROM history WHERE h_w_id = w_id)",
    ),
    (
        "9: a district's payments are in the history",
        "SELECT count(*) FROM district
         WHERE d_ytd <> (SELECT sum(h_amount) FROM history WHERE h_w_id = d_w_id AND h_d_id = d_id)",
    ),
];

/// Checks every condition.
pub fn check(database: &dyn SqlDatabase) -> Result<()> {
    let mut client = database.client(Durability::Full)?;
    for (condition, sql) in CONDITIONS {
        let statement = client.prepare(sql)?;
        let broken = client.number(statement, &[])?;
        if broken > 0 {
            return Err(Failure::text(format!(
                "consistency condition {condition}: broken {broken} times"
            )));
        }
    }
    Ok(())
}
