//! Secrets with known values, looked for wherever they must not be, however they
//! may be written there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeSet;
use std::path::Path;

/// A secret whose value is known. ASCII, so that it is found in bytes that are no text.
#[derive(Clone, Debug)]
pub struct Canary {
    pub name: &'static str,
    forms: Vec<(&'static str, String)>,
}

impl Canary {
    pub fn new(name: &'static str, value: &str) -> Self {
        assert!(value.is_ascii() && value.len() >= 12, "{name} could be found by chance");
        let bytes = value.as_bytes();
        let joined = |form: &dyn Fn(u8) -> String, by: &str| {
            bytes.iter().map(|byte| form(*byte)).collect::<Vec<_>>().join(by)
        };
        let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let json = serde_json::to_string(value).unwrap();
        let mut forms = vec![
            ("plain", value.to_owned()),
            ("in JSON", json.trim_matches('"').to_owned()),
            ("percent", percent.to_lowercase()),
            ("percent", percent.clone()),
            ("in a form", percent.replace("%20", "+")),
            ("every byte percent", joined(&|byte| format!("%{byte:02X}"), "")),
            ("hexadecimal", joined(&|byte| format!("{byte:02x}"), "")),
            ("hexadecimal", joined(&|byte| format!("{byte:02X}"), "")),
            ("a list of numbers", joined(&|byte| byte.to_string(), ", ")),
        ];
        // Its place in what is encoded decides how it looks; the ends depend on the neighbours.
        for before in 0..3 {
            let encoded = STANDARD.encode([&vec![0; before], bytes].concat());
            let end = (before + bytes.len()) * 8 / 6;
            let begin = (before * 8).div_ceil(6);
            let inner = encoded[begin..end].to_owned();
            forms.push(("base64 for URLs", inner.replace('+', "-").replace('/', "_")));
            forms.push(("base64", inner));
        }
        Self { name, forms }
    }

    /// The ways in which `text` holds it.
    pub fn found_in(&self, text: &str) -> BTreeSet<&'static str> {
        self.forms.iter().filter(|(_, form)| text.contains(form)).map(|(kind, _)| *kind).collect()
    }

    /// Every way in which it may be written.
    pub fn forms(&self) -> &[(&'static str, String)] {
        &self.forms
    }
}

/// Something that was said, logged or kept.
pub struct Evidence {
    pub from: String,
    pub text: String,
}

impl Evidence {
    pub fn new(from: impl Into<String>, text: impl Into<String>) -> Self {
        Self { from: from.into(), text: text.into() }
    }

    pub fn file(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::new(path.display().to_string(), String::from_utf8_lossy(&bytes))
    }
}

/// Who was found where: canary, place, and how it was written.
pub fn hits(canaries: &[Canary], evidence: &[Evidence]) -> BTreeSet<(&'static str, String)> {
    let of = |canary: &'_ Canary| {
        let name = canary.name;
        let found = evidence.iter().filter(|seen| !canary.found_in(&seen.text).is_empty());
        found.map(move |seen| (name, seen.from.clone())).collect::<Vec<_>>()
    };
    canaries.iter().flat_map(of).collect()
}
