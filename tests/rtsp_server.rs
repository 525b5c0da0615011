//! The RTSP server against clients that are no players.

use crate::support::House;
use crate::support::camera::{self, H264};
use domain::role::Role;
use media::rtsp::message::{self, Message};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends `text` and reads what comes until the server closes or is silent.
async fn say(address: SocketAddr, text: &[u8]) -> (String, bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text).await.unwrap();
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> (String, bool) {
    let (mut answer, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        match tokio::time::timeout(Duration::from_millis(700), stream.read(&mut buffer)).await {
            Err(_) => return (String::from_utf8_lossy(&answer).into_owned(), false),
            Ok(Ok(read @ 1..)) => answer.extend_from_slice(&buffer[..read]),
            Ok(_) => return (String::from_utf8_lossy(&answer).into_owned(), true),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_gets_400_and_the_door() {
    let house = House::start().await;
    let long = [b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: ".as_slice(), &[b'a'; 20_000], b"\r\n\r\n"].concat();
    let blank = b"\r\n".repeat(100_000);
    let many = format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n{}\r\n", "X: y\r\n".repeat(70));
    for (text, reason) in [
        (b"GET / HTTP/1.1\r\n\r\n".as_slice(), "the request line is not METHOD URI RTSP/1.0"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), "it does not begin with a method"),
        (b"OPTIONS * RTSP/1.0\r\nnonsense\r\n\r\n".as_slice(), "a header has no colon"),
        (
            b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 9223372036854775807\r\n\r\n".as_slice(),
            "the body is longer than 64 KiB",
        ),
        (long.as_slice(), "the headers are longer than 16 KiB"),
        (many.as_bytes(), "there are more than 64 headers"),
        (blank.as_slice(), "it is nothing but empty lines"),
    ] {
        let (answer, closed) = say(house.rtsp, text).await;
        assert!(answer.starts_with("RTSP/1.0 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains(reason), "{answer}");
        assert!(closed, "the connection is closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_and_never_listens_is_not_answered_without_end() {
    let house = House::start().await;
    let mut stream = TcpStream::connect(house.rtsp).await.unwrap();
    let requests = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".repeat(1_000);
    let mut sent = 0;
    // The kernel holds some megabytes for both sides; then the server has stopped reading.
    while sent < 64 << 20 {
        match tokio::time::timeout(Duration::from_secs(1), stream.write(&requests)).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => return,
        }
    }
    panic!("{sent} bytes of requests were taken although no answer was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_without_a_key() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let (answer, _) = say(house.rtsp, b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n").await;
    assert!(answer.contains("200 OK") && answer.contains("CSeq: 7") && answer.contains("Public: OPTIONS"));
    let other = "0".repeat(32);
    let ask = async |method: &str, id: &str| {
        let text = format!("{method} rtsp://h/{id}/main RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        let (answer, _) = say(house.rtsp, text.as_bytes()).await;
        // All but the nonce, which is new each time.
        answer.lines().map(|line| line.split("nonce").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for method in ["DESCRIBE", "SETUP", "PLAY", "GET_PARAMETER"] {
        let (real, unreal) = (ask(method, id.as_str()).await, ask(method, &other).await);
        assert_eq!(real, unreal, "a camera that is there answers like one that is not");
        assert!(real[0].contains("401") && real.iter().any(|line| line.contains("WWW-Authenticate: Digest")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_close_the_connection() {
    let house = House::start().await;
    let wrong = "DESCRIBE rtsp://h/x/main RTSP/1.0\r\nCSeq: 1\r\nAuthorization: Digest username=\"nobody\", \
                 realm=\"sharp-eyes\", nonce=\"x\", uri=\"rtsp://h/x/main\", response=\"00\"\r\n\r\n";
    let (answer, closed) = say(house.rtsp, wrong.repeat(5).as_bytes()).await;
    assert_eq!(answer.matches("401 Unauthorized").count(), 3, "{answer}");
    assert!(closed);
}

/// A client that can sign its requests.
struct Client {
    stream: TcpStream,
    nonce: String,
    login: String,
    key: String,
    buffer: Vec<u8>,
}

impl Client {
    async fn new(address: SocketAddr, key: &crate::support::client::Key) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"DESCRIBE rtsp://h/x/main RTSP/1.0\r\nCSeq: 1\r\n\r\n").await.unwrap();
        let (answer, _) = read_all(&mut stream).await;
        let nonce = answer.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        Self { stream, nonce, login: key.login.clone(), key: key.key.clone(), buffer: Vec::new() }
    }

    async fn ask(&mut self, method: &str, uri: &str, headers: &str) -> String {
        use media::rtsp::digest::{Ha1, REALM, respond};
        let response = respond(&Ha1::new(&self.login, &self.key), &self.nonce, method, uri);
        let text = format!(
            "{method} {uri} RTSP/1.0\r\nCSeq: 2\r\n{headers}Authorization: Digest username=\"{}\", \
             realm=\"{REALM}\", nonce=\"{}\", uri=\"{uri}\", algorithm=SHA-256, response=\"{response}\"\r\n\r\n",
            self.login, self.nonce
        );
        self.stream.write_all(text.as_bytes()).await.unwrap();
        // Frames may come before the answer while it plays.
        loop {
            match message::parse(&self.buffer).unwrap() {
                Some((Message::Response(_), used)) => {
                    let answer = self.buffer.drain(..used).collect();
                    return String::from_utf8(answer).unwrap();
                }
                Some((_, used)) => drop(self.buffer.drain(..used)),
                None => {
                    let reading = self.stream.read_buf(&mut self.buffer);
                    let read = tokio::time::timeout(Duration::from_secs(10), reading).await;
                    assert!(read.expect("an answer").unwrap() > 0, "closed before the answer");
                }
            }
        }
    }
}

fn session_of(answer: &str) -> String {
    answer.split("Session: ").nth(1).unwrap().split(';').next().unwrap().to_owned()
}

const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_belongs_to_its_connection() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let url = format!("rtsp://h/{id}/main");
    let mut first = Client::new(house.rtsp, &key).await;
    assert!(first.ask("DESCRIBE", &url, "").await.contains("m=video 0 RTP/AVP 96"));
    let answer = first.ask("SETUP", &format!("{url}/track=video"), TCP).await;
    let session = session_of(&answer);

    // The same key on another connection cannot use it.
    let mut second = Client::new(house.rtsp, &key).await;
    let header = format!("Session: {session}\r\n");
    for method in ["PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"] {
        assert!(second.ask(method, &url, &header).await.contains("454"), "{method}");
    }
    // A wrong session id on the right connection neither.
    assert!(first.ask("PLAY", &url, "Session: 0000\r\n").await.contains("454"));
    let playing = first.ask("PLAY", &url, &header).await;
    assert!(playing.contains("200 OK") && playing.contains("RTP-Info: url="), "{playing}");
}

/// C17: a session from another connection, as another person, by guessing, and
/// after its end: 10,000 tries.
#[tokio::test(flavor = "multi_thread")]
async fn c17_nobody_takes_over_a_session() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let another = house.sign_in_as(Role::Patrol).await.key().await;
    let url = format!("rtsp://h/{id}/main");
    let track = format!("{url}/track=video");
    let mut playing = Client::new(house.rtsp, &key).await;
    let session = session_of(&playing.ask("SETUP", &track, TCP).await);
    let header = format!("Session: {session}\r\n");
    assert!(playing.ask("PLAY", &url, &header).await.contains("200 OK"));
    let mut ended = Client::new(house.rtsp, &key).await;
    let over = session_of(&ended.ask("SETUP", &track, TCP).await);
    let over = format!("Session: {over}\r\n");
    assert!(ended.ask("TEARDOWN", &url, &over).await.contains("200 OK"));
    let mut thieves = Vec::new();
    for key in [&key, &another] {
        let mut thief = Client::new(house.rtsp, key).await;
        let own = session_of(&thief.ask("SETUP", &track, TCP).await);
        thieves.push((thief, own));
    }
    let methods = ["PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER"];
    let mut tries = 0;
    while tries < 10_000 {
        for method in methods {
            for (thief, own) in &mut thieves {
                let guessed = format!("Session: {}\r\n", web::token::hex(&web::token::random::<8>()));
                let near = format!("Session: {}0\r\n", own);
                for tried in [&header, &over, &guessed, &near] {
                    let answer = thief.ask(method, &url, tried).await;
                    assert!(answer.contains(" 454 "), "{method} with {tried}: {answer}");
                    tries += 1;
                }
            }
        }
    }
    // And whose it is plays on.
    assert!(playing.ask("GET_PARAMETER", &url, &header).await.contains("200 OK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_methods_answer_as_the_rfc_says() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let url = format!("rtsp://h/{id}/main");
    let mut client = Client::new(house.rtsp, &key).await;
    let status = |answer: &str| answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut ask = async |method: &str, uri: &str, headers: &str| {
        let answer = client.ask(method, uri, headers).await;
        (status(&answer), answer)
    };
    assert_eq!(ask("PLAY", &url, "").await.0, "454", "before SETUP");
    assert_eq!(ask("SETUP", &url, TCP).await.0, "459", "not a track");
    let track = format!("{url}/track=video");
    assert_eq!(ask("SETUP", &track, "Transport: RTP/AVP;multicast\r\n").await.0, "461");
    assert_eq!(ask("SETUP", &track, "Transport: RTP/AVP;unicast;client_port=80-81\r\n").await.0, "461");
    assert_eq!(ask("RECORD", &url, "").await.0, "405");
    assert_eq!(ask("FROBNICATE", &url, "").await.0, "501");
    assert_eq!(ask("DESCRIBE", &format!("rtsp://h/{}/main", "0".repeat(32)), "").await.0, "404");
    let (code, answer) = ask("SETUP", &track, TCP).await;
    assert_eq!(code, "200");
    let session = format!("Session: {}\r\n", session_of(&answer));
    assert_eq!(ask("PLAY", &url, &session).await.0, "200");
    assert_eq!(ask("PAUSE", &url, &session).await.0, "200");
    assert_eq!(ask("GET_PARAMETER", &url, &session).await.0, "200");
    assert_eq!(ask("SET_PARAMETER", &url, &session).await.0, "200");
    assert_eq!(ask("PLAY", &url, &session).await.0, "200");
    assert_eq!(ask("TEARDOWN", &url, &session).await.0, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_ends_with_its_key() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let (key, other) = (patrol.key().await, patrol.key().await);
    let play = async |key: &crate::support::client::Key| {
        let login = Some((key.login.as_str(), key.key.as_str()));
        camsim::viewers::Viewer::play(house.rtsp, &format!("{id}/main"), login).await
    };
    let (mut ends, mut stays) = (play(&key).await.unwrap(), play(&other).await.unwrap());
    assert_eq!(patrol.delete(&format!("/api/v1/viewer-keys/{}", key.id)).await, 204);
    let end = tokio::time::Instant::now() + Duration::from_secs(2);
    assert!(ends.drain(end).await.is_err(), "it is closed within two seconds");
    let end = tokio::time::Instant::now() + Duration::from_secs(1);
    assert!(stays.drain(end).await.unwrap() > 0, "the other key goes on");
    assert!(play(&key).await.is_err());
}
