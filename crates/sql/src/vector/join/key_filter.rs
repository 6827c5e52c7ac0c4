//! What the built side of a join tells the scan of the other side.
//!
//! Once the right rows are known, a left row whose key is not among theirs need not be read whole.
//! Where the keys are integers within a range that is not too wide, a bit for each of them says
//! which there are, exactly.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use crate::{DataType, vector::keys::integers};

/// At most this many bits are kept …
const WIDEST: u64 = 1 << 26;
/// … and for each key this many.
const BITS_PER_KEY: u64 = 256;
/// After so many rows it is known whether the filter is worth its time.
const TRIAL: usize = 1 << 16;

/// The keys of the right side.
#[derive(Debug)]
pub(crate) struct KeyFilter {
    data_type: DataType,
    least: i64,
    bits: BooleanBuffer,
    seen: AtomicUsize,
    passed: AtomicUsize,
}

impl KeyFilter {
    /// The filter for the values of `column`, where there is one.
    pub(super) fn new(column: &ArrayRef, data_type: DataType) -> Option<KeyFilter> {
        let values = integers(column, data_type)?;
        let valid = |at: &usize| column.is_valid(*at);
        let present = || (0..values.len()).filter(valid).map(|at| values[at]);
        let (Some(least), Some(greatest)) = (present().min(), present().max()) else {
            // No key, no partner for any row.
            return Some(KeyFilter::of(data_type, 0, BooleanBuffer::new_unset(0)));
        };
        let width = greatest.abs_diff(least).checked_add(1)?;
        if width > WIDEST || width > (values.len() as u64).saturating_mul(BITS_PER_KEY) {
            return None;
        }
        let mut bits = BooleanBufferBuilder::new(width as usize);
        bits.append_n(width as usize, false);
        for value in present() {
            bits.set_bit(value.abs_diff(least) as usize, true);
        }
        Some(KeyFilter::of(data_type, least, bits.finish()))
    }

    fn of(data_type: DataType, least: i64, bits: BooleanBuffer) -> KeyFilter {
        KeyFilter {
            data_type,
            least,
            bits,
            seen: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bits.len() / 8
    }

    /// Which values of `column` are among the keys. `None`: so many were that it is not worth
    /// asking any more, or it is of another type.
    pub(crate) fn mask(&self, column: &ArrayRef, data_type: DataType) -> Option<BooleanArray> {
        let seen = self.seen.load(Ordering::Relaxed);
        if seen > TRIAL && self.passed.load(Ordering::Relaxed) > seen / 10 * 9 {
            return None;
        }
        if !same_numbers(self.data_type, data_type) {
            return None;
        }
        let values = integers(column, data_type)?;
        let width = self.bits.len() as u64;
        let found = BooleanBuffer::collect_bool(values.len(), |at| {
            let place = values[at].wrapping_sub(self.least) as u64;
            place < width && self.bits.value(place as usize)
        });
        let found = match column.nulls() {
            None => found,
            Some(nulls) => &found & nulls.inner(),
        };
        self.seen.fetch_add(values.len(), Ordering::Relaxed);
        self.passed
            .fetch_add(found.count_set_bits(), Ordering::Relaxed);
        Some(BooleanArray::new(found, None))
    }
}

/// Whether equal values of both types are equal numbers.
fn same_numbers(one: DataType, other: DataType) -> bool {
    one == other || one.is_integer() && other.is_integer()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int32Array, Int64Array};

    use super::*;

    #[test]
    fn it_passes_exactly_the_keys() {
        let keys: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), None, Some(-3), Some(5)]));
        let filter = KeyFilter::new(&keys, DataType::Int4).unwrap();
        let probe: ArrayRef = Arc::new(Int64Array::from(vec![
            Some(5),
            Some(-3),
            Some(0),
            None,
            Some(i64::MIN),
            Some(i64::MAX),
        ]));
        let mask = filter.mask(&probe, DataType::Int8).unwrap();
        let passed: Vec<bool> = mask.iter().flatten().collect();
        assert_eq!(passed, [true, true, false, false, false, false]);
        assert!(filter.mask(&keys, DataType::Date).is_none());
    }

    #[test]
    fn wide_ranges_and_other_types_have_none() {
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]));
        assert!(KeyFilter::new(&wide, DataType::Int8).is_none());
        let empty: ArrayRef = Arc::new(Int64Array::from(vec![None, None]));
        let filter = KeyFilter::new(&empty, DataType::Int8).unwrap();
        assert_eq!(filter.mask(&wide, DataType::Int8).unwrap().true_count(), 0);
    }
}
