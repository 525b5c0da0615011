//! XML as the objects and texts that JSON would have: devices send the same either way.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// How deep elements may lie in each other.
const DEPTH: usize = 16;

/// Reads a document: an element with elements in it is an object, any other its text.
/// Attributes and name spaces are left out; of elements with one name the last one counts.
/// What a document type or an entity of its own stands for is not looked at: it is refused.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    // Old firmwares write names in other encodings; what is read is ASCII in all of them.
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(&text);
    let mut open: Vec<(String, Map<String, Value>, String)> = Vec::new();
    loop {
        let closed = match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                if open.len() >= DEPTH {
                    return Err(format!("elements lie more than {DEPTH} deep in each other"));
                }
                open.push((name(&start), Map::new(), String::new()));
                continue;
            }
            Event::Empty(start) => (name(&start), Value::String(String::new())),
            Event::Text(text) => {
                if let Some((_, _, all)) = open.last_mut() {
                    all.push_str(&text);
                }
                continue;
            }
            Event::GeneralRef(entity) => {
                let plain = match entity.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&entity)
                        .ok_or_else(|| format!("the entity {:?} is not taken", &*entity))?
                        .to_owned(),
                };
                if let Some((_, _, all)) = open.last_mut() {
                    all.push_str(&plain);
                }
                continue;
            }
            Event::End(_) => {
                let Some((name, fields, text)) = open.pop() else {
                    return Err("an element ends that has not begun".to_owned());
                };
                let text = || Value::String(text.trim().to_owned());
                (name, if fields.is_empty() { text() } else { Value::Object(fields) })
            }
            Event::DocType(_) => return Err("a document type is not taken".to_owned()),
            Event::Eof => return Err("it ends too early".to_owned()),
            _ => continue,
        };
        let (name, value) = closed;
        match open.last_mut() {
            Some((_, fields, _)) => {
                fields.insert(name, value);
            }
            None => return Ok(value),
        }
    }
}

fn name(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn elements_are_objects_and_texts() {
        let text = "<?xml version=\"1.0\"?><!-- a --><n:a x=\"1\"><n:b> 2 &amp; &#51; </n:b><c/><d><e>5</e></d></n:a>";
        assert_eq!(read(text.as_bytes()), Ok(json!({ "b": "2 & 3", "c": "", "d": { "e": "5" } })));
    }

    #[test]
    fn what_could_grow_is_refused() {
        let deep = "<a>".repeat(17);
        for text in
            ["<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a>&b;</a>", "<a><b></a>", "<a>", "", &deep]
        {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn anything_that_looks_like_xml_is_read_or_refused(text in "(<[/!?]?[ab]{0,2}>|&[#a-z0-9]{0,4};|[a-c ]){0,40}") {
            let _ = read(text.as_bytes());
        }
    }
}
