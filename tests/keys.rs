//! `sharp-eyes admin`: a new sealing key, whatever the moment of a crash, and a new owner.

use crate::support::database::{BOTH, Database};
use crate::support::folder::Folder;
use crate::support::process::{Gateway, configure, serve};
use crate::support::{House, camera_at};
use ::store::Store;
use ::store::rotate::Rotation;
use ::store::seal::{Hold, KeyError, SealingKey};
use domain::device::{DeviceKind, Pull};
use domain::person::ViewerKey;
use domain::repository::{Cameras as _, Devices as _, Persons as _, Registers as _};
use domain::{CameraId, Clock as _, Secret, ViewerKeyId};
use serde_json::json;
use sharp_eyes::Settings;
use std::path::Path;
use std::process::Command;

/// A stopped house with sealed secrets, and the camera whose password is known.
async fn sealed(database: Database) -> (Folder, Settings, CameraId) {
    let house = House::start_on(database).await;
    let mut camera = camera_at(&house.site, &house.gate, "rtsp://10.0.0.8/a");
    camera.password = Some(Secret::new("the camera's password"));
    house.store.add_camera(&camera).await.unwrap();
    house.store.add_camera(&camera_at(&house.site, &house.gate, "rtsp://10.0.0.9/a")).await.unwrap();
    let (panel, _) = house.device(&house.gate, DeviceKind::Panel).await;
    let mut panel = house.store.device(&panel).await.unwrap().unwrap();
    let password = Secret::new("camera-password");
    panel.pull = Some(Pull { url: "http://10.0.0.7/".into(), username: "admin".into(), password });
    assert!(house.store.update_device(&panel).await.unwrap());
    let key = ViewerKey {
        id: ViewerKeyId::from_random(web::token::random()),
        person_id: house.person("viewer").await.id,
        login: "v1".into(),
        name: "tv".into(),
        ha1_md5: Secret::new("md5"),
        ha1_sha256: Secret::new("sha256"),
        created_at: house.clock.now(),
    };
    house.store.add_viewer_key(&key).await.unwrap();
    let settings = house.settings.clone();
    (house.stop().await, settings, camera.id)
}

/// Opens what is kept as a start does, and reads every secret.
async fn readable(settings: &Settings, camera: &CameraId) {
    let store = sharp_eyes::app::open_store(settings).await.unwrap();
    let password = store.camera(camera).await.unwrap().unwrap().password.unwrap();
    assert_eq!(password.expose(), "the camera's password");
    let pull = store.devices().await.unwrap()[0].pull.clone().unwrap();
    assert_eq!(pull.password.expose(), "camera-password");
    let key = store.viewer_key_by_login("v1").await.unwrap().unwrap();
    assert_eq!((key.ha1_md5.expose(), key.ha1_sha256.expose()), ("md5", "sha256"));
    store.close().await;
}

fn next(settings: &Settings) -> std::path::PathBuf {
    Path::new(&format!("{}.new", settings.key_file.display())).to_owned()
}

/// The steps of a change, as far as `steps`; then the power goes.
async fn rotate(settings: &Settings, steps: usize) {
    let store = sharp_eyes::app::open_store_holding(settings, Hold::Alone).await.unwrap();
    let rotation = Rotation::begin(store).unwrap();
    if steps >= 2 {
        assert_eq!(rotation.reseal().await.unwrap(), 4);
    }
    if steps >= 3 {
        rotation.finish().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_key_that_is_cut_off_anywhere_leaves_everything_readable() {
    for database in BOTH {
        let (_folder, settings, camera) = sealed(database).await;
        let mut key = std::fs::read(&settings.key_file).unwrap();
        for steps in 1..=3 {
            rotate(&settings, steps).await;
            assert_eq!(next(&settings).exists(), steps < 3, "{database:?} after step {steps}");
            readable(&settings, &camera).await;
            assert!(!next(&settings).exists(), "{database:?} after step {steps}: it was settled");
            let now = std::fs::read(&settings.key_file).unwrap();
            assert_eq!(now != key, steps >= 2, "{database:?} after step {steps}");
            key = now;
            readable(&settings, &camera).await;
        }
        // A new key that was written in part: nothing is sealed with it.
        std::fs::write(next(&settings), [1; 10]).unwrap();
        readable(&settings, &camera).await;
        // Whole, but of another database.
        std::fs::write(next(&settings), [1; 32]).unwrap();
        readable(&settings, &camera).await;
        assert_eq!(std::fs::read(&settings.key_file).unwrap(), key);
        // The old key opens nothing any more, and says so at once.
        std::fs::remove_file(&settings.key_file).unwrap();
        let why = sharp_eyes::app::open_store(&settings).await.unwrap_err().to_string();
        assert!(why.contains("were not sealed with the key in"), "{why}");
    }
}

/// A database from before keys were checked is not given a wrong key for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_by_a_database_without_a_check() {
    for database in BOTH {
        let (folder, settings, camera) = sealed(database).await;
        let forget = async || {
            let mut connection =
                <sqlx::AnyConnection as sqlx::Connection>::connect(&settings.database).await.unwrap();
            sqlx::query("delete from sealing_check").execute(&mut connection).await.unwrap();
        };
        forget().await;
        let key = std::fs::read(&settings.key_file).unwrap();
        std::fs::rename(&settings.key_file, folder.path("kept")).unwrap();
        let why = sharp_eyes::app::open_store(&settings).await.unwrap_err().to_string();
        assert!(why.contains("were not sealed with the key in"), "{why}");
        std::fs::remove_file(&settings.key_file).unwrap();
        std::fs::rename(folder.path("kept"), &settings.key_file).unwrap();
        readable(&settings, &camera).await;
        assert_eq!(std::fs::read(&settings.key_file).unwrap(), key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_to_be_sealed_again_changes_nothing() {
    let (_folder, settings, camera) = sealed(Database::Sqlite).await;
    let mut connection =
        <sqlx::AnyConnection as sqlx::Connection>::connect(&settings.database).await.unwrap();
    // The last column that is sealed anew: everything before it is done by then.
    let spoil = "update viewer_keys set ha1_sha256_sealed = x'00'";
    sqlx::query(spoil).execute(&mut connection).await.unwrap();
    let why = sharp_eyes::admin::rotate_key(&settings).await.unwrap_err().to_string();
    assert!(why.contains("sealed with another key"), "{why}");
    let store = sharp_eyes::app::open_store(&settings).await.unwrap();
    assert!(store.camera(&camera).await.unwrap().unwrap().password.is_some());
    assert!(!next(&settings).exists());
}

/// Every column that is sealed is sealed anew: the list is held against the tables.
#[tokio::test(flavor = "multi_thread")]
async fn no_sealed_column_is_forgotten() {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut columns = Vec::new();
    for file in std::fs::read_dir(migrations).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned);
        columns.extend(words.filter(|word| word.ends_with("_sealed")));
    }
    columns.sort();
    columns.dedup();
    let mut listed: Vec<_> =
        ::store::rotate::SEALED.iter().map(|(_, column, _)| (*column).to_owned()).collect();
    listed.sort();
    assert_eq!(columns, listed);
}

fn run(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharp-eyes"));
    let output = command.args(arguments).arg("--config").arg(folder.path("config.toml")).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_changed_on_the_machine_while_nothing_uses_it() {
    let (folder, settings, camera) = sealed(Database::Sqlite).await;
    configure(&folder, ".");
    let before = std::fs::read(&settings.key_file).unwrap();
    let gateway = Gateway::start(serve(&folder));
    let (code, text) = run(&folder, &["admin", "rotate-key"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is in use; stop the gateway and try again"), "{text}");
    assert_eq!(std::fs::read(&settings.key_file).unwrap(), before);
    // kill -9 leaves no lock behind.
    drop(gateway);
    let (code, text) = run(&folder, &["admin", "rotate-key"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("4 secrets are sealed with the new key in"), "{text}");
    assert_ne!(std::fs::read(&settings.key_file).unwrap(), before);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&settings.key_file).unwrap().permissions().mode() & 0o777, 0o400);
    readable(&settings, &camera).await;
    let store = sharp_eyes::app::open_store(&settings).await.unwrap();
    let log = store.chain(0, 1_000).await.unwrap();
    assert!(log.iter().any(|link| link.entry.action == "sealing_key.rotate"));
    // While it is changed nobody begins to use it.
    store.close().await;
    drop(store);
    let alone = SealingKey::load_or_create(&settings.key_file, Hold::Alone).unwrap();
    let shared = SealingKey::load_or_create(&settings.key_file, Hold::Shared);
    assert!(matches!(shared, Err(KeyError::Changing(_))));
    drop(alone);
    drop(Gateway::start(serve(&folder)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_made_on_the_machine() {
    // On an empty gateway: the link that was printed is worth nothing then.
    let folder = Folder::new();
    configure(&folder, ".");
    let create = ["admin", "create-owner", "wang", "--name", "王主任"];
    let (code, text) = run(&folder, &create);
    assert_eq!(code, Some(0), "{text}");
    let password = text.trim().rsplit(' ').next().unwrap().to_owned();
    let gateway = Gateway::start(serve(&folder));
    let mut client = crate::support::client::Client::new(gateway.address);
    let sign_in = json!({ "login": "wang", "password": password });
    let response =
        client.request(reqwest::Method::POST, "/api/v1/session").json(&sign_in).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    client.take_cookie(&response);
    let roles = response.json::<serde_json::Value>().await.unwrap()["roles"].clone();
    assert_eq!(roles[0]["role"], "owner", "{roles}");
    // On one that runs: another owner; the same login is refused.
    let (code, text) = run(&folder, &create);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("somebody has the login \"wang\" already"), "{text}");
    let (code, text) = run(&folder, &["admin", "create-owner", "li li", "--name", "Li"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("1 to 64 characters without spaces"), "{text}");
    let (code, text) = run(&folder, &["admin", "create-owner", "li", "--name", "Li", "--locale", "en"]);
    assert_eq!(code, Some(0), "{text}");
    let (_, log) = client.get("/api/v1/audit").await;
    let made = |entry: &&serde_json::Value| entry["action"] == "owner.create" && entry["actor"].is_null();
    assert_eq!(log["items"].as_array().unwrap().iter().filter(made).count(), 2, "{log}");
    assert!(!log.to_string().contains(&password));
    drop(gateway);
    let store: Store =
        sharp_eyes::app::open_store(&Settings::load(Some(&folder.path("config.toml"))).unwrap())
            .await
            .unwrap();
    assert_eq!(store.person_by_login("li").await.unwrap().unwrap().locale, "en");
    let (code, text) = run(&folder, &["audit", "verify"]);
    assert_eq!(code, Some(0), "{text}");
}
