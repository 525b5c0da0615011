//! Debian's Mosquitto, and its own client as whoever publishes.

use super::folder::Folder;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long starting, stopping and publishing may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Broker {
    pub address: SocketAddr,
    folder: Folder,
    child: Option<Child>,
}

impl Broker {
    /// One that lets everybody in, on a port of its own.
    pub async fn start() -> Self {
        Self::start_with("allow_anonymous true").await
    }

    /// One with these lines in its settings.
    pub async fn start_with(more: &str) -> Self {
        let mut broker = Self::prepared(more);
        broker.run().await;
        broker
    }

    /// One that does not run yet.
    pub fn prepared(more: &str) -> Self {
        let folder = Folder::new();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // Started by root it would become somebody who may not read the folder.
        let settings = format!(
            "listener {} 127.0.0.1\nuser root\npersistence true\npersistence_location {}/\n\
             max_queued_messages 0\nlog_dest none\n{more}\n",
            address.port(),
            folder.path("").display()
        );
        std::fs::write(folder.path("mosquitto.conf"), settings).unwrap();
        Self { address, folder, child: None }
    }

    /// Runs it, with what it has kept.
    pub async fn run(&mut self) {
        let child = Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(self.folder.path("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("mosquitto does not start ({error}); scripts/setup test installs it")
            });
        self.child = Some(child);
        let up = async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("mosquitto listens");
    }

    /// Stops it as a signal would: it writes down what it keeps.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        tokio::time::timeout(PATIENCE, child.wait()).await.expect("mosquitto ends").unwrap();
    }

    /// The settings of a gateway that hears it.
    pub fn settings(&self) -> String {
        format!("[mqtt]\nurl = \"mqtt://{}\"\n", self.address)
    }

    /// Publishes one message, acknowledged by the broker.
    pub async fn publish(&self, topic: &str, payload: &str) {
        self.publish_with(topic, &[], &[payload.to_owned()]).await;
    }

    /// Publishes one that the broker sends once, to whoever listens at that moment.
    pub async fn publish_once(&self, topic: &str, payload: &str) {
        self.publish_with(topic, &["-q", "0"], &[payload.to_owned()]).await;
    }

    /// Publishes one that the broker keeps for whoever comes.
    pub async fn retain(&self, topic: &str, payload: &str) {
        self.publish_with(topic, &["-r"], &[payload.to_owned()]).await;
    }

    /// Publishes many, in their order.
    pub async fn publish_all(&self, topic: &str, payloads: &[String]) {
        self.publish_with(topic, &[], payloads).await;
    }

    async fn publish_with(&self, topic: &str, more: &[&str], payloads: &[String]) {
        let port = self.address.port().to_string();
        let mut child = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-l"])
            .args(more)
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("mosquitto_pub does not start ({error}); scripts/setup test installs it")
            });
        let mut input = child.stdin.take().unwrap();
        let told = async {
            // A line is a message; an empty one would be one, too, and end what is retained.
            let lines: String = payloads.iter().map(|payload| payload.trim().to_owned() + "\n").collect();
            input.write_all(lines.as_bytes()).await.unwrap();
            drop(input);
            assert!(child.wait().await.unwrap().success());
        };
        tokio::time::timeout(PATIENCE, told).await.expect("mosquitto_pub ends");
    }
}
