//! A spreadsheet as it was saved: bytes into rows of cells, each with its number.

use crate::Problem;
use encoding_rs::{Encoding, GB18030, UTF_8};
use std::borrow::Cow;

/// A row that has something in it. Cells may hold passwords, so it has no `Debug`.
pub(crate) struct Row {
    /// As the spreadsheet counts: the header is row 1.
    pub(crate) number: u32,
    pub(crate) cells: Vec<String>,
}

/// The row after the last one: a quotation mark that is not closed swallows it.
const END: &str = "\u{4}";

/// Reads a file, at most `most` rows besides the header.
pub(crate) fn read(bytes: &[u8], most: usize) -> Result<Vec<Row>, Problem> {
    let text = text(bytes)?;
    // One kind of line end, and one at the end: rows are counted by them.
    let text = text.replace("\r\n", "\n").replace('\r', "\n") + "\n" + END + "\n";
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator(first))
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(text.as_bytes());
    let (mut rows, mut record, mut inner) = (Vec::new(), csv::StringRecord::new(), 0);
    while reader.read_record(&mut record).map_err(|_| unreadable())? {
        let breaks: u64 = record.iter().map(|cell| cell.matches('\n').count() as u64).sum();
        // Line breaks inside cells are lines of the file, but no rows.
        let number = reader.position().line().saturating_sub(1 + breaks + inner);
        inner += breaks;
        if reader.position().byte() == text.len() as u64 {
            if record.iter().eq([END]) {
                break;
            }
            return Err(Problem::field(
                "",
                "a quotation mark is not closed; the rows after it cannot be told apart",
            ));
        }
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if rows.len() > most {
            let detail = format!("it has more than {most} rows; split it");
            return Err(Problem::field("", detail));
        }
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        rows.push(Row { number, cells: record.iter().map(str::to_owned).collect() });
    }
    Ok(rows)
}

fn unreadable() -> Problem {
    Problem::field("", "it is neither UTF-8 nor GBK; save it as \"CSV UTF-8\" and try again")
}

/// Excel writes UTF-8 with a mark, UTF-16 as "Unicode text", and in China GBK as
/// plain CSV; GB18030 contains GBK.
fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
    let (encoding, bytes) = match Encoding::for_bom(bytes) {
        Some((encoding, mark)) => (encoding, bytes.get(mark..).unwrap_or_default()),
        None if std::str::from_utf8(bytes).is_ok() => (UTF_8, bytes),
        None => (GB18030, bytes),
    };
    encoding.decode_without_bom_handling_and_without_replacement(bytes).ok_or_else(unreadable)
}

/// What stands between the cells: Excel takes what the system's language uses.
fn separator(header: &str) -> u8 {
    let count = |separator: u8| {
        let mut quoted = false;
        let outside = header.bytes().filter(|byte| {
            quoted ^= *byte == b'"';
            !quoted && *byte == separator
        });
        outside.count()
    };
    let comma = count(b',');
    [b';', b'\t'].into_iter().find(|other| count(*other) > comma).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &[u8]) -> Vec<(u32, Vec<String>)> {
        read(bytes, 10).unwrap().into_iter().map(|row| (row.number, row.cells)).collect()
    }

    fn row(number: u32, cells: &[&str]) -> (u32, Vec<String>) {
        (number, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    #[test]
    fn reads_what_spreadsheets_write() {
        let expected = [row(1, &["name", "place"]), row(2, &["东门", "a,b;c"])];
        let plain = "name,place\r\n东门,\"a,b;c\"\r\n";
        assert_eq!(rows(plain.as_bytes()), expected);
        assert_eq!(rows(format!("\u{feff}{plain}").as_bytes()), expected, "with a mark");
        assert_eq!(rows(&GB18030.encode(plain).0), expected, "GBK");
        assert_eq!(rows("name;place\n东门;\"a,b;c\"".as_bytes()), expected);
        let utf16: Vec<u8> =
            "\u{feff}name\tplace\r\n东门\ta,b;c".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(rows(&utf16), expected, "Unicode text");
        assert_eq!(rows("name,place\r东门,\"a,b;c\"\r".as_bytes()), expected);
    }

    #[test]
    fn rows_have_the_numbers_of_the_spreadsheet() {
        let text = "name,place\n\na,b\n\"c\nc\",d\n,\n\n\"e\",f";
        assert_eq!(
            rows(text.as_bytes()),
            [row(1, &["name", "place"]), row(3, &["a", "b"]), row(4, &["c\nc", "d"]), row(7, &["e", "f"])]
        );
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        assert!(read(&[0xff, 0xff, 0x00, 0x80], 10).is_err());
        let long = "a\n".repeat(12);
        assert!(read(long.as_bytes(), 10).is_err());
        assert_eq!(read(long.as_bytes(), 11).ok().map(|rows| rows.len()), Some(12));
        assert!(rows(b"").is_empty());
        assert!(read(b"a,b\nc,\"open\nd,e\n", 10).is_err());
        assert!(read(b"\"open,\nend", 10).is_err());
        assert!(read(b"\"\"a\"\n\"\"\"", 10).is_err(), "also if the marks are even");
        assert_eq!(rows(b"19\" rack,a\nb,c"), [row(1, &["19\" rack", "a"]), row(2, &["b", "c"])]);
    }

    use proptest::prelude::*;

    /// A spreadsheet's own: plain names of columns, then rows with whatever people write.
    fn sheet() -> impl Strategy<Value = Vec<Vec<String>>> {
        // Line ends become one kind, so only that kind comes back.
        let cell = prop_oneof!["[^\r]{0,12}", "[ ,;\t\"\n名a]{0,8}"];
        let row = prop::collection::vec(cell, 2..5).prop_filter("rows of nothing are left out", |row| {
            row.iter().any(|cell| !cell.trim().is_empty())
        });
        (prop::collection::vec("[a-z]{1,8}", 2..5), prop::collection::vec(row, 0..8))
            .prop_map(|(header, rows)| [vec![header], rows].concat())
    }

    fn written(sheet: &[Vec<String>], separator: u8) -> String {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(separator)
            .quote_style(csv::QuoteStyle::Always)
            .flexible(true)
            .from_writer(Vec::new());
        for row in sheet {
            writer.write_record(row).unwrap();
        }
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(bytes: Vec<u8>) {
            if let Ok(rows) = read(&bytes, 10) {
                prop_assert!(rows.len() <= 11 && rows.iter().all(|row| row.number > 0));
            }
        }

        /// Bytes that nearly are a list find other paths than noise does.
        #[test]
        fn whatever_looks_like_a_list_is_read_or_refused(text in "[\"\r\n,;\t a\u{feff}名]{0,60}") {
            let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            for bytes in [text.as_bytes(), &GB18030.encode(&text).0, &[&[0xff, 0xfe], &wide[..]].concat()] {
                if let Ok(rows) = read(bytes, 10) {
                    prop_assert!(rows.windows(2).all(|two| two[0].number < two[1].number));
                }
            }
        }

        #[test]
        fn what_is_written_is_read_back(sheet in sheet(), separator in prop::sample::select(vec![b',', b';', b'\t'])) {
            let text = written(&sheet, separator);
            for bytes in [text.as_bytes(), &format!("\u{feff}{text}").into_bytes()] {
                let rows = rows(bytes);
                let cells: Vec<_> = rows.iter().map(|(_, cells)| cells.clone()).collect();
                prop_assert_eq!(&cells, &sheet);
                let numbers: Vec<_> = rows.iter().map(|(number, _)| *number as usize).collect();
                prop_assert_eq!(numbers, (1..=sheet.len()).collect::<Vec<_>>(), "as the spreadsheet counts");
            }
        }
    }
}
