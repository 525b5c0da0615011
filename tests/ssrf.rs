//! C10: whatever is registered as a camera, the gateway reaches nothing where no
//! camera should be.

use crate::support::addresses::forbidden;
use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::folder::Folder;
use crate::support::process::{Gateway, configure, serve};
use crate::support::{House, camera_at};
use async_trait::async_trait;
use domain::camera::Pull;
use domain::repository::Cameras as _;
use domain::role::Role;
use ipnet::IpNet;
use relay::ingest::address::{Policy, Refused, Resolver};
use relay::ingest::{self, OpenError, Source, Transport};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use url::Url;

/// Says that this process is in the namespace that the test has made.
const INSIDE: &str = "SHARP_EYES_TEST_NETWORK";

#[test]
fn c10_no_way_of_writing_a_forbidden_address_is_accepted() {
    for host in forbidden() {
        // What does not even parse is refused as well.
        let Ok(url) = Url::parse(&format!("rtsp://{host}/live")) else { continue };
        assert!(Policy::default().check_url(&url).is_err(), "{host} is accepted as {url}");
    }
}

/// The whole gateway in a network of its own, in which every address there is
/// answers, and everything that is sent is seen.
#[tokio::test(flavor = "multi_thread")]
async fn c10_no_packet_goes_where_no_camera_should_be() {
    let inside = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "ssrf::inside_the_network", "--ignored", "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output();
    let output = inside.await.expect("unshare is there");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "this test gives the gateway a network of its own, for which user namespaces must be allowed\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Protocol, address and port of an attempt.
type Attempt = (String, IpAddr, u16);

/// What arrived: at the listener, by address; and on the wire.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Arrived>>);

#[derive(Default)]
struct Arrived {
    connections: BTreeMap<IpAddr, usize>,
    attempts: BTreeSet<Attempt>,
}

impl Seen {
    fn connections(&self) -> BTreeMap<IpAddr, usize> {
        self.0.lock().unwrap().connections.clone()
    }

    /// Except to the gateway itself, which the test asks.
    fn wire(&self, gateway: u16) -> BTreeSet<Attempt> {
        self.0.lock().unwrap().attempts.iter().filter(|(_, _, port)| *port != gateway).cloned().collect()
    }

    fn forget(&self) {
        *self.0.lock().unwrap() = <_>::default();
    }
}

async fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().await.unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Every address of both families is here, and listens at the cameras' port.
async fn network() -> (Seen, tokio::process::Child) {
    for setting in ["link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"] {
        ip(setting).await;
    }
    let seen = Seen::default();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/packets.py");
    let mut sniffer = Command::new("/usr/bin/python3")
        .arg(script)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sniffer.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
    let wire = seen.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let [protocol, to, port] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let to: IpAddr = to.parse().unwrap();
            let attempt = (protocol.to_owned(), to.to_canonical(), port.parse().unwrap());
            wire.0.lock().unwrap().attempts.insert(attempt);
        }
    });
    let listener = TcpListener::bind("[::]:554").await.unwrap();
    let arrived = seen.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let at = stream.local_addr().unwrap().ip().to_canonical();
            *arrived.0.lock().unwrap().connections.entry(at).or_default() += 1;
        }
    });
    (seen, sniffer)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by c10_no_packet_goes_where_no_camera_should_be, in a network of its own"]
async fn inside_the_network() {
    assert!(std::env::var_os(INSIDE).is_some(), "it changes the routes of the machine it runs on");
    let (seen, _sniffer) = network().await;

    // What is forbidden can be reached from here, and would be seen.
    let reached = ["127.0.0.1", "::1", "169.254.169.254", "100.100.100.200", "fd00:ec2::254", "192.0.2.1"];
    let reached: Vec<IpAddr> = reached.iter().map(|ip| ip.parse().unwrap()).collect();
    for ip in &reached {
        drop(TcpStream::connect(SocketAddr::new(*ip, 554)).await.unwrap());
    }
    crate::support::until(|| {
        let (at, wire) = (seen.connections(), seen.wire(0));
        reached.iter().all(|ip| at.contains_key(ip) && wire.contains(&("tcp".to_owned(), *ip, 554)))
    })
    .await;

    // Cameras as another hand would write them into the database, all of them pulled always.
    let house = House::start().await;
    let (site, gate) = (house.site.clone(), house.gate.clone());
    let owner = house.person("owner").await;
    domain::repository::Rights::add_grant(&*house.store, &house.grant(&owner, Role::Owner)).await.unwrap();
    let allowed = ["203.0.113.7", "192.168.1.64"];
    for host in forbidden().into_iter().chain(allowed.map(str::to_owned)) {
        for sub in [false, true] {
            let mut camera = camera_at(&site, &gate, &format!("rtsp://{host}/live"));
            camera.pull = Pull::Always;
            if sub {
                camera.sub_url =
                    Some(std::mem::replace(&mut camera.main_url, "rtsp://192.168.1.64/a".into()));
            }
            house.store.add_camera(&camera).await.unwrap();
        }
    }
    let folder: Folder = house.stop().await;
    configure(&folder, ".");
    let config = std::fs::read_to_string(folder.path("config.toml")).unwrap();
    let config = config + "[cameras]\nallow_networks = [\"203.0.113.0/24\"]\n";
    std::fs::write(folder.path("config.toml"), config).unwrap();
    seen.forget();
    let gateway = Gateway::start(serve(&folder));
    let client = Client::new(gateway.address).signed_in("owner").await;

    for host in forbidden() {
        let camera = json!({
            "place_id": gate, "name": "x", "main_url": format!("rtsp://{host}/live"),
            "purpose": "x", "responsible_unit": "x",
        });
        for path in ["/api/v1/cameras", "/api/v1/cameras/probe"] {
            let (status, answer) = client.post(path, camera.clone()).await;
            assert_eq!(status.as_u16(), 422, "{host} at {path}: {answer}");
            assert_eq!(answer["errors"][0]["pointer"], "/main_url", "{answer}");
        }
    }
    // The allowed ones are tried again and again meanwhile.
    let allowed: BTreeSet<IpAddr> = allowed.iter().map(|ip| ip.parse().unwrap()).collect();
    crate::support::until(|| {
        let at = seen.connections();
        allowed.iter().all(|ip| at.get(ip).is_some_and(|times| *times >= 3))
    })
    .await;
    let arrived: BTreeSet<IpAddr> = seen.connections().into_keys().collect();
    assert_eq!(arrived, allowed, "somebody was connected to who should not be");
    let wire: BTreeSet<_> = seen.wire(gateway.address.port());
    let expected: BTreeSet<_> = allowed.iter().map(|ip| ("tcp".to_owned(), *ip, 554)).collect();
    assert_eq!(wire, expected, "packets went where they should not");
}

/// A name server that says something else each time.
#[derive(Debug, Default)]
struct Flipping {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Resolver for Flipping {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let next = self.answers.lock().unwrap().pop_front().unwrap();
        Ok(next.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_what_was_checked_is_what_is_connected_to() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let port = Url::parse(&cameras.url("a")).unwrap().port().unwrap();
    let forbidden = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let (good, bad): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
    let names = Arc::new(Flipping::default());
    names.answers.lock().unwrap().extend([vec![good], vec![bad], vec![good, bad], vec![bad, good], vec![]]);
    let only: IpNet = "127.0.0.1/32".parse().unwrap();
    let policy = Policy::new(vec![only]).with_names(Arc::clone(&names) as _);
    let source = Source {
        url: Url::parse(&format!("rtsp://camera.example:{port}/a")).unwrap(),
        login: None,
        allow_basic: false,
        transport: Transport::Tcp,
        pull: ingest::Pull::OnDemand,
        audio: false,
    };
    // One question is asked for one connection.
    ingest::gauge(&source, &policy).await.unwrap();
    assert_eq!(*names.asked.lock().unwrap(), ["camera.example"]);
    for _ in 0..3 {
        let refused = ingest::gauge(&source, &policy).await.err().unwrap();
        assert!(matches!(refused, OpenError::Address(Refused::Network(ip, _)) if ip == bad), "{refused}");
    }
    let nobody = ingest::gauge(&source, &policy).await.err().unwrap();
    assert!(matches!(nobody, OpenError::Address(Refused::Unknown(_))), "{nobody}");
    let arrived = tokio::time::timeout(Duration::from_millis(200), forbidden.accept()).await;
    assert!(arrived.is_err(), "somebody connected to 127.0.0.2");
    drop(TcpStream::connect((bad, port)).await.unwrap());
    assert!(forbidden.accept().await.is_ok(), "it would have been seen");
}
