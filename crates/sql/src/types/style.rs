//! How a session writes and reads dates, intervals, numbers and byte strings as text
//! (PostgreSQL's `DateStyle`, `IntervalStyle`, `extra_float_digits`, `bytea_output`).

use std::fmt;

use super::{DataType, TimeZone, TypeCategory};

/// The layout of dates (PostgreSQL 8.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DateLayout {
    /// `1997-12-17 07:37:16-08`
    #[default]
    Iso,
    /// `12/17/1997 07:37:16 PST`
    Sql,
    /// `Wed Dec 17 07:37:16 1997 PST`
    Postgres,
    /// `17.12.1997 07:37:16 PST`
    German,
}

/// How a date of three numbers is read, and which of day and month is written first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DateOrder {
    /// Month, day, year.
    #[default]
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

/// `DateStyle`: a layout and an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DateStyle {
    /// The layout of output.
    pub layout: DateLayout,
    /// The order of fields.
    pub order: DateOrder,
}

impl DateStyle {
    /// Changes the style by a list such as `ISO, DMY`; what it does not say stays. `None` for a
    /// word that is none of its own, or two that contradict each other.
    #[must_use]
    pub fn changed_by(self, text: &str) -> Option<DateStyle> {
        let (mut layout, mut order) = (None, None);
        fn choose<T: PartialEq>(slot: &mut Option<T>, value: T) -> Option<()> {
            match slot {
                Some(chosen) if *chosen != value => None,
                _ => {
                    *slot = Some(value);
                    Some(())
                }
            }
        }
        for word in text.split(',') {
            let word = word.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
            let begins = |full: &str, at_least: usize| {
                word.len() >= at_least && full.starts_with(word.as_str())
            };
            match word.as_str() {
                "iso" => choose(&mut layout, DateLayout::Iso)?,
                "sql" => choose(&mut layout, DateLayout::Sql)?,
                "ymd" => choose(&mut order, DateOrder::Ymd)?,
                "dmy" => choose(&mut order, DateOrder::Dmy)?,
                "mdy" => choose(&mut order, DateOrder::Mdy)?,
                "us" => choose(&mut order, DateOrder::Mdy)?,
                "default" => {}
                _ if begins("postgresql", 8) => choose(&mut layout, DateLayout::Postgres)?,
                _ if begins("european", 4) => choose(&mut order, DateOrder::Dmy)?,
                _ if begins("noneuropean", 6) => choose(&mut order, DateOrder::Mdy)?,
                _ if begins("german", 6) => {
                    choose(&mut layout, DateLayout::German)?;
                    order.get_or_insert(DateOrder::Dmy);
                }
                _ => return None,
            }
        }
        Some(DateStyle {
            layout: layout.unwrap_or(self.layout),
            order: order.unwrap_or(self.order),
        })
    }
}

impl fmt::Display for DateStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.layout {
            DateLayout::Iso => "ISO",
            DateLayout::Sql => "SQL",
            DateLayout::Postgres => "Postgres",
            DateLayout::German => "German",
        })?;
        f.write_str(match self.order {
            DateOrder::Mdy => ", MDY",
            DateOrder::Dmy => ", DMY",
            DateOrder::Ymd => ", YMD",
        })
    }
}

/// The layout of intervals (PostgreSQL 8.5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IntervalStyle {
    /// `1 year 2 mons 3 days 04:05:06`
    #[default]
    Postgres,
    /// `@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs`
    PostgresVerbose,
    /// `+1-2 +3 +4:05:06`
    SqlStandard,
    /// `P1Y2M3DT4H5M6S`
    Iso8601,
}

impl IntervalStyle {
    /// Every style with its name.
    pub const NAMES: [(IntervalStyle, &'static str); 4] = [
        (IntervalStyle::Postgres, "postgres"),
        (IntervalStyle::PostgresVerbose, "postgres_verbose"),
        (IntervalStyle::SqlStandard, "sql_standard"),
        (IntervalStyle::Iso8601, "iso_8601"),
    ];

    /// The style of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<IntervalStyle> {
        IntervalStyle::NAMES
            .into_iter()
            .find(|(_, known)| name.trim().eq_ignore_ascii_case(known))
            .map(|(style, _)| style)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        IntervalStyle::NAMES
            .into_iter()
            .find(|(style, _)| *style == self)
            .map_or("postgres", |(_, name)| name)
    }
}

/// Everything that the text of values depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct TextStyle {
    /// The zone of `timestamptz`.
    pub time_zone: TimeZone,
    /// The layout of dates.
    pub date: DateStyle,
    /// The layout of intervals.
    pub interval: IntervalStyle,
    /// `extra_float_digits`: above 0 the shortest digits that read back as the same float; else
    /// so many digits more (fewer) than are exact in any case, 15 and 6.
    pub extra_float_digits: i8,
    /// `bytea_output = escape`: printable bytes as they are, the others as octal.
    pub bytea_escape: bool,
}

impl TextStyle {
    /// UTC, ISO dates, exact floats.
    pub const DEFAULT: TextStyle = TextStyle {
        time_zone: TimeZone::UTC,
        date: DateStyle {
            layout: DateLayout::Iso,
            order: DateOrder::Mdy,
        },
        interval: IntervalStyle::Postgres,
        extra_float_digits: 1,
        bytea_escape: false,
    };
}

impl Default for TextStyle {
    fn default() -> TextStyle {
        TextStyle::DEFAULT
    }
}

/// Whether turning one type into the other asks for the session's time zone or styles.
pub(crate) fn cast_depends_on_session(from: DataType, to: DataType) -> bool {
    let element = |of: DataType| of.element().unwrap_or(of);
    let (from, to) = (element(from), element(to));
    let styled = |data_type: DataType| {
        matches!(
            data_type.category(),
            TypeCategory::DateTime | TypeCategory::Timespan
        )
    };
    let written = |data_type: DataType| {
        styled(data_type)
            || matches!(
                data_type,
                DataType::Float4 | DataType::Float8 | DataType::Bytea
            )
    };
    (from == DataType::TimestampTz) != (to == DataType::TimestampTz)
        || (from == DataType::Time && to == DataType::TimeTz)
        || (from.is_string() && styled(to))
        || (written(from) && to.is_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_change_by_words() {
        let style = DateStyle::default();
        let shown = |text: &str| style.changed_by(text).map(|style| style.to_string());
        assert_eq!(shown("Postgres, DMY").as_deref(), Some("Postgres, DMY"));
        assert_eq!(shown("european").as_deref(), Some("ISO, DMY"));
        assert_eq!(shown("German").as_deref(), Some("German, DMY"));
        assert_eq!(shown("German, YMD"), None);
        assert_eq!(shown("dmy, mdy"), None);
        assert_eq!(shown("julian"), None);
    }
}
