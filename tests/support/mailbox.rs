//! A mail server (RFC 5321) that keeps what it takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// Who signed in, and with what.
    pub login: String,
    pub from: String,
    pub to: String,
    pub text: String,
}

impl Letter {
    /// A header's value, unfolded; encoded words are left as they are.
    pub fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let prefix = format!("{}: ", name.to_lowercase());
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&prefix)).unwrap_or_default();
        line.get(prefix.len()..).unwrap_or_default().to_owned()
    }

    /// The text, decoded.
    pub fn body(&self) -> String {
        let body = self.text.split_once("\r\n\r\n").unwrap().1;
        match self.header("content-transfer-encoding").as_str() {
            "base64" => String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap(),
            "quoted-printable" => {
                let (joined, mut bytes) = (body.replace("=\r\n", ""), Vec::new());
                let mut rest = joined.as_bytes();
                while let [first, tail @ ..] = rest {
                    if *first == b'=' {
                        bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                        rest = &tail[2..];
                    } else {
                        bytes.push(*first);
                        rest = tail;
                    }
                }
                String::from_utf8(bytes).unwrap()
            }
            _ => body.to_owned(),
        }
    }
}

pub struct Mailbox {
    pub address: SocketAddr,
    letters: Arc<Mutex<Vec<Letter>>>,
    /// What is said to whoever names a receiver.
    says: Arc<Mutex<String>>,
    serving: JoinHandle<()>,
}

impl Mailbox {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, letters) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Letter>>>::default());
        let says = Arc::new(Mutex::new("250 ok".to_owned()));
        let (kept, told) = (Arc::clone(&letters), Arc::clone(&says));
        let serving = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (kept, told) = (Arc::clone(&kept), Arc::clone(&told));
                tokio::spawn(async move {
                    let _ = talk(socket, &kept, &told).await;
                });
            }
        });
        Self { address, letters, says, serving }
    }

    pub fn says(&self, text: &str) {
        text.clone_into(&mut self.says.lock().unwrap());
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn talk(socket: TcpStream, kept: &Mutex<Vec<Letter>>, told: &Mutex<String>) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut letter = Letter::default();
    socket.write_all(b"220 mailbox\r\n").await?;
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let answer = match line.split(' ').next().unwrap().to_uppercase().as_str() {
            "EHLO" => "250-mailbox\r\n250-8BITMIME\r\n250 AUTH PLAIN".to_owned(),
            "AUTH" => {
                let plain = STANDARD.decode(line.rsplit(' ').next().unwrap()).unwrap();
                letter.login = String::from_utf8(plain).unwrap().trim_start_matches('\0').replace('\0', ":");
                "235 welcome".to_owned()
            }
            "MAIL" => {
                line.clone_into(&mut letter.from);
                "250 ok".to_owned()
            }
            "RCPT" => {
                line.clone_into(&mut letter.to);
                told.lock().unwrap().clone()
            }
            "DATA" => {
                socket.write_all(b"354 go on\r\n").await?;
                loop {
                    let mut line = String::new();
                    socket.read_line(&mut line).await?;
                    if line == ".\r\n" {
                        break;
                    }
                    letter.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                kept.lock().unwrap().push(letter.clone());
                "250 taken".to_owned()
            }
            "QUIT" => {
                socket.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 ok".to_owned(),
        };
        socket.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}
