//! The ways out of the house, each against what stands for its service: signatures, bodies,
//! languages, and being told to be slower.

use crate::support::browser::{Browser, sender};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::fake::{Fake, Say, Seen, say};
use crate::support::folder::Folder;
use crate::support::leaks;
use crate::support::mailbox::Mailbox;
use crate::support::process::{Gateway, serve};
use crate::support::wrapped::Wrapped;
use crate::support::{House, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::message::contact::Contact;
use domain::message::repository::{Contacts as _, Messages as _};
use domain::message::{Message, State};
use domain::person::Person;
use domain::repository::Rights as _;
use domain::role::Role;
use domain::{Clock as _, IncidentId, PlaceId, Secret};
use ring::hmac;
use serde_json::{Value, json};
use sharp_eyes::notify::webhook::{Found, Verifier, key};
use sqlx::Connection as _;
use std::net::SocketAddr;
use std::time::Duration;
use web::token::new;

const ALLOW: &str = "[notify]\nallow_networks = [\"127.0.0.0/8\"]\n";
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

/// A secret that no log and no database may hold.
fn secret() -> String {
    let secret = new();
    leaks::secret(&secret);
    secret
}

async fn raise(house: &House, client: &Client, kind: &str) -> IncidentId {
    let (status, receipt) =
        client.post("/api/v1/alarms", json!({ "kind": kind, "place_id": house.gate })).await;
    assert_eq!(status.as_u16(), 201, "{receipt}");
    IncidentId::parse(receipt["incident_id"].as_str().unwrap()).unwrap()
}

/// A house with these ways out, and its desk.
async fn house(more: &str) -> (House, Client) {
    let house = House::start_with(Database::Sqlite, more).await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    (house, desk)
}

/// Waits until a message of the incident is as it should be.
async fn message(house: &House, id: &IncidentId, is: impl Fn(&Message) -> bool) -> Message {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let messages = house.store.messages(id).await.unwrap();
        if let Some(message) = messages.iter().find(|message| is(message)) {
            return message.clone();
        }
        assert!(tokio::time::Instant::now() < limit, "{messages:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_sent(message: &Message) -> bool {
    message.state == State::Sent
}

/// A worker who is called first, whose page is in English.
async fn english(house: &House, contact: Contact) -> Person {
    let person = house.person("worker").await;
    house.sql("update persons set locale = 'en' where login = 'worker'").await;
    house.store.add_grant(&house.grant(&person, Role::GridWorker1)).await.unwrap();
    house.store.set_contact(&person.id, &contact).await.unwrap();
    person
}

/// A text that was signed by the vendor's own rule.
fn mac(key: &str, text: &str) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn c40_a_receiver_of_our_webhooks_takes_each_once_and_nothing_that_is_not_ours() {
    let fake = Fake::start(say(500, "")).await;
    let whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (house, desk) = house(&format!(
        "{ALLOW}[[notify.webhook]]\nname = \"crm\"\nlocale = \"en\"\nurl = \"{}\"\nkey = \"{whsec}\"\n",
        fake.url("/hook?tenant=7")
    ))
    .await;
    let id = raise(&house, &desk, "medical").await;
    fake.asked(1).await;
    message(&house, &id, |message| message.reason.is_some()).await;
    fake.will(&[say(204, "")]);
    house.clock.jump(6 * SECOND);
    let seen = fake.asked(2).await;
    message(&house, &id, is_sent).await;
    let mut verifier = Verifier::new(key(&Secret::new(whsec)).unwrap());
    let now = house.clock.now().0 / SECOND;
    let mut check = |seen: &Seen, body: &[u8], now: i64| {
        let header = |name: &str| seen.header(name).to_owned();
        let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
        verifier.check(&id, &at, &header("webhook-signature"), body, now)
    };
    assert_eq!(check(&seen[0], b"{}", now), Found::Forged);
    assert_eq!(check(&seen[0], &seen[0].body, now + 400), Found::Old);
    assert_eq!(check(&seen[0], &seen[0].body, now), Found::New);
    assert_eq!(check(&seen[1], &seen[1].body, now), Found::Again, "sent again, signed anew: the same id");
    assert_ne!(seen[0].header("webhook-timestamp"), seen[1].header("webhook-timestamp"));
    assert_eq!(seen[0].query["tenant"], "7");
    let body = seen[0].json();
    assert_eq!(body["id"], seen[0].header("webhook-id"));
    assert_eq!((&body["kind"], &body["urgent"]), (&json!("medical"), &json!(true)));
    assert_eq!(body["incident_id"], json!(id));
    assert!(body["text"].as_str().unwrap().contains("Nobody has taken it yet"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_of_wecom_is_told_and_rests_when_it_is_told_to() {
    let fake = Fake::start(say(200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#)).await;
    let bot = secret();
    let (house, desk) = house(&format!(
        "{ALLOW}[[notify.wecom]]\nname = \"staff\"\nurl = \"{}\"\nkey = \"{bot}\"\n",
        fake.url("/cgi-bin/webhook/send")
    ))
    .await;
    let id = raise(&house, &desk, "panic").await;
    let seen = fake.asked(1).await;
    assert_eq!((seen[0].path.as_str(), &seen[0].query["key"]), ("/cgi-bin/webhook/send", &bot));
    let body = seen[0].json();
    let text = body["text"]["content"].as_str().unwrap();
    assert!(body["msgtype"] == "text" && text.starts_with("紧急求助：幸福里 east gate\n"), "{body}");
    let waiting = message(&house, &id, |message| message.reason.is_some()).await;
    assert_eq!((waiting.state, waiting.attempt), (State::Waiting, 0), "to be told to wait is no try");
    assert!(text.ends_with(&format!("#{}", &waiting.id.as_str()[..8])), "{text}");
    let wait = (waiting.due_at.0 - house.clock.now().0) / SECOND;
    assert!((50..=60).contains(&wait), "{wait} s");
    // Though another waits, and time has jumped, nothing goes there before a minute has passed.
    fake.will(&[say(200, r#"{"errcode":0,"errmsg":"ok"}"#)]);
    raise(&house, &desk, "fire").await;
    house.clock.jump(10 * MINUTE);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_what_cannot_be_reached_is_not_named_with_its_key() {
    // Whoever had the ports has gone.
    let closed = Fake::start(say(200, "")).await.address;
    let bots = ["wecom", "dingtalk", "feishu"].map(|kind| {
        let token = if kind == "wecom" { String::new() } else { format!("token = \"{}\"\n", secret()) };
        format!(
            "[[notify.{kind}]]\nname = \"staff\"\nurl = \"http://{closed}/\"\nkey = \"{}\"\n{token}",
            secret()
        )
    });
    let (house, desk) = house(&format!("{ALLOW}{}", bots.concat())).await;
    let id = raise(&house, &desk, "panic").await;
    for kind in ["wecom", "dingtalk", "feishu"] {
        let waiting =
            message(&house, &id, |message| message.lane.starts_with(kind) && message.reason.is_some()).await;
        let why = waiting.reason.unwrap();
        assert!(["it cannot be connected to", "the connection broke"].contains(&why.as_str()), "{why}");
    }
    // Logs and database are searched for the keys when the house ends.
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_of_dingtalk_is_told_with_its_signature() {
    let fake = Fake::start(say(200, r#"{"errcode":0,"errmsg":"ok"}"#)).await;
    let (token, secret) = (secret(), secret());
    let (house, desk) = house(&format!(
        "{ALLOW}[[notify.dingtalk]]\nname = \"staff\"\nlocale = \"en\"\nurl = \"{}\"\ntoken = \"{token}\"\nkey = \"{secret}\"\n",
        fake.url("/robot/send")
    ))
    .await;
    let id = raise(&house, &desk, "intrusion").await;
    let seen = fake.asked(1).await;
    let query = &seen[0].query;
    assert_eq!(query["access_token"], token);
    let age = house.clock.now().0 / 1_000 - query["timestamp"].parse::<i64>().unwrap();
    assert!((0..60_000).contains(&age), "milliseconds: {age}");
    assert_eq!(query["sign"], mac(&secret, &format!("{}\n{secret}", query["timestamp"])));
    let body = seen[0].json();
    assert!(
        body["text"]["content"].as_str().unwrap().starts_with("Intrusion alarm: 幸福里 east gate\n"),
        "{body}"
    );
    message(&house, &id, is_sent).await;
    // A bot that was too fast is shut out for ten minutes, and one that is refused is given up.
    fake.will(&[
        say(200, r#"{"errcode":310000,"errmsg":"sign not match"}"#),
        say(200, r#"{"errcode":130101}"#),
    ]);
    let id = raise(&house, &desk, "fire").await;
    let failed = message(&house, &id, |message| message.state == State::Failed).await;
    assert!(failed.reason.as_deref().unwrap().contains("310000"), "{failed:?}");
    let id = raise(&house, &desk, "medical").await;
    let waiting = message(&house, &id, |message| message.reason.is_some()).await;
    let wait = (waiting.due_at.0 - house.clock.now().0) / SECOND;
    assert!((580..=600).contains(&wait), "{wait} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_of_feishu_is_told_with_its_signature() {
    let fake = Fake::start(say(200, r#"{"code":0,"msg":"success"}"#)).await;
    let (token, secret) = (secret(), secret());
    let (house, desk) = house(&format!(
        "{ALLOW}[[notify.feishu]]\nname = \"staff\"\nurl = \"{}\"\ntoken = \"{token}\"\nkey = \"{secret}\"\n",
        fake.url("/open-apis/bot/v2/hook/")
    ))
    .await;
    let id = raise(&house, &desk, "fire").await;
    let seen = fake.asked(1).await;
    assert_eq!(seen[0].path, format!("/open-apis/bot/v2/hook/{token}"));
    let body = seen[0].json();
    let at = body["timestamp"].as_str().unwrap();
    let age = house.clock.now().0 / SECOND - at.parse::<i64>().unwrap();
    assert!((0..60).contains(&age), "seconds: {age}");
    assert_eq!(body["sign"], mac(&format!("{at}\n{secret}"), ""));
    assert_eq!(body["msg_type"], "text");
    assert!(body["content"]["text"].as_str().unwrap().contains("尚无人接警"), "{body}");
    message(&house, &id, is_sent).await;
    for (answer, what) in [
        (say(200, r#"{"code":19021,"msg":"sign match fail"}"#), "19021"),
        (say(400, r#"{"code":11232,"msg":"frequency limited"}"#), "60 s"),
    ] {
        fake.will(&[answer]);
        let kind = if what == "19021" { "medical" } else { "panic" };
        let id = raise(&house, &desk, kind).await;
        let message = message(&house, &id, |message| message.reason.is_some()).await;
        assert!(message.reason.as_deref().unwrap().contains(what), "{message:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_arrives_in_the_language_of_its_reader() {
    let mailbox = Mailbox::start().await;
    let password = secret();
    let (house, desk) = house(&format!(
        "{ALLOW}[mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"off\"\nusername = \"eyes\"\npassword = \"{password}\"\n\
         from = \"alarms@example.net\"\n",
        mailbox.address.port()
    ))
    .await;
    let to = Contact { mail: Some("worker@example.net".into()), ..Contact::default() };
    english(&house, to).await;
    mailbox.says("451 try again later");
    let id = raise(&house, &desk, "panic").await;
    let first = message(&house, &id, |message| message.reason.is_some()).await;
    assert_eq!((first.state, first.attempt), (State::Waiting, 1));
    mailbox.says("250 ok");
    house.clock.jump(6 * SECOND);
    message(&house, &id, is_sent).await;
    let letter = mailbox.letters().remove(0);
    assert_eq!(letter.login, format!("eyes:{password}"));
    assert!(
        letter.from.contains("<alarms@example.net>") && letter.to.contains("<worker@example.net>"),
        "{letter:?}"
    );
    assert_eq!(letter.header("message-id"), format!("<{}@example.net>", first.id));
    assert_eq!(
        (letter.header("importance").as_str(), letter.header("auto-submitted").as_str()),
        ("high", "auto-generated")
    );
    let body = letter.body();
    assert!(
        body.contains("Call for help: 幸福里 east gate") && body.contains("Take it in Sharp Eyes"),
        "{body}"
    );
    assert!(!letter.text.contains("name of"), "{letter:?}");
    // Nobody is there; and a server that refuses us.
    for (says, kind, what) in
        [("550 no such user", "fire", "gone"), ("554 not you", "medical", "mail.username")]
    {
        mailbox.says(says);
        let id = raise(&house, &desk, kind).await;
        let failed = message(&house, &id, |message| message.state == State::Failed).await;
        assert!(failed.reason.as_deref().unwrap().contains(what), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_asked_as_its_template_says() {
    let fake = Fake::start(say(200, "code=0")).await;
    let key = secret();
    let (house, desk) = house(&format!(
        "{ALLOW}[voice]\nurl = \"{}\"\nmethod = \"PUT\"\nkey = \"{key}\"\nexpect = \"code=0\"\n\
         headers = {{ \"content-type\" = \"application/x-www-form-urlencoded\", \"authorization\" = \"Bearer {{key}}\" }}\n\
         body = \"to={{phone}}&say={{title}}%20{{text}}&id={{id}}\"\n\
         [sms]\nurl = \"{}\"\nmethod = \"GET\"\n",
        fake.url("/call/{phone}"),
        fake.url("/send?to={phone}&text={kind_text}%20{point}&key={key}").replace("&key={key}", "&lang={locale}"),
    ))
    .await;
    english(&house, Contact { phone: Some("+8613800138000".into()), ..Contact::default() }).await;
    let id = raise(&house, &desk, "fire").await;
    let seen = fake.asked(2).await;
    let call = seen.iter().find(|seen| seen.method == "PUT").unwrap();
    assert_eq!(
        (call.path.as_str(), call.header("authorization")),
        ("/call/%2B8613800138000", format!("Bearer {key}").as_str())
    );
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&call.body).into_owned().collect();
    assert_eq!(form[0], ("to".into(), "+8613800138000".into()));
    assert!(form[1].1.starts_with("Fire alarm: 幸福里 east gate 20"), "{form:?}");
    let text = seen.iter().find(|seen| seen.method == "GET").unwrap();
    assert_eq!(
        (text.query["text"].as_str(), text.query["lang"].as_str()),
        ("Fire alarm 幸福里 east gate", "en")
    );
    message(&house, &id, |message| message.lane == "voice" && is_sent(message)).await;
    // A status that says yes, and a text that says no.
    fake.will(&[say(200, "code=1")]);
    let id = raise(&house, &desk, "medical").await;
    let waiting = message(&house, &id, |message| message.lane == "voice" && message.reason.is_some()).await;
    assert_eq!((waiting.state, waiting.attempt), (State::Waiting, 1));
    let sent = message(&house, &id, |message| message.lane == "sms" && is_sent(message)).await;
    assert_eq!(sent.attempt, 1, "the other expects nothing of the text");
}

/// A gateway of its own beside this test, so that it has authorities of its own to trust; and a
/// cookie of its desk. Letters go to one address, and a webhook to another, both by TLS.
async fn trusting(
    authorities: &str,
    mail: SocketAddr,
    hook: SocketAddr,
) -> (Gateway, Client, PlaceId, Folder) {
    let house = House::start().await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    english(&house, Contact { mail: Some("worker@example.net".into()), ..Contact::default() }).await;
    let (gate, settings) = (house.gate.clone(), house.settings.clone());
    let folder = house.stop().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[rtsp]\nlisten = \"\"\n[webrtc]\nlisten = \"\"\n\
         [database]\nurl = \"{}\"\n[secrets]\nkey_file = \"{}\"\n[audit]\nspool_file = \"\"\n[log]\nfilter = \"error\"\n\
         {ALLOW}[[notify.webhook]]\nname = \"crm\"\nurl = \"https://{hook}/hook\"\n\
         key = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n\
         [mail]\nhost = \"127.0.0.1\"\nport = {}\nfrom = \"alarms@example.net\"\n",
        settings.database,
        settings.key_file.display(),
        mail.port()
    );
    std::fs::write(folder.path("config.toml"), config).unwrap();
    std::fs::write(folder.path("authorities.pem"), authorities).unwrap();
    let mut command = serve(&folder);
    command.env("SSL_CERT_FILE", folder.path("authorities.pem"));
    let gateway = Gateway::start(command);
    let mut client = Client::new(gateway.address);
    client.cookie = desk.cookie;
    (gateway, client, gate, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_and_requests_go_by_tls_to_whom_the_machine_trusts_and_to_nobody_else() {
    let (mailbox, fake) = (Mailbox::start().await, Fake::start(say(200, "")).await);
    let (mail, hook) = (Wrapped::start(mailbox.address).await, Wrapped::start(fake.address).await);
    let stranger = Wrapped::start(fake.address).await;
    for (authorities, trusted) in
        [(stranger.authority.clone(), false), (mail.authority.clone() + &hook.authority, true)]
    {
        let (gateway, client, gate, folder) = trusting(&authorities, mail.address, hook.address).await;
        let press = json!({ "kind": "fire", "place_id": gate });
        let (status, receipt) = client.post("/api/v1/alarms", press).await;
        assert_eq!(status.as_u16(), 201, "{receipt}");
        if trusted {
            fake.asked(1).await;
            until(|| !mailbox.letters().is_empty()).await;
            assert!(mailbox.letters()[0].body().contains("Fire alarm"), "{:?}", mailbox.letters());
        } else {
            // Both were tried, and it is kept that nobody could be talked to.
            let mut connection =
                sqlx::AnyConnection::connect(&format!("sqlite:{}", folder.path("test.db").display()))
                    .await
                    .unwrap();
            let tried = "select count(*) from messages where attempt > 0 and reason is not null";
            let limit = tokio::time::Instant::now() + Duration::from_secs(30);
            while sqlx::query_scalar::<_, i64>(tried).fetch_one(&mut connection).await.unwrap() < 2 {
                assert!(tokio::time::Instant::now() < limit, "both are tried");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(fake.seen().is_empty() && mailbox.letters().is_empty());
        }
        drop(gateway);
    }
}

/// Web Push to the fake's network, or to none.
fn push(allowed: bool) -> String {
    let key = std::env::temp_dir().join(format!("sharp-eyes-push-{}.key", new()));
    let networks = if allowed { "\"127.0.0.0/8\"" } else { "" };
    format!(
        "{ALLOW}[push]\ncontact = \"mailto:alarms@example.net\"\nallow_networks = [{networks}]\nkey_file = \"{}\"\n",
        key.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_reads_what_its_push_service_cannot() {
    let fake = Fake::start(say(201, "")).await;
    let (house, desk) = house(&push(true)).await;
    let person = english(&house, Contact::default()).await;
    let client = house.signed_in(&person).await;
    let browser = Browser::new();
    let subscription = browser.subscribe(&house, &person, &fake.url("/push/abc")).await;
    let id = raise(&house, &desk, "panic").await;
    let seen = fake.asked(1).await;
    let message_sent = message(&house, &id, is_sent).await;
    assert_eq!(seen[0].path, "/push/abc");
    let told: Value = browser.read(&seen[0]);
    assert_eq!(told["title"], "Call for help: 幸福里 east gate");
    assert_eq!((&told["incident_id"], &told["id"]), (&json!(id), &json!(message_sent.id)));
    assert!(!String::from_utf8_lossy(&seen[0].body).contains("east gate"));
    assert_eq!((seen[0].header("urgency"), seen[0].header("ttl")), ("high", "600"));
    assert_eq!(seen[0].header("topic"), message_sent.id.as_str());
    let claims = sender(&seen[0], client.get("/api/v1/contact").await.1["push_key"].as_str().unwrap());
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!(fake.url("")), &json!("mailto:alarms@example.net")));
    let good_for = claims["exp"].as_i64().unwrap() - house.clock.now().0 / SECOND;
    assert!((1..=24 * 3_600).contains(&good_for), "{good_for}");

    // Another's service that wants a pause makes nobody else wait, and may not say so for ever.
    let slow = Say(429, vec![("retry-after", "3600")], String::new(), Duration::ZERO);
    fake.will(&[slow]);
    let id = raise(&house, &desk, "fire").await;
    let waiting = message(&house, &id, |message| message.reason.is_some()).await;
    assert_eq!((waiting.state, waiting.attempt), (State::Waiting, 1));
    // 410: the browser has taken it back, so it is forgotten.
    fake.will(&[say(410, "")]);
    let id = raise(&house, &desk, "medical").await;
    message(&house, &id, |message| message.state == State::Failed).await;
    assert_eq!(house.store.subscription(&subscription, house.clock.now()).await.unwrap(), None);
    assert_eq!(client.get("/api/v1/contact").await.1["push_here"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_a_browser_sends_us_into_no_network_of_ours() {
    let fake = Fake::start(say(201, "")).await;
    // What a channel may reach, a browser may not have us reach.
    let (house, desk) = house(&push(false)).await;
    let person = english(&house, Contact::default()).await;
    let browsers = [
        fake.url("/1"),
        format!("http://localhost:{}/2", fake.address.port()),
        format!("https://127.0.0.1:{}/3", fake.address.port()),
        format!("http://0x7f000001:{}/4", fake.address.port()),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "ftp://example.net/".to_owned(),
    ];
    for endpoint in &browsers {
        house.signed_in(&person).await;
        Browser::new().subscribe(&house, &person, endpoint).await;
        // The newest session is the one that was made last.
        house.clock.jump(SECOND);
    }
    let id = raise(&house, &desk, "panic").await;
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    let messages = loop {
        let messages = house.store.messages(&id).await.unwrap();
        if messages.len() == browsers.len() && messages.iter().all(|message| message.state == State::Failed) {
            break messages;
        }
        assert!(tokio::time::Instant::now() < limit, "{messages:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for message in messages {
        let why = message.reason.unwrap();
        assert!(why.contains("allow") || why.contains("https://"), "{why}");
    }
    assert_eq!(fake.seen().len(), 0);
}
