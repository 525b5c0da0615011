//! The columns of a list of cameras, and a row of it as the input that
//! `POST /cameras` takes: what follows is the same for both.

use super::table::Row;
use crate::Problem;
use crate::camera_input::CameraInput;
use crate::error::FieldError;
use crate::extract;
use domain::Words as _;
use domain::camera::{Pull, Transport, Visibility};
use domain::place::Place;
use domain::{PlaceId, SiteId};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Every column: the camera's field, and how it is called in Chinese lists.
const COLUMNS: [(&str, &str); 17] = [
    ("name", "名称"),
    ("place", "点位"),
    ("main_url", "主码流地址"),
    ("sub_url", "子码流地址"),
    ("username", "摄像头账号"),
    ("password", "摄像头密码"),
    ("allow_basic", "允许明文密码"),
    ("transport", "传输方式"),
    ("pull", "取流"),
    ("purpose", "用途"),
    ("responsible_unit", "责任单位"),
    ("visibility", "谁可以观看"),
    ("audio_reason", "收音理由"),
    ("floor_days", "最短保存天数"),
    ("ceiling_days", "最长保存天数"),
    ("lat", "纬度"),
    ("lon", "经度"),
];

/// What a camera cannot be without.
const NEEDED: [&str; 5] = ["name", "place", "main_url", "purpose", "responsible_unit"];

/// One error: `pointer` is `/row/column`, as the spreadsheet counts.
pub(super) fn wrong(row: u32, column: &str, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: format!("/{row}/{column}"), detail: detail.into() }
}

/// The nearest of some words: whoever shortens one begins it alike.
fn nearest<'a>(words: impl Iterator<Item = &'a str>, to: &str) -> Option<&'a str> {
    words.max_by(|a, b| strsim::jaro_winkler(a, to).total_cmp(&strsim::jaro_winkler(b, to)))
}

/// Which column is which field. Nothing for a column without a name.
pub(super) struct Header(Vec<Option<&'static str>>);

impl Header {
    /// Reads the first row. All that is wrong with it is said at once.
    pub(super) fn read(row: &Row) -> Result<Self, Problem> {
        let (mut columns, mut errors) = (Vec::new(), Vec::new());
        for cell in &row.cells {
            let text = cell.trim().to_lowercase().replace([' ', '-'], "_");
            let known = COLUMNS.iter().find(|(field, chinese)| *field == text || *chinese == text);
            let shown: String = text.chars().take(40).collect();
            match known {
                _ if text.is_empty() => columns.push(None),
                Some((field, _)) if columns.contains(&Some(*field)) => {
                    errors.push(wrong(row.number, &shown, "the column is there twice; keep one"));
                }
                Some((field, _)) => columns.push(Some(*field)),
                None => {
                    let names = COLUMNS.iter().flat_map(|(field, chinese)| [*field, *chinese]);
                    let meant = nearest(names, &shown).unwrap_or_default();
                    let detail = format!("there is no such column; did you mean {meant}?");
                    errors.push(wrong(row.number, &shown, detail));
                }
            }
        }
        for needed in NEEDED.iter().filter(|needed| !columns.contains(&Some(**needed))) {
            errors.push(wrong(row.number, needed, "the column is missing; every camera has it"));
        }
        if errors.is_empty() { Ok(Self(columns)) } else { Err(Problem::Input(errors)) }
    }
}

/// The places of a site by their path of names, like `North yard/Gate`.
pub(super) struct Places(BTreeMap<String, Option<PlaceId>>);

/// A path as it is compared: the page shows `›` between the names.
fn path(text: &str) -> String {
    text.split(['/', '›', '／']).map(str::trim).collect::<Vec<_>>().join("/")
}

impl Places {
    pub(super) fn of(site: &SiteId, places: &[Place]) -> Self {
        let by_id: BTreeMap<_, _> = places.iter().map(|place| (&place.id, place)).collect();
        let mut paths = BTreeMap::new();
        for place in places.iter().filter(|place| place.site_id == *site) {
            let mut names = vec![place.name.as_str()];
            let mut above = place.parent_id.as_ref();
            // A circle is refused when a place is saved; this does not rely on it.
            while let Some(parent) = above.and_then(|id| by_id.get(id)).filter(|_| names.len() < 64) {
                names.push(parent.name.as_str());
                above = parent.parent_id.as_ref();
            }
            names.reverse();
            let one = Some(place.id.clone());
            paths.entry(path(&names.join("/"))).and_modify(|id| *id = None).or_insert(one);
        }
        Self(paths)
    }

    fn find(&self, text: &str) -> Result<&PlaceId, String> {
        let wanted = path(text);
        match self.0.get(&wanted) {
            Some(Some(id)) => Ok(id),
            Some(None) => Err("two places of the site have this path; rename one".to_owned()),
            None if wanted.is_empty() => Err("it is empty; write a place, like North yard/Gate".to_owned()),
            None => Err(match nearest(self.0.keys().map(String::as_str), &wanted) {
                Some(near) => format!("there is no such place in the site; did you mean {near}?"),
                None => "the site has no places yet; add them first".to_owned(),
            }),
        }
    }
}

/// A cell as JSON; nothing if it says nothing.
fn value(column: &str, cell: &str) -> Result<Option<Value>, String> {
    let text = cell.trim();
    let one_of = |words: &[&str]| {
        let word = text.to_lowercase();
        let known = words.contains(&word.as_str()).then(|| json!(word));
        known.ok_or_else(|| format!("use one of: {}", words.join(", ")))
    };
    let value = match column {
        // Spaces may belong to it.
        "password" => json!(cell),
        // What a camera cannot be without says so itself.
        _ if NEEDED.contains(&column) => json!(text),
        _ if text.is_empty() => return Ok(None),
        "allow_basic" => match text.to_lowercase().as_str() {
            "yes" | "true" | "1" | "是" => json!(true),
            "no" | "false" | "0" | "否" => json!(false),
            _ => return Err("write yes or no".to_owned()),
        },
        "transport" => one_of(Transport::WORDS)?,
        "pull" => one_of(Pull::WORDS)?,
        "visibility" => one_of(Visibility::WORDS)?,
        "floor_days" | "ceiling_days" => {
            json!(text.parse::<u32>().map_err(|_| "write a number of days, like 30")?)
        }
        "lat" | "lon" => {
            let degrees = text.parse::<f64>().ok().filter(|degrees| degrees.is_finite());
            json!(degrees.ok_or("write degrees, like 30.25")?)
        }
        _ => json!(text),
    };
    Ok(Some(value))
}

/// A row read: the input, and what is wrong already. What a cell holds is never in
/// the text of an error: cells may have slipped, and one of them is a password.
pub(super) fn input(
    header: &Header,
    row: &Row,
    places: &Places,
) -> (Result<CameraInput, Problem>, Vec<FieldError>) {
    let (mut cells, mut errors, mut said) = (Map::new(), Vec::new(), Vec::new());
    let mut say = |column: &str, detail: &str| errors.push(wrong(row.number, column, detail));
    for (at, cell) in row.cells.iter().enumerate() {
        match header.0.get(at) {
            Some(Some(column)) => match value(column, cell) {
                Ok(value) => cells.extend(value.map(|value| ((*column).to_owned(), value))),
                Err(why) => {
                    say(column, &why);
                    said.push(*column);
                }
            },
            _ if cell.trim().is_empty() => {}
            _ => say("", "a cell has no column name above it; is a separator inside a text?"),
        }
    }
    // A row may be shorter than the header: what is missing is empty.
    for needed in NEEDED {
        cells.entry(needed).or_insert_with(|| json!(""));
    }
    let place = cells.remove("place");
    let place = places.find(place.as_ref().and_then(Value::as_str).unwrap_or_default());
    cells.insert("place_id".to_owned(), json!(place.as_ref().map_or("", |id| id.as_str())));
    if let Err(why) = place {
        say("place", &why);
    }
    for (whole, [one, other]) in [("position", ["lat", "lon"]), ("retention", ["floor_days", "ceiling_days"])]
    {
        match (cells.remove(one), cells.remove(other)) {
            (None, None) => {}
            (Some(first), Some(second)) => {
                cells.insert(whole.to_owned(), json!({ one: first, other: second }));
            }
            _ if said.contains(&one) || said.contains(&other) => {}
            _ => say(one, &format!("{one} and {other} go together; write both or none")),
        }
    }
    (extract::read(Value::Object(cells)), errors)
}

/// The column that a pointer of `POST /cameras` is about.
pub(super) fn column(pointer: &str) -> &str {
    match pointer {
        "/place_id" => "place",
        "/retention" => "floor_days",
        "/position" => "lat",
        other => other.trim_start_matches('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use domain::place::PlaceKind;

    fn header(cells: &[&str]) -> Result<Header, Vec<String>> {
        let row = Row { number: 1, cells: cells.iter().map(|cell| (*cell).to_owned()).collect() };
        Header::read(&row).map_err(|why| match why {
            Problem::Input(errors) => errors.into_iter().map(|e| e.pointer + " " + &e.detail).collect(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_wrong_column_names_the_nearest_right_one() {
        assert!(header(&["Name", "place", "Main URL", "purpose", "responsible-unit", ""]).is_ok());
        assert!(header(&["名称", "点位", "主码流地址", "用途", "责任单位"]).is_ok());
        let errors = header(&["nam", "place", "main_url", "purpose", "责任单", "place"]).err().unwrap();
        assert_eq!(
            errors,
            [
                "/1/nam there is no such column; did you mean name?",
                "/1/责任单 there is no such column; did you mean 责任单位?",
                "/1/place the column is there twice; keep one",
                "/1/name the column is missing; every camera has it",
                "/1/responsible_unit the column is missing; every camera has it",
            ]
        );
    }

    #[test]
    fn places_are_found_by_their_path() {
        let site = SiteId::from_random([1; 16]);
        let place = |n: u8, parent: Option<u8>, name: &str, site: &SiteId| Place {
            id: PlaceId::from_random([n; 16]),
            site_id: site.clone(),
            parent_id: parent.map(|n| PlaceId::from_random([n; 16])),
            name: name.into(),
            kind: PlaceKind::Area,
            created_at: Timestamp(0),
        };
        let places = Places::of(
            &site,
            &[
                place(1, None, "North", &site),
                place(2, Some(1), "Gate", &site),
                place(3, None, "twice", &site),
                place(4, None, "twice", &site),
                place(5, None, "South", &SiteId::from_random([2; 16])),
            ],
        );
        let two = PlaceId::from_random([2; 16]);
        for text in ["North/Gate", " North › Gate ", "North／Gate"] {
            assert_eq!(places.find(text), Ok(&two), "{text}");
        }
        assert!(places.find("North/Gat").unwrap_err().ends_with("did you mean North/Gate?"));
        assert!(places.find("twice").unwrap_err().contains("two places"));
        assert!(places.find("South").is_err(), "another site's");
        assert!(places.find("").unwrap_err().contains("empty"));
    }
}
