//! Finding out how a file is written: its delimiter, its quote, and whether it has a header.
//!
//! The delimiter is the one under which the sample's records have the same number of fields,
//! more than one. Where several do, tab, bar and semicolon go before the comma: a decimal comma
//! in a semicolon file is common, a semicolon in every row of a comma file is not.

use crate::{
    infer::Guess,
    record::{Dialect, Fields, Splitter},
};

/// Delimiters to try, the likelier first where all else is equal.
const DELIMITERS: [u8; 4] = [b'\t', b'|', b';', b','];
/// Records looked at.
const SAMPLE_RECORDS: usize = 500;

/// What the user has said; the rest is found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DialectOptions {
    /// The delimiter.
    pub delimiter: Option<u8>,
    /// The quote character.
    pub quote: Option<u8>,
    /// Whether the first record names the columns.
    pub header: Option<bool>,
}

/// The dialect of a file that begins with `sample`; `whole`: the sample is all of it.
pub(crate) fn detect(sample: &[u8], whole: bool, options: &DialectOptions) -> Dialect {
    let quotes: &[u8] = match options.quote {
        Some(_) => options.quote.as_slice(),
        None => b"\"'",
    };
    let delimiters = match options.delimiter {
        Some(_) => options.delimiter.as_slice(),
        None => &DELIMITERS,
    };
    let mut best: Option<(Score, Dialect)> = None;
    for &quote in quotes {
        for &delimiter in delimiters.iter().filter(|delimiter| **delimiter != quote) {
            let dialect = Dialect {
                delimiter,
                quote: Some(quote),
            };
            let score = score(sample, whole, dialect);
            // The double quote is the rule: another one must really be used, and cleanly.
            let is_rule = options.quote.is_some() || quote == b'"';
            if !is_rule && (score.quoted == 0 || score.malformed > 0) {
                continue;
            }
            if best
                .as_ref()
                .is_none_or(|(best, _)| score.is_better_than(best))
            {
                best = Some((score, dialect));
            }
        }
    }
    match best {
        Some((score, dialect)) if score.fields > 1 || options.delimiter.is_some() => dialect,
        // One column: nothing tells delimiters apart.
        _ => Dialect {
            delimiter: options.delimiter.unwrap_or(b','),
            quote: Some(options.quote.unwrap_or(b'"')),
        },
    }
}

#[derive(Clone, Copy, Debug)]
struct Score {
    /// The most frequent number of fields.
    fields: usize,
    /// Records with that number, of `records`.
    agreeing: usize,
    records: usize,
    quoted: usize,
    malformed: usize,
}

impl Score {
    fn is_better_than(&self, other: &Score) -> bool {
        let several = |score: &Score| score.fields > 1;
        if several(self) != several(other) {
            return several(self);
        }
        if self.malformed != other.malformed {
            return self.malformed < other.malformed;
        }
        // Compared as fractions, without rounding.
        let (mine, theirs) = (self.agreeing * other.records, other.agreeing * self.records);
        if mine != theirs {
            return mine > theirs;
        }
        self.quoted > other.quoted
    }
}

fn score(sample: &[u8], whole: bool, dialect: Dialect) -> Score {
    let mut counts: Vec<usize> = Vec::new();
    let mut score = Score {
        fields: 0,
        agreeing: 0,
        records: 0,
        quoted: 0,
        malformed: 0,
    };
    for_each_record(sample, whole, dialect, |fields, block, malformed| {
        score.malformed += usize::from(malformed);
        score.quoted += (0..fields.len())
            .filter(|index| fields.get(block, *index).is_some_and(|(_, quoted)| quoted))
            .count();
        counts.push(fields.len());
    });
    score.records = counts.len();
    counts.sort_unstable();
    for run in counts.chunk_by(|a, b| a == b) {
        if run.len() >= score.agreeing {
            (score.fields, score.agreeing) = (run[0], run.len());
        }
    }
    score
}

/// Visits the whole records of the sample, blank lines left out.
fn for_each_record(
    sample: &[u8],
    whole: bool,
    dialect: Dialect,
    mut visit: impl FnMut(&Fields, &[u8], bool),
) {
    let end = if whole {
        sample.len()
    } else {
        Splitter::new(dialect).last_record_end(sample).length
    };
    // A record larger than the sample is looked at as far as it goes.
    let sample = if end == 0 { sample } else { &sample[..end] };
    let mut fields = Fields::default();
    let mut at = 0;
    let mut records = 0;
    while at < sample.len() && records < SAMPLE_RECORDS {
        let record = fields.read(sample, at, dialect);
        at = record.next;
        if fields.len() == 1
            && fields
                .get(sample, 0)
                .is_some_and(|(text, quoted)| text.is_empty() && !quoted)
        {
            continue;
        }
        records += 1;
        visit(&fields, sample, record.malformed.is_some());
    }
}

/// The sample's first record as text, and whether it is a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FirstRecord {
    pub(crate) names: Vec<String>,
    pub(crate) is_header: bool,
}

/// Looks at the first record. It is a header where the user says so; where it is not of the type
/// that all the rest of some column is; or, in a file of text alone, where its fields could be
/// names: not empty, each once. `expected`: names the columns must have; in a file of text alone
/// only these make a header then, so that no row is taken for one.
pub(crate) fn first_record(
    sample: &[u8],
    whole: bool,
    dialect: Dialect,
    options: &DialectOptions,
    expected: Option<&[String]>,
    is_null: impl Fn(&[u8]) -> bool,
) -> FirstRecord {
    let mut first: Option<Vec<String>> = None;
    let mut first_guesses: Vec<Guess> = Vec::new();
    let mut rest: Vec<Guess> = Vec::new();
    let mut records = 0;
    for_each_record(sample, whole, dialect, |fields, block, _| {
        records += 1;
        let texts = (0..fields.len()).filter_map(|index| fields.get(block, index));
        if first.is_none() {
            let mut names = Vec::new();
            for (text, _) in texts {
                let mut guess = Guess::default();
                guess.observe(text);
                first_guesses.push(guess);
                names.push(String::from_utf8_lossy(text).trim().to_string());
            }
            rest.resize(names.len(), Guess::default());
            first = Some(names);
            return;
        }
        for ((text, quoted), guess) in texts.zip(&mut rest) {
            if quoted || !is_null(text) {
                guess.observe(text);
            }
        }
    });
    let names = first.unwrap_or_default();
    let is_header = options.header.unwrap_or_else(|| {
        if let Some(expected) = expected
            && names.len() == expected.len()
            && names
                .iter()
                .zip(expected)
                .all(|(name, expected)| name.eq_ignore_ascii_case(expected))
        {
            return true;
        }
        let typed = |guess: &Guess| guess.data_type() != rustling_sql::DataType::Text;
        if first_guesses.iter().any(typed) {
            return false;
        }
        if rest.iter().any(typed) {
            return true;
        }
        let mut unique = std::collections::HashSet::new();
        let could_be_names = names
            .iter()
            .all(|name| !name.is_empty() && unique.insert(name.to_lowercase()));
        expected.is_none()
            && could_be_names
            && !names.is_empty()
            && (records > 1 || names.len() > 1)
    });
    FirstRecord { names, is_header }
}

#[cfg(test)]
mod tests {
    use super::{DialectOptions, detect, first_record};
    use crate::record::Dialect;

    fn check(text: &str, delimiter: u8, quote: u8) {
        let found = detect(text.as_bytes(), true, &DialectOptions::default());
        assert_eq!(
            found,
            Dialect {
                delimiter,
                quote: Some(quote)
            },
            "{text:?}"
        );
    }

    #[test]
    fn delimiters_and_quotes_are_found() {
        check("a,b\n1,2\n", b',', b'"');
        check("a;b\n1,5;2,5\n3,5;4,5\n", b';', b'"');
        check("a\tb, c\n1\tx, y\n", b'\t', b'"');
        check("a|b\n1|2\n", b'|', b'"');
        check("id,text\n1,\"a;b;c\"\n2,\"d\ne\"\n", b',', b'"');
        check("id,text\n1,'a,b'\n2,'c,d'\n", b',', b'\'');
        check("id,text\n1,it's\n2,'tis\n", b',', b'"');
        check("only\none\ncolumn\n", b',', b'"');
        check("1,2\n3,4\nbroken\n5,6\n", b',', b'"');
    }

    #[test]
    fn what_the_user_says_is_taken() {
        let options = DialectOptions {
            delimiter: Some(b':'),
            quote: Some(b'`'),
            header: None,
        };
        assert_eq!(
            detect(b"a,b:c\n", true, &options),
            Dialect {
                delimiter: b':',
                quote: Some(b'`')
            }
        );
    }

    fn header(text: &str, expected: Option<&[&str]>) -> bool {
        let expected: Option<Vec<String>> =
            expected.map(|names| names.iter().map(ToString::to_string).collect());
        let options = DialectOptions::default();
        first_record(
            text.as_bytes(),
            true,
            Dialect::default(),
            &options,
            expected.as_deref(),
            |t| t.is_empty(),
        )
        .is_header
    }

    #[test]
    fn headers_are_told_from_rows() {
        assert!(header("id,name\n1,a\n", None));
        assert!(!header("1,a\n2,b\n", None));
        assert!(header("carrier,name\n9E,Endeavor\n", None));
        assert!(!header("a,a\nb,c\n", None), "names are unique");
        assert!(!header("a,\nb,c\n", None), "names are not empty");
        assert!(header("id,date\n,2013-01-01\n", None));
        assert!(!header("just one line\n", None));
    }

    #[test]
    fn with_given_names_no_row_of_text_is_lost() {
        assert!(!header("k1,v1\nk2,v2\n", Some(&["key", "value"])));
        assert!(header("Key,Value\nk2,v2\n", Some(&["key", "value"])));
        assert!(header("id,count\na,1\n", Some(&["key", "value"])));
    }
}
