//! `time with time zone`.

use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND};

/// No offset is as far from UTC.
const OFFSET_LIMIT: i32 = 16 * 3_600;

const OFFSET_BITS: u32 = 17;

/// In the middle of what the offset's bits can say.
const OFFSET_BIAS: i64 = 1 << (OFFSET_BITS - 1);

/// A time of day with its distance from UTC. It is ordered as PostgreSQL orders it: by the moment
/// of the day in UTC, at the same moment from east to west.
///
/// One integer holds both in that order, which is how rows and keys store it: the moment in
/// microseconds, raised by a day to be positive, above the seconds west of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeTz(i64);

impl TimeTz {
    /// The time `micros` microseconds after midnight (24:00:00 is a time) where clocks are so many
    /// seconds ahead of UTC; `None`: there is no such time or place.
    #[must_use]
    pub fn new(micros: i64, seconds_east: i32) -> Option<TimeTz> {
        if !(0..=MICROS_PER_DAY).contains(&micros) || seconds_east.abs() >= OFFSET_LIMIT {
            return None;
        }
        let east = i64::from(seconds_east);
        let moment = micros - east * MICROS_PER_SECOND + MICROS_PER_DAY;
        Some(TimeTz(moment << OFFSET_BITS | (OFFSET_BIAS - east)))
    }

    /// The time as its packed form has it.
    #[must_use]
    pub fn from_packed(packed: i64) -> Option<TimeTz> {
        let time = TimeTz(packed);
        // What `new` takes it has made.
        TimeTz::new(time.micros(), time.seconds_east()).filter(|made| *made == time)
    }

    /// One number in the place of both, in the same order.
    #[must_use]
    pub fn packed(self) -> i64 {
        self.0
    }

    /// Microseconds since midnight.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.utc_micros() + i64::from(self.seconds_east()) * MICROS_PER_SECOND
    }

    /// Microseconds since midnight in UTC, of this day or one beside it.
    #[must_use]
    pub fn utc_micros(self) -> i64 {
        (self.0 >> OFFSET_BITS) - MICROS_PER_DAY
    }

    /// How far its clock is ahead of UTC.
    #[must_use]
    pub fn seconds_east(self) -> i32 {
        (OFFSET_BIAS - (self.0 & ((1 << OFFSET_BITS) - 1))) as i32
    }

    /// Another time of the same place, counted on from midnight where it leaves the day.
    #[cfg(feature = "engine")]
    #[must_use]
    pub(crate) fn with_micros(self, micros: i64) -> TimeTz {
        TimeTz::new(micros.rem_euclid(MICROS_PER_DAY), self.seconds_east()).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_come_back() {
        for micros in [0, 1, 43_200_000_000, MICROS_PER_DAY - 1, MICROS_PER_DAY] {
            for east in [0, 1, -1, 3_600, -28_800, 19_800, 57_599, -57_599] {
                let time = TimeTz::new(micros, east).expect("a time of day");
                assert_eq!((time.micros(), time.seconds_east()), (micros, east));
                assert_eq!(TimeTz::from_packed(time.packed()), Some(time));
            }
        }
        assert_eq!(TimeTz::new(MICROS_PER_DAY + 1, 0), None);
        assert_eq!(TimeTz::new(0, OFFSET_LIMIT), None);
        assert_eq!(TimeTz::from_packed(0), None);
        assert_eq!(TimeTz::from_packed(i64::MAX), None);
        assert_eq!(TimeTz::from_packed(i64::MIN), None);
    }

    #[test]
    fn the_order_is_that_of_moments_then_of_places() {
        let time = |hour: i64, east: i32| TimeTz::new(hour * 3_600_000_000, east).expect("a time");
        assert!(time(10, 0) < time(11, 0));
        assert!(time(10, 3_600) < time(10, 0));
        assert!(
            time(11, 3_600) < time(10, 0),
            "the same moment, further east"
        );
        assert!(time(10, 0) < time(9, -3_600));
    }
}
