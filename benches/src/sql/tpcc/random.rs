//! What the specification draws at random (clauses 2.1.6, 4.3.2 and 4.3.3).

use super::{CUSTOMERS, ITEMS};

/// The constants of NURand: any that clause 2.1.6.1 allows.
const C_LAST: i64 = 123;
const C_ID: i64 = 511;
const C_ITEM: i64 = 4095;

const SYLLABLES: [&str; 10] = [
    "BAR", "OUGHT", "ABLE", "PRI", "PRES", "ESE", "ANTI", "CALLY", "ATION", "EING",
];

fn non_uniform(random: &mut fastrand::Rng, a: i64, c: i64, low: i64, high: i64) -> i64 {
    ((random.i64(0..=a) | random.i64(low..=high)) + c) % (high - low + 1) + low
}

/// A customer's number.
pub fn customer(random: &mut fastrand::Rng) -> i64 {
    non_uniform(random, 1023, C_ID, 1, CUSTOMERS)
}

/// An item's number.
pub fn item(random: &mut fastrand::Rng) -> i64 {
    non_uniform(random, 8191, C_ITEM, 1, ITEMS)
}

/// The last name number `number`, from 0 to 999.
pub fn last_name(number: i64) -> String {
    [number / 100, number / 10 % 10, number % 10]
        .iter()
        .filter_map(|digit| SYLLABLES.get(*digit as usize))
        .copied()
        .collect()
}

/// A last name as transactions ask for it.
pub fn some_last_name(random: &mut fastrand::Rng) -> String {
    last_name(non_uniform(random, 255, C_LAST, 0, 999))
}

/// A last name as the first 1,000 customers have them in order, and the others at random.
pub fn last_name_of(customer: i64, random: &mut fastrand::Rng) -> String {
    if customer <= 1000 {
        last_name(customer - 1)
    } else {
        some_last_name(random)
    }
}

/// A string of letters.
pub fn letters(random: &mut fastrand::Rng, low: usize, high: usize) -> String {
    let length = random.usize(low..=high);
    std::iter::repeat_with(|| random.alphanumeric())
        .take(length)
        .collect()
}

/// As [`letters`]; one of ten holds the word ORIGINAL.
pub fn data(random: &mut fastrand::Rng) -> String {
    let mut data = letters(random, 26, 50);
    if random.u8(..10) == 0 {
        let at = random.usize(..=data.len() - 8);
        data.replace_range(at..at + 8, "ORIGINAL");
    }
    data
}
