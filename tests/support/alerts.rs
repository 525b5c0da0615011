//! A device that is asked for its alerts (ISAPI alertStream), and that can misbehave.

use media::rtsp::digest::{self, Ha1};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// Its login.
pub const LOGIN: (&str, &str) = ("admin", "right-password");
const PATH: &str = "/ISAPI/Event/notification/alertStream";
const NONCE: &str = "5f3a9c";

/// What it does when it is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Manner {
    /// What it should.
    Good,
    /// It asks for the password readably.
    Basic,
    /// It sends its stream to somewhere else.
    Elsewhere(String),
    /// It begins a part that has no length and never ends.
    Endless,
    /// It says that a part is very long.
    Huge,
}

pub struct Device {
    pub address: SocketAddr,
    inside: Arc<Inside>,
    serving: JoinHandle<()>,
}

struct Inside {
    manner: Mutex<Manner>,
    alerts: broadcast::Sender<Vec<u8>>,
    /// Connections that were accepted, logins that were right and wrong, streams that were
    /// begun, and bytes that were written.
    asked: AtomicUsize,
    wrong: AtomicUsize,
    streams: AtomicUsize,
    written: AtomicUsize,
    open: AtomicUsize,
    /// Passwords that were sent readably.
    shown: AtomicUsize,
}

impl Device {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let zero = AtomicUsize::default;
        let inside = Arc::new(Inside {
            manner: Mutex::new(Manner::Good),
            alerts: broadcast::channel(1_000).0,
            asked: zero(),
            wrong: zero(),
            streams: zero(),
            written: zero(),
            open: zero(),
            shown: zero(),
        });
        let serving = tokio::spawn({
            let inside = Arc::clone(&inside);
            async move {
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let inside = Arc::clone(&inside);
                    inside.asked.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        let _ = inside.serve(socket).await;
                    });
                }
            }
        });
        Self { address, inside, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn behave(&self, manner: Manner) {
        *self.inside.manner.lock().unwrap() = manner;
    }

    /// Tells an alert to whoever listens. Answers how many that are.
    pub fn tell(&self, alert: &str) -> usize {
        let part = format!(
            "--MIME_boundary\r\nContent-Type: application/xml; charset=\"UTF-8\"\r\nContent-Length: {}\r\n\r\n{alert}\r\n",
            alert.len()
        );
        self.inside.alerts.send(part.into_bytes()).unwrap_or(0)
    }

    /// Sends bytes as they are.
    pub fn send(&self, bytes: &[u8]) -> usize {
        self.inside.alerts.send(bytes.to_vec()).unwrap_or(0)
    }

    /// Breaks every stream.
    pub fn hang_up(&self) {
        self.send(b"");
    }

    pub fn asked(&self) -> usize {
        self.inside.asked.load(Ordering::SeqCst)
    }

    /// Logins that were wrong.
    pub fn wrong(&self) -> usize {
        self.inside.wrong.load(Ordering::SeqCst)
    }

    /// Streams that were begun.
    pub fn streams(&self) -> usize {
        self.inside.streams.load(Ordering::SeqCst)
    }

    /// Streams that last.
    pub fn open(&self) -> usize {
        self.inside.open.load(Ordering::SeqCst)
    }

    /// Passwords that were sent readably.
    pub fn shown(&self) -> usize {
        self.inside.shown.load(Ordering::SeqCst)
    }

    /// Bytes of endless parts that could be written.
    pub fn written(&self) -> usize {
        self.inside.written.load(Ordering::SeqCst)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Inside {
    async fn serve(&self, mut socket: TcpStream) -> std::io::Result<()> {
        let manner = self.manner.lock().unwrap().clone();
        loop {
            let head = head(&mut socket).await?;
            assert!(head.starts_with(&format!("GET {PATH} HTTP/1.1\r\n")), "{head}");
            if let Manner::Elsewhere(url) = &manner {
                let answer = format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n");
                socket.write_all(answer.as_bytes()).await?;
                continue;
            }
            let login = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
            });
            if login.as_ref().is_some_and(|login| login.starts_with("Basic")) {
                self.shown.fetch_add(1, Ordering::SeqCst);
            }
            let ha1 = Ha1::new(LOGIN.0, LOGIN.1);
            let proven = login.as_ref().and_then(|login| digest::parse(login));
            let right =
                proven.is_some_and(|answer| answer.login() == LOGIN.0 && answer.proves(&ha1, NONCE, "GET"));
            if right && manner != Manner::Basic {
                break;
            }
            if login.is_some() {
                self.wrong.fetch_add(1, Ordering::SeqCst);
            }
            let challenge = match manner {
                Manner::Basic => "Basic realm=\"device\"".to_owned(),
                _ => digest::challenges(NONCE).join("\r\nWWW-Authenticate: "),
            };
            let answer = format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"
            );
            socket.write_all(answer.as_bytes()).await?;
        }
        let mut alerts = self.alerts.subscribe();
        socket
            .write_all(
                b"HTTP/1.1 200 OK\r\nMIME-Version: 1.0\r\nConnection: close\r\n\
                  Content-Type: multipart/mixed; boundary=MIME_boundary\r\n\r\n",
            )
            .await?;
        self.streams.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        let told = self.tell(&mut socket, &manner, &mut alerts).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
        told
    }

    async fn tell(
        &self,
        socket: &mut TcpStream,
        manner: &Manner,
        alerts: &mut broadcast::Receiver<Vec<u8>>,
    ) -> std::io::Result<()> {
        match manner {
            Manner::Endless => {
                socket.write_all(b"--MIME_boundary\r\nContent-Type: application/xml\r\n\r\n").await?;
                loop {
                    socket.write_all(&[b'x'; 1_000]).await?;
                    self.written.fetch_add(1_000, Ordering::SeqCst);
                }
            }
            Manner::Huge => {
                socket.write_all(b"--MIME_boundary\r\nContent-Length: 4000000000\r\n\r\n").await?;
            }
            _ => {}
        }
        let mut gone = [0; 16];
        loop {
            tokio::select! {
                alert = alerts.recv() => match alert {
                    Ok(bytes) if !bytes.is_empty() => socket.write_all(&bytes).await?,
                    _ => return Ok(()),
                },
                read = socket.read(&mut gone) => if read? == 0 { return Ok(()) },
                () = tokio::time::sleep(Duration::from_secs(300)) => return Ok(()),
            }
        }
    }
}

async fn head(socket: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
        assert!(head.len() < 16 << 10);
    }
    Ok(String::from_utf8(head).unwrap())
}
