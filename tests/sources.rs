//! C11: a camera's address is an RTSP address and nothing else: not at the API, and
//! not when another hand has written it into the database.

use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::live::{Heard, Live};
use crate::support::process::{Gateway, configure, serve};
use crate::support::{House, camera_at};
use domain::camera::Pull;
use domain::repository::{Cameras as _, Rights as _};
use domain::role::Role;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;

/// What other programs take for a source of video. Each would touch `marker` or ask `web`.
fn sources(marker: &Path, web: std::net::SocketAddr) -> Vec<String> {
    let marker = marker.display();
    vec![
        format!("exec:touch {marker}"),
        format!("exec:touch%20{marker}"),
        format!("exec://touch {marker}"),
        format!("echo:touch {marker}"),
        format!("ffmpeg:{marker}#video=h264"),
        format!("ffmpeg:http://{web}/#video=copy"),
        format!("file://{marker}"),
        "file:///etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        "concat:/etc/hostname|/etc/passwd".to_owned(),
        "pipe:0".to_owned(),
        "fd:0".to_owned(),
        "data:text/plain;base64,YQ==".to_owned(),
        format!("subfile,,start,0,end,9,,:{marker}"),
        format!("http://{web}/a"),
        format!("https://{web}/a"),
        format!("HTTP://{web}/a"),
        format!("rtmp://{web}/a"),
        format!("rtsps://{web}/a"),
        format!("rtspx://{web}/a"),
        format!("tcp://{web}"),
        format!("udp://{web}"),
        format!("unix:{marker}"),
        format!("onvif://{web}"),
        format!("|touch {marker}"),
        format!("$(touch {marker})"),
        format!("-f lavfi -i testsrc -y {marker}"),
        "rtsp:".to_owned(),
        "rtsp://".to_owned(),
        "rtsp:///a".to_owned(),
        String::new(),
    ]
}

/// Processes that a process has started.
fn children(of: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task")).unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default()
    };
    tasks.map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_nothing_but_rtsp_is_a_source_at_the_api_or_in_the_database() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let house = House::start().await;
    let marker = house.folder.path("marker");
    let sources = sources(&marker, web.local_addr().unwrap());

    let owner = house.person("owner").await;
    house.store.add_grant(&house.grant(&owner, Role::Owner)).await.unwrap();
    let client = house.signed_in(&owner).await;
    for source in &sources {
        for field in ["main_url", "sub_url"] {
            // An empty sub_url is none.
            if source.is_empty() && field == "sub_url" {
                continue;
            }
            let mut input = json!({
                "place_id": house.gate, "name": "x", "main_url": "rtsp://10.0.0.8/a",
                "purpose": "x", "responsible_unit": "x",
            });
            input[field] = json!(source);
            for path in ["/api/v1/cameras", "/api/v1/cameras/probe"] {
                let (status, why) = client.post(path, input.clone()).await;
                let pointer = why["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
                assert_eq!((status.as_u16(), pointer), (422, format!("/{field}")), "{source}: {why}");
            }
        }
    }
    assert!(house.store.cameras().await.unwrap().is_empty());

    // Past the API.
    for source in &sources {
        let mut camera = camera_at(&house.site, &house.gate, source);
        (camera.name, camera.pull) = (format!("bad: {source}"), Pull::Always);
        house.store.add_camera(&camera).await.unwrap();
    }
    let mut good = camera_at(&house.site, &house.gate, &cameras.url("a"));
    good.sub_url = Some(format!("exec:touch {}", marker.display()));
    house.store.add_camera(&good).await.unwrap();
    let folder = house.stop().await;
    configure(&folder, ".");
    let config = std::fs::read_to_string(folder.path("config.toml")).unwrap();
    let config = config + "[cameras]\nallow_networks = [\"127.0.0.0/8\"]\n";
    std::fs::write(folder.path("config.toml"), config).unwrap();
    let gateway = Gateway::start(serve(&folder));
    let owner = Client::new(gateway.address).signed_in("owner").await;
    let (_, list) = owner.get("/api/v1/cameras").await;
    let bad: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["name"].as_str().unwrap().starts_with("bad"))
        .collect();
    assert_eq!(bad.len(), sources.len());
    for camera in &bad {
        let why = camera["status"]["detail"].as_str().unwrap();
        assert_eq!(camera["status"]["state"], "refused", "{camera}");
        assert!(why.contains("the camera's address") || why.contains("a camera's address"), "{camera}");
    }
    // Watched, they say so and stay dark; the others play.
    let id = domain::CameraId::parse(bad[0]["id"].as_str().unwrap()).unwrap();
    let mut dark = Live::open(&owner, &id).await;
    let heard = tokio::time::timeout(Duration::from_secs(2), async {
        loop {
            if let Heard::Binary(_) = dark.next().await {
                break;
            }
        }
    });
    Live::open(&owner, &good.id).await.binary().await;
    assert!(heard.await.is_err(), "a picture came from {}", bad[0]["name"]);
    assert!(!marker.exists(), "something was executed");
    assert_eq!(children(gateway.pid()), "", "a process was started");
    let asked = tokio::time::timeout(Duration::from_millis(100), web.accept()).await;
    assert!(asked.is_err(), "somebody was connected to");

    // Corrected, it is a camera like any other; no restart is needed.
    let path = format!("/api/v1/cameras/{id}");
    assert_eq!(owner.patch(&path, json!({ "main_url": cameras.url("a") })).await.0.as_u16(), 200);
    Live::open(&owner, &id).await.binary().await;
}
