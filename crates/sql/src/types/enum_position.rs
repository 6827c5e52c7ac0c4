//! Where the labels of an enumerated type stand: byte strings in whose order the labels are.
//!
//! Rows and keys hold a label's position, not its number in the list, so that a label put between
//! two others changes nothing that is stored. A position is a fraction between 0 and 1, its bytes
//! the digits to base 256. None ends in a zero byte, so between any two there is another one, and
//! no number of additions uses the room up. Positions grow by a byte about every 120 labels that
//! are added at the end or the beginning, every thirty that are put one after the other before the
//! same label, and every five where each goes between the last two.

use smallvec::SmallVec;

/// A label's position.
pub(super) type Position = SmallVec<[u8; 8]>;

/// The positions of `count` labels, evenly spread.
pub(super) fn spread(count: usize) -> Vec<Position> {
    let parts = count as u128 + 1;
    // Enough digits that there is room between the labels.
    let mut digits = 1;
    while 1u128 << (8 * digits) < parts * 4 {
        digits += 1;
    }
    (1..parts)
        .map(|number| {
            let place = (number << (8 * digits)) / parts;
            let bytes = place.to_be_bytes();
            trimmed(bytes[bytes.len() - digits..].iter().copied().collect())
        })
        .collect()
}

/// A position behind `low` and before `high`; `None`: the beginning, the end.
///
/// `low` must be before `high`, and neither may end in a zero byte.
pub(super) fn between(low: Option<&[u8]>, high: Option<&[u8]>) -> Position {
    let low = low.unwrap_or(&[]);
    let mut out = Position::new();
    // The digits of `high` still to be kept below; none once what was written is below it.
    let mut high = high;
    let at_the_end = high.is_none();
    let mut at = 0;
    loop {
        let from = low.get(at).copied();
        let floor = u16::from(from.unwrap_or(0));
        let to = high.map(|high| u16::from(high.get(at).copied().unwrap_or(0)));
        match (from, to) {
            // As long as both go the same way.
            (_, Some(to)) if to == floor => {}
            // At the end the next digit, so that labels added one after the other stay short;
            // elsewhere a step that leaves some room before and much behind it.
            (Some(_), None) if floor < 0xff => {
                let step = if at_the_end {
                    1
                } else {
                    ((0xff - floor) / 8).max(1)
                };
                out.push((floor + step) as u8);
                return out;
            }
            (Some(_), None) => high = None,
            (None, None) => {
                out.push(0x80);
                return out;
            }
            (None, Some(to)) if to > 1 && low.is_empty() => {
                // At the beginning the digit before, for the same reason.
                out.push(to as u8 - 1);
                return out;
            }
            (_, Some(to)) if to > floor + 1 => {
                out.push(((floor + to) / 2) as u8);
                return out;
            }
            // Just above `low`'s digit: anything behind it is below `high`.
            (_, Some(_)) => high = None,
        }
        out.push(floor as u8);
        at += 1;
    }
}

fn trimmed(mut position: Position) -> Position {
    while position.last() == Some(&0) {
        position.pop();
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid(positions: &[Position]) -> bool {
        positions
            .iter()
            .all(|of| of.last().is_some_and(|last| *last != 0))
            && positions.windows(2).all(|pair| pair[0] < pair[1])
    }

    #[test]
    fn labels_of_a_new_type_are_spread_in_order() {
        for count in [0, 1, 2, 3, 63, 64, 255, 256, 1000, 70_000] {
            let positions = spread(count);
            assert_eq!(positions.len(), count);
            assert!(is_valid(&positions), "{count}");
        }
        assert_eq!(spread(3).concat(), [0x40, 0x80, 0xc0]);
    }

    #[test]
    fn there_is_always_room_between_two() {
        /// Adds a label `places` times at a place chosen from the labels there are.
        fn grow(start: usize, times: usize, mut place: impl FnMut(usize, usize) -> usize) -> usize {
            let mut positions = spread(start);
            for time in 0..times {
                let at = place(time, positions.len());
                let low = at.checked_sub(1).map(|low| positions[low].as_slice());
                let high = positions.get(at).map(|high| high.as_slice());
                let new = between(low, high);
                positions.insert(at, new);
            }
            assert!(is_valid(&positions));
            positions.iter().map(|of| of.len()).max().unwrap_or(0)
        }
        // At the end, at the beginning, before the last, behind the first, between the last two.
        assert!(grow(0, 1000, |_, count| count) <= 8);
        assert!(grow(3, 1000, |_, count| count) <= 9);
        assert!(grow(3, 1000, |_, _| 0) <= 10);
        assert!(grow(3, 1000, |_, count| count - 1) <= 40);
        assert!(grow(3, 1000, |_, _| 1) <= 200);
        let mut at = 1;
        assert!(
            grow(2, 1000, |time, _| {
                let now = at;
                at += usize::from(time % 2 == 0);
                now
            }) <= 250
        );
    }

    quickcheck::quickcheck! {
        fn any_additions_keep_the_order(start: u8, places: Vec<u16>) -> bool {
            let mut positions = spread(usize::from(start % 20));
            for place in places {
                let at = usize::from(place) % (positions.len() + 1);
                let low = at.checked_sub(1).map(|low| positions[low].as_slice());
                let new = between(low, positions.get(at).map(|high| high.as_slice()));
                positions.insert(at, new);
            }
            is_valid(&positions)
        }
    }
}
