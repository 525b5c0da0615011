//! C08: secrets with known values, a whole day of a gateway that logs everything it
//! can, and then a search through all that it has said, logged and kept.

use crate::support::camera::{self, AAC, H264};
use crate::support::canary::{Canary, Evidence, hits};
use crate::support::client::{Client, Key};
use crate::support::folder::Folder;
use crate::support::leaks;
use crate::support::live::Live;
use crate::support::process::{configure, serve};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camsim::viewers::{Viewer, frames};
use domain::CameraId;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const CAMERA: &str = "K4mera/c4nary+%41 pass=1";
const OTHER_CAMERA: &str = "0ther-k4mera:c4nary&x";
const LISTED: &str = "L1sted;k4mera c4nary";
const WRONG: &str = "Wr0ng/guess c4nary+1";
const SEALING: &str = "s34ling-key-c4nary/+0123456789ab";

/// A browser that keeps every answer: status, headers, body.
struct Witness {
    client: Client,
    heard: Mutex<Vec<Evidence>>,
}

impl Witness {
    fn hear(&self, from: &str, text: String) {
        self.heard.lock().unwrap().push(Evidence::new(from, text));
    }

    async fn send(
        &self,
        from: &str,
        request: reqwest::RequestBuilder,
    ) -> (u16, Value, reqwest::header::HeaderMap) {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.unwrap();
        self.hear(from, format!("{status} {headers:?}\n{body}"));
        (status, serde_json::from_str(&body).unwrap_or_default(), headers)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let (status, body, _) = self.send(&format!("{method} {path}"), request).await;
        (status, body)
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::POST, path, Some(body)).await
    }
}

/// The gateway with all of its output in files.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(folder: &Folder, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharp-eyes"));
    let output = command.args(arguments).arg("--config").arg(folder.path("config.toml")).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// A camera that wants its password readably, and keeps what it hears.
async fn basic_camera() -> (SocketAddr, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (said, heard) = tokio::sync::mpsc::channel(100);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4_096];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                let _ = said.try_send(String::from_utf8_lossy(&buffer[..read]).into_owned());
                let answer =
                    "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n";
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    (address, heard)
}

#[test]
fn c08_a_canary_is_found_however_it_is_written() {
    let canary = Canary::new("camera", CAMERA);
    for (kind, form) in canary.forms() {
        assert!(canary.found_in(&format!("GET /a?{form}&b")).contains(kind), "{kind}");
    }
    for login in ["", "a", "ab", "abc"] {
        let proof = STANDARD.encode(format!("{login}:{CAMERA}"));
        assert!(canary.found_in(&format!("Authorization: Basic {proof}")).contains("base64"), "{login}");
    }
    assert!(canary.found_in("K4mera/c4nary").is_empty(), "a part of it is none");
    let sealed = Canary::new("key", SEALING);
    assert!(!sealed.found_in(&format!("{:?}", SEALING.as_bytes())).is_empty(), "as Rust shows bytes");
}

#[test]
fn c08_what_all_stories_say_and_keep_is_looked_at() {
    let token = web::token::new();
    let said = format!("GET /a?session={token}; device=1");
    assert_eq!(leaks::found_in(said.as_bytes()), None, "it is not a secret yet");
    leaks::secret(&token);
    assert_eq!(leaks::found_in(said.as_bytes()), Some("a token"));
    assert_eq!(leaks::found_in(&said.as_bytes()[..said.len() - 20]), None, "a part of it is none");
    let camera = format!("creds: Some({:?})\u{fffd}", "hunter2-hunter2");
    assert_eq!(leaks::found_in(camera.as_bytes()), Some("hunter2-hunter2"));
    assert_eq!(leaks::found_in(&[camera.as_bytes(), &[0xff]].concat()), Some("hunter2-hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_no_secret_is_said_logged_or_kept_in_the_open() {
    let cameras = camera::start_with_login(
        &[("a", camera::clip(H264)), ("b", camera::clip(AAC))],
        Some(("admin", CAMERA)),
    )
    .await;
    let (basic, mut basic_heard) = basic_camera().await;
    let folder = Folder::new();
    configure(&folder, ".");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let config = config
        .replace("[rtsp]\nlisten = \"\"", &format!("[rtsp]\nlisten = \"{free}\""))
        .replace("filter = \"error\"", "filter = \"trace\"")
        + "[cameras]\nallow_networks = [\"127.0.0.0/8\"]\n";
    assert!(config.contains("trace") && config.contains(&free.to_string()));
    let http: SocketAddr = config.split('"').nth(1).unwrap().parse().unwrap();
    fs::write(folder.path("config.toml"), config).unwrap();
    fs::write(folder.path("key"), SEALING).unwrap();
    fs::set_permissions(folder.path("key"), fs::Permissions::from_mode(0o400)).unwrap();
    let owner = run(&folder, &["admin", "create-owner", "owner", "--name", "王"]);
    let owner = owner.trim().rsplit(' ').next().unwrap().to_owned();

    let mut command = serve(&folder);
    command.env("RUST_BACKTRACE", "full");
    command
        .stdout(File::create(folder.path("stdout")).unwrap())
        .stderr(File::create(folder.path("stderr")).unwrap());
    let process = Process(command.spawn().unwrap());
    crate::support::until(|| std::net::TcpStream::connect(http).is_ok()).await;

    // Signing in, wrongly and rightly.
    let mut witness = Witness { client: Client::new(http), heard: Mutex::default() };
    for (login, password) in [("owner", WRONG), ("nobody", WRONG)] {
        let (status, _) =
            witness.post("/api/v1/session", json!({ "login": login, "password": password })).await;
        assert_eq!(status, 401);
    }
    let request = witness.client.request(Method::POST, "/api/v1/session");
    let sign_in = request.json(&json!({ "login": "owner", "password": owner }));
    let (status, _, headers) = witness.send("sign-in", sign_in).await;
    assert_eq!(status, 200);
    let cookie = |name: &str| {
        let all = headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        all.filter_map(|value| value.split(';').next()?.strip_prefix(name)).next().unwrap().to_owned()
    };
    let (session, device) = (cookie("session="), cookie("device="));
    witness.client.cookie = Some(format!("session={session}; device={device}"));

    // A site with cameras: passwords in fields, in addresses, in a list, in mistakes.
    let site = json!({ "name": "幸福里", "kind": "compound", "time_zone": "Asia/Shanghai", "resident_policy": "approved" });
    let site = witness.post("/api/v1/sites", site).await.1["id"].clone();
    let place = json!({ "site_id": site, "parent_id": null, "name": "gate", "kind": "gate" });
    let place = witness.post("/api/v1/places", place).await.1["id"].clone();
    let camera = |url: &str, password: Option<&str>| {
        json!({
            "place_id": place, "name": "gate", "main_url": url, "username": password.map(|_| "admin"),
            "password": password, "purpose": "safety", "responsible_unit": "office", "audio_reason": "intercom",
        })
    };
    let (status, first) = witness.post("/api/v1/cameras", camera(&cameras.url("a"), Some(CAMERA))).await;
    assert_eq!(status, 201, "{first}");
    let encoded = |password: &str| {
        percent_encoding::utf8_percent_encode(password, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let with_login =
        |url: &str, password: &str| url.replace("rtsp://", &format!("rtsp://admin:{}@", encoded(password)));
    let second = camera(&with_login(&cameras.url("b"), CAMERA), None);
    assert_eq!(witness.post("/api/v1/cameras/probe", second.clone()).await.1["main"]["codec"], "H.264");
    let (status, second) = witness.post("/api/v1/cameras", second).await;
    assert_eq!(status, 201, "{second}");
    let wrong = camera(&cameras.url("a"), Some(WRONG));
    assert_eq!(
        witness.post("/api/v1/cameras/probe", wrong).await.1["main"]["problem"],
        "the camera refused the password"
    );
    let mut readable = camera(&format!("rtsp://{basic}/a"), Some(OTHER_CAMERA));
    readable["allow_basic"] = json!(true);
    let (_, probed) = witness.post("/api/v1/cameras/probe", readable.clone()).await;
    assert!(probed["main"]["problem"].is_string(), "{probed}");
    readable["pull"] = json!("always");
    assert_eq!(witness.post("/api/v1/cameras", readable).await.0, 201);
    for bad in [
        camera("rtsp://169.254.169.254/a", Some(CAMERA)),
        camera(&with_login("http://10.0.0.8/a", CAMERA), None),
        camera(&with_login("rtsp://10.0.0.8:99999/a", CAMERA), None),
        camera(&cameras.url("a"), Some(&CAMERA.repeat(9))),
        json!({ "place_id": place, "password": CAMERA }),
        json!({ "password": [CAMERA] }),
        json!({ "transport": CAMERA }),
        json!({ "allow_basic": CAMERA }),
        json!({ "retention": { "floor_days": CAMERA } }),
    ] {
        assert_eq!(witness.post("/api/v1/cameras", bad).await.0, 422);
    }
    let path = format!("/api/v1/cameras/{}", first["id"].as_str().unwrap());
    let moved = json!({ "main_url": with_login(&cameras.url("a"), CAMERA), "name": "moved" });
    assert_eq!(witness.ask(Method::PATCH, &path, Some(moved)).await.0, 200);

    let list = |row: &str| {
        format!(
            "name,place,main_url,username,password,purpose,responsible_unit,transport\n\
            one,gate,rtsp://10.0.0.8/a,admin,\"{LISTED}\",safety,office,\n{row}"
        )
    };
    let slipped = list(&format!(
        "two,gate,http://admin:{}@10.0.0.9/a,{LISTED},,safety,office,\"{LISTED}\"\n",
        encoded(LISTED)
    ));
    let site = site.as_str().unwrap();
    for (dry, body, expected) in [("&dry_run=true", &slipped, 200), ("", &slipped, 422), ("", &list(""), 200)]
    {
        let path = format!("/api/v1/cameras/import?site_id={site}{dry}");
        let request = witness.client.request(Method::POST, &path).header("content-type", "text/csv");
        let (status, answer, _) = witness.send("import", request.body(body.clone())).await;
        assert_eq!(status, expected, "{answer}");
    }

    // Watching, by browser and by player; a wrong key.
    let id = CameraId::parse(second["id"].as_str().unwrap()).unwrap();
    let request =
        witness.client.request(Method::POST, "/api/v1/viewer-keys").json(&json!({ "name": "player" }));
    let (_, key, _) = witness.send("new viewer key", request).await;
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    let key = Key { id: text("id"), login: text("login"), key: text("key") };
    let mut live = Live::open(&witness.client, &id).await;
    live.binary().await;
    let mut viewer = Viewer::play(free, &format!("{id}/main"), Some((&key.login, &key.key))).await.unwrap();
    assert!(!frames(&mut viewer, 5, Duration::from_secs(20)).await.is_empty());
    for login in [(key.login.as_str(), WRONG), ("nobody", key.key.as_str())] {
        assert!(Viewer::play(free, &format!("{id}/main"), Some(login)).await.is_err());
    }
    // In a place where many clients put it.
    let mut careless = Client::new(http);
    careless.base = format!("http://{}:{}@{http}", key.login, key.key);
    witness.send("a key in an address", careless.request(Method::GET, &format!("/{id}/main"))).await;

    // A door with its token; a wrong one.
    let door = json!({ "place_id": place, "name": "door", "kind": "door" });
    let door = witness.post("/api/v1/devices", door).await.1["id"].as_str().unwrap().to_owned();
    let request = witness.client.request(Method::POST, &format!("/api/v1/devices/{door}/token"));
    let token = witness.send("new device token", request).await.1["token"].as_str().unwrap().to_owned();
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/d", "type": "sharpeyes.door.opened" });
    for (bearer, expected) in [(token.as_str(), 202), (WRONG, 401)] {
        let request = witness.client.request(Method::POST, "/ingest/v1/events").bearer_auth(bearer);
        let request = request.header("content-type", "application/cloudevents+json").body(event.to_string());
        assert_eq!(witness.send("event", request).await.0, expected);
    }

    // Everything that can be read afterwards.
    for path in [
        "/api/v1/session",
        "/api/v1/sessions",
        "/api/v1/viewer-keys",
        "/api/v1/sites",
        "/api/v1/places",
        "/api/v1/cameras",
        "/api/v1/devices",
        "/api/v1/audit?limit=500",
        "/api/v1/audit/head",
        "/api/v1/door-events",
        "/api/v1/openapi.json",
        "/api/v1/nothing",
        &format!("/api/v1/persons?site_id={site}"),
        &format!("/api/v1/cameras/{id}/viewings"),
        &format!("/api/v1/cameras/{id}/viewers-allowed"),
    ] {
        witness.ask(Method::GET, path, None).await;
    }
    drop((live, viewer));

    let canaries = [
        Canary::new("camera password", CAMERA),
        Canary::new("password sent readably", OTHER_CAMERA),
        Canary::new("password in a list", LISTED),
        Canary::new("wrong guess", WRONG),
        Canary::new("sealing key", SEALING),
        Canary::new("owner's password", &owner),
        Canary::new("session token", &session),
        Canary::new("device cookie", &device),
        Canary::new("viewer key", &key.key),
        Canary::new("device token", &token),
    ];
    let mut evidence = std::mem::take(&mut *witness.heard.lock().unwrap());
    for name in ["cmdline", "environ"] {
        let seen = Evidence::file(format!("/proc/{}/{name}", process.0.id()).as_ref());
        assert!(!seen.text.is_empty());
        evidence.push(Evidence::new(name, seen.text));
    }
    // Once while it runs, with the write-ahead log, and once when it is over.
    let kept = |when: &str| {
        let files = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = files.collect();
        assert!(
            ["test.db", "stderr", "key"].iter().all(|name| files.contains(&folder.path(name))),
            "{files:?}"
        );
        let name = |path: &std::path::Path| format!("{when} {}", path.file_name().unwrap().to_string_lossy());
        files.iter().map(|path| Evidence::new(name(path), Evidence::file(path).text)).collect::<Vec<_>>()
    };
    assert!(folder.path("test.db-wal").exists());
    evidence.extend(kept("running:"));
    drop(process);
    evidence.extend(kept("killed:"));

    // The log is a log: what passed through the gateway is in it.
    let log = &evidence.iter().find(|seen| seen.from == "killed: stderr").unwrap().text;
    assert!(log.contains("TRACE") && log.len() > 100_000, "{} bytes are logged", log.len());
    // The passwords were really used: the readable one went to the camera that may have it.
    let mut readable = String::new();
    while let Ok(text) = basic_heard.try_recv() {
        readable += &text;
    }
    assert!(canaries[1].found_in(&readable).contains("base64"), "{readable}");

    // Where a secret is shown once, to whom it belongs; where it is kept, the key file.
    let expected: BTreeSet<(&str, String)> = [
        ("session token", "sign-in"),
        ("device cookie", "sign-in"),
        ("viewer key", "new viewer key"),
        ("device token", "new device token"),
        ("sealing key", "running: key"),
        ("sealing key", "killed: key"),
    ]
    .map(|(name, from)| (name, from.to_owned()))
    .into();
    let found = hits(&canaries, &evidence);
    let leaks: Vec<_> = found.difference(&expected).collect();
    assert!(leaks.is_empty(), "{leaks:?}; {}", context(&canaries, &evidence, &expected));
    assert_eq!(found, expected, "what must be found is found, so the search works");
    // Planted anywhere, it would have been.
    let mut planted = 0;
    for seen in &mut evidence {
        let (kind, form) = &canaries[0].forms()[planted % canaries[0].forms().len()];
        let middle = (0..=seen.text.len() / 2).rev().find(|at| seen.text.is_char_boundary(*at)).unwrap();
        seen.text.insert_str(middle, form);
        assert!(canaries[0].found_in(&seen.text).contains(kind), "{kind} in {}", seen.from);
        planted += 1;
    }
    assert!(planted > 40, "{planted} answers and files were searched");
}

/// Around each leak, for whoever has to mend it.
fn context(canaries: &[Canary], evidence: &[Evidence], expected: &BTreeSet<(&str, String)>) -> String {
    let mut text = String::new();
    for (canary, seen) in canaries.iter().flat_map(|canary| evidence.iter().map(move |seen| (canary, seen))) {
        if expected.contains(&(canary.name, seen.from.clone())) {
            continue;
        }
        for (kind, form) in canary.forms() {
            if let Some(at) = seen.text.find(form.as_str()) {
                let line = seen.text[..at].rfind('\n').map_or(0, |end| end + 1);
                let end = seen.text[at..].find('\n').map_or(seen.text.len(), |end| at + end);
                let line: String = seen.text[line..end].chars().take(600).collect();
                text += &format!("\n{} ({kind}) in {}: {line}", canary.name, seen.from);
            }
        }
    }
    text
}
