//! Promises about the code itself, kept by reading it.

use std::path::{Path, PathBuf};

fn sources(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["node_modules", "dist", "target"].contains(&name.as_str()) {
                sources(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

/// Every source file of the house with its path below `src/`.
fn rust_files() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, ".rs", &mut files);
    assert!(files.len() > 60, "the sources were found");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (name, text)
    };
    files.into_iter().map(read).collect()
}

fn places_of(needle: &str) -> Vec<String> {
    let with = |(name, text): (String, String)| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        (code.contains(needle) && !name.contains("tests")).then_some(name)
    };
    let mut places: Vec<String> = rust_files().into_iter().filter_map(with).collect();
    places.sort();
    places
}

#[test]
fn admissions_are_made_in_one_place() {
    // camsim's cameras serve whoever knows their password; they are no people's cameras.
    let allowed = ["admit.rs", "camsim/lib.rs"];
    let found = places_of("Issuer::new()");
    let others: Vec<_> = found
        .iter()
        .filter(|name| !allowed.contains(&name.as_str()) && *name != "relay/admission.rs")
        .collect();
    assert!(others.is_empty(), "{others:?} make admissions");
    assert!(found.contains(&"admit.rs".to_owned()));
}

#[test]
fn c11_the_only_process_that_is_started_is_the_decode_process() {
    // `prove.rs` tries it from inside, where it is refused.
    assert_eq!(places_of("Command::new("), ["decode/prove.rs", "relay/decoder/child.rs"]);
}

#[test]
fn the_arrows_between_the_crates_hold() {
    let arrows = [
        ("media", vec![]),
        ("domain", vec![]),
        ("store", vec!["domain"]),
        ("relay", vec!["media"]),
        ("web", vec!["domain", "media", "relay"]),
        ("camsim", vec!["media", "relay"]),
        ("decode", vec!["media"]),
    ];
    let houses = ["media", "domain", "store", "relay", "web", "camsim", "decode"];
    let pure = ["tokio", "axum", "sqlx"];
    for (name, expected) in arrows {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name).join("Cargo.toml");
        let manifest: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        let mut found: Vec<&str> =
            dependencies.keys().map(String::as_str).filter(|key| houses.contains(key)).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
        if ["media", "domain"].contains(&name) {
            assert!(pure.iter().all(|key| !dependencies.contains_key(*key)), "{name} is pure");
        }
        // It reads what cameras have sent, in C.
        assert_eq!(dependencies.contains_key("ffmpeg-next"), name == "decode", "{name}");
    }
}

/// No field, table or route for what the guardrails forbid.
#[test]
fn there_is_no_place_for_what_must_not_be_kept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("migrations"), ".sql", &mut files);
    assert!(files.len() >= 2);
    files.push(root.join("src/web/openapi.json"));
    let forbidden = [
        "face",
        "plate",
        "gait",
        "voiceprint",
        "id_card",
        "idcard",
        "identity_card",
        "score",
        "rank",
        "biometric",
        "card_number",
        "embedding",
    ];
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        // As whole words: a surface is no face.
        let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        for word in forbidden {
            assert!(!words.contains(&word), "{} has {word}", file.display());
        }
    }
}

#[test]
fn both_databases_have_the_same_tables() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let read = |kind: &str| {
        let mut files = Vec::new();
        sources(&root.join(kind), ".sql", &mut files);
        files.sort();
        let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let code: Vec<&str> = code.collect();
        let names: Vec<String> =
            files.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        (names, code.join("\n"))
    };
    let (sqlite_names, sqlite) = read("sqlite");
    let (postgres_names, postgres) = read("postgres");
    assert_eq!(sqlite_names, postgres_names);
    let translated = sqlite
        .replace(" blob", " bytea")
        .replace("integer primary key autoincrement", "bigint generated always as identity primary key")
        // Microseconds now.
        .replace(
            "cast(strftime('%s', 'now') as integer) * 1000000",
            "cast(extract(epoch from now()) * 1000000 as bigint)",
        );
    assert_eq!(translated, postgres);
}
