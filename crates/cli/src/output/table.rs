//! Tables for people: aligned columns that fit the terminal, or, where even narrow columns do
//! not, a record per row.
//!
//! Widths come from the header and the first [`SAMPLE_ROWS`] rows; later rows stream, so a large
//! result needs little memory. A cell that is wider than its column ends in `…` on a terminal and
//! is written whole elsewhere.

use std::io::{self, Write};

use rustling_sql::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Column, RowWriter, text};

/// Rows that are measured before the first is written.
const SAMPLE_ROWS: usize = 2_000;
/// No column is squeezed below this.
const NARROWEST: usize = 6;

/// How a table is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The terminal's width; `None`: any width, nothing is cut.
    pub(crate) width: Option<usize>,
    /// A record per row in any case.
    pub(crate) expanded: bool,
}

/// Writes a table.
pub(crate) struct TableWriter<'a> {
    columns: Vec<Column>,
    out: &'a mut dyn Write,
    layout: Layout,
    sample: Vec<Vec<String>>,
    widths: Option<Widths>,
    rows: u64,
}

enum Widths {
    Columns(Vec<usize>),
    Record { name: usize, value: usize },
}

impl<'a> TableWriter<'a> {
    /// A table of `columns` on `out`.
    pub(crate) fn new(
        columns: Vec<Column>,
        out: &'a mut dyn Write,
        layout: Layout,
    ) -> TableWriter<'a> {
        TableWriter {
            columns,
            out,
            layout,
            sample: Vec::new(),
            widths: None,
            rows: 0,
        }
    }

    /// Decides the widths and writes what has been collected.
    fn flush_sample(&mut self) -> io::Result<()> {
        let sample = std::mem::take(&mut self.sample);
        let widths = self.measure(&sample);
        if let Widths::Columns(widths) = &widths {
            self.header(widths)?;
        }
        self.widths = Some(widths);
        for row in &sample {
            self.write_row(row)?;
        }
        Ok(())
    }

    fn measure(&self, sample: &[Vec<String>]) -> Widths {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|column| column.name.width())
            .collect();
        for row in sample {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let Some(limit) = self.layout.width else {
            return if self.layout.expanded {
                self.record(usize::MAX)
            } else {
                Widths::Columns(widths)
            };
        };
        // A blank on each side of a cell and a line between two.
        let frame = widths.len() * 3;
        let narrowest: usize = widths.iter().map(|width| (*width).min(NARROWEST)).sum();
        if self.layout.expanded || (narrowest + frame > limit && widths.len() > 1) {
            return self.record(limit);
        }
        squeeze(&mut widths, limit.saturating_sub(frame));
        Widths::Columns(widths)
    }

    fn record(&self, limit: usize) -> Widths {
        let name = self
            .columns
            .iter()
            .map(|column| column.name.width())
            .max()
            .unwrap_or_default();
        Widths::Record {
            name,
            value: limit.saturating_sub(name + 3).max(NARROWEST),
        }
    }

    fn header(&mut self, widths: &[usize]) -> io::Result<()> {
        let mut line = String::new();
        for (index, (column, width)) in self.columns.iter().zip(widths).enumerate() {
            line.push_str(if index == 0 { " " } else { "│ " });
            push_cell(
                &mut line,
                &column.name,
                *width,
                column.is_right_aligned(),
                self.layout.width.is_some(),
            );
            line.push(' ');
        }
        line.push('\n');
        for (index, width) in widths.iter().enumerate() {
            if index > 0 {
                line.push('┼');
            }
            line.extend(std::iter::repeat_n('─', width + 2));
        }
        line.push('\n');
        self.out.write_all(line.as_bytes())
    }

    fn write_row(&mut self, row: &[String]) -> io::Result<()> {
        let cut = self.layout.width.is_some();
        self.rows += 1;
        let mut line = String::new();
        match self.widths.as_ref() {
            Some(Widths::Columns(widths)) => {
                for (index, ((column, cell), width)) in
                    self.columns.iter().zip(row).zip(widths).enumerate()
                {
                    line.push_str(if index == 0 { " " } else { "│ " });
                    push_cell(&mut line, cell, *width, column.is_right_aligned(), cut);
                    line.push(' ');
                }
                line.push('\n');
            }
            Some(Widths::Record { name, value }) => {
                line.push_str(&format!("─[ row {} ]", self.rows));
                line.push_str(&"─".repeat(name.saturating_sub(6)));
                line.push('\n');
                for (column, cell) in self.columns.iter().zip(row) {
                    push_cell(&mut line, &column.name, *name, false, false);
                    line.push_str(" │ ");
                    if cut {
                        push_cut(&mut line, cell, *value)
                    } else {
                        line.push_str(cell)
                    }
                    line.push('\n');
                }
            }
            None => {}
        }
        self.out.write_all(line.as_bytes())
    }
}

impl RowWriter for TableWriter<'_> {
    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        let row: Vec<String> = values.iter().map(|value| visible(&text(value))).collect();
        if self.widths.is_some() {
            return self.write_row(&row);
        }
        self.sample.push(row);
        if self.sample.len() >= SAMPLE_ROWS {
            self.flush_sample()
        } else {
            Ok(())
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.widths.is_none() {
            self.flush_sample()?;
        }
        let rows = if self.rows == 1 { "row" } else { "rows" };
        writeln!(self.out, "({} {rows})", self.rows)?;
        self.out.flush()
    }
}

/// Narrows the widest columns until the sum fits `limit`.
fn squeeze(widths: &mut [usize], limit: usize) {
    let mut total: usize = widths.iter().sum();
    while total > limit {
        let widest = widths.iter().copied().max().unwrap_or_default();
        if widest <= NARROWEST {
            return;
        }
        let next = widths
            .iter()
            .copied()
            .filter(|width| *width < widest)
            .max()
            .unwrap_or(NARROWEST)
            .max(NARROWEST);
        let count = widths.iter().filter(|width| **width == widest).count();
        let per_column = (total - limit)
            .div_ceil(count)
            .min(widest - next.min(widest - 1));
        for width in widths.iter_mut().filter(|width| **width == widest) {
            if total <= limit {
                break;
            }
            let less = per_column.min(total - limit).max(1);
            *width -= less;
            total -= less;
        }
    }
}

fn push_cell(line: &mut String, cell: &str, width: usize, right: bool, cut: bool) {
    let cell_width = cell.width();
    if cell_width > width && cut {
        return push_cut(line, cell, width);
    }
    let padding = width.saturating_sub(cell_width);
    if right {
        line.extend(std::iter::repeat_n(' ', padding));
    }
    line.push_str(cell);
    if !right {
        line.extend(std::iter::repeat_n(' ', padding));
    }
}

/// Writes as much of `cell` as fits in `width`, ending in `…` where something is left out.
fn push_cut(line: &mut String, cell: &str, width: usize) {
    if cell.width() <= width {
        line.push_str(cell);
        return;
    }
    let mut used = 0;
    for character in cell.chars() {
        let character_width = character.width().unwrap_or_default();
        if used + character_width + 1 > width {
            break;
        }
        line.push(character);
        used += character_width;
    }
    line.push('…');
    line.extend(std::iter::repeat_n(' ', width.saturating_sub(used + 1)));
}

/// The text with control characters made visible, so that a value cannot break the table.
fn visible(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_string();
    }
    text.chars()
        .map(|character| match character {
            '\n' => '↵',
            '\t' => '→',
            // The control pictures block mirrors U+0000 to U+001F.
            character if (character as u32) < 0x20 => {
                char::from_u32(0x2400 + character as u32).unwrap_or('·')
            }
            character if character.is_control() => '·',
            character => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rustling_sql::{DataType, Value};

    use super::{Column, Layout, RowWriter, TableWriter, squeeze};

    fn table(width: Option<usize>, columns: &[(&str, DataType)], rows: &[Vec<Value>]) -> String {
        let columns = columns
            .iter()
            .map(|(name, data_type)| Column {
                name: (*name).into(),
                data_type: *data_type,
            })
            .collect();
        let mut out = Vec::new();
        let mut writer = TableWriter::new(
            columns,
            &mut out,
            Layout {
                width,
                expanded: false,
            },
        );
        for row in rows {
            writer.row(row).unwrap();
        }
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_empty_result_has_a_header() {
        assert_eq!(
            table(None, &[("a", DataType::Text)], &[]),
            " a \n───\n(0 rows)\n"
        );
    }

    #[test]
    fn long_cells_are_cut_on_a_terminal_and_whole_elsewhere() {
        let row = vec![
            Value::Text("a long sentence of words".into()),
            Value::Text("b".into()),
        ];
        let columns = [("text", DataType::Text), ("b", DataType::Text)];
        assert_eq!(
            table(Some(16), &columns, std::slice::from_ref(&row)),
            " text      │ b \n───────────┼───\n a long s… │ b \n(1 row)\n"
        );
        assert!(table(None, &columns, &[row]).contains("a long sentence of words"));
    }

    #[test]
    fn many_columns_become_records() {
        let columns: Vec<(&str, DataType)> = vec![("column", DataType::Int4); 10];
        let row = vec![Value::Int4(1_000_000); 10];
        let out = table(Some(40), &columns, &[row]);
        assert!(out.starts_with("─[ row 1 ]\ncolumn │ 1000000\n"), "{out}");
    }

    #[test]
    fn squeezing_always_ends_and_fits_where_it_can() {
        for limit in 0..80 {
            for base in 1..30 {
                let mut widths = vec![base, base * 2, 7, 40, 1];
                squeeze(&mut widths, limit);
                let total: usize = widths.iter().sum();
                assert!(
                    total <= limit || widths.iter().all(|width| *width <= 6),
                    "{widths:?} {limit}"
                );
            }
        }
    }
}
