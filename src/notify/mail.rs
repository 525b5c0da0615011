//! Letters, by SMTP. The server's name is looked up and checked as every other address,
//! and its certificate must be for that name.

use super::guard::Guard;
use super::{Adapter, Envelope, Failed, To};
use crate::settings::{Mail, MailTls};
use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use std::time::Duration;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Mailer {
    settings: Mail,
    guard: Guard,
    tls: Tls,
}

impl Mailer {
    pub(super) fn new(settings: Mail, guard: Guard) -> Result<Self, Error> {
        let parameters = || TlsParameters::new_rustls(settings.host.clone());
        let tls = match settings.tls {
            MailTls::Wrapped => Tls::Wrapper(parameters()?),
            MailTls::StartTls => Tls::Required(parameters()?),
            MailTls::Off => Tls::None,
        };
        Ok(Self { settings, guard, tls })
    }

    /// The letter. Sent again it has the same Message-ID, by which mailboxes know it.
    fn letter(&self, envelope: &Envelope, to: &str) -> Option<Message> {
        let mailbox = |text: &str| Some(Mailbox::new(None, text.parse::<Address>().ok()?));
        let host = self.settings.from.split_once('@')?.1;
        let link = envelope.link.as_deref().map(|link| format!("\n\n{link}")).unwrap_or_default();
        let mut builder = Message::builder()
            .from(mailbox(&self.settings.from)?)
            .to(mailbox(to)?)
            .subject(envelope.text.title.clone())
            .message_id(Some(format!("<{}@{host}>", envelope.id)))
            .header(ContentType::TEXT_PLAIN);
        // No machine answers it, and none takes it for a list.
        let auto = HeaderName::new_from_ascii_str("Auto-Submitted");
        builder = builder.raw_header(HeaderValue::new(auto, "auto-generated".to_owned()));
        if envelope.urgent {
            let importance = HeaderName::new_from_ascii_str("Importance");
            builder = builder.raw_header(HeaderValue::new(importance, "high".to_owned()));
        }
        builder.body(format!("{}\n\n{}{link}\n", envelope.text.title, envelope.text.body)).ok()
    }
}

#[async_trait]
impl Adapter for Mailer {
    async fn send(&self, envelope: &Envelope) -> Result<(), Failed> {
        let To::Mail(to) = &envelope.to else { return Err(Failed::Gone) };
        let settings = &self.settings;
        let tls = settings.tls != MailTls::Off;
        let found = self.guard.resolve(&settings.host, settings.port, tls).await;
        let server = found.map_err(|why| Failed::Later(why.to_string()))?;
        let server =
            server.first().ok_or_else(|| Failed::Later("the mail server has no address".to_owned()))?;
        let letter = self.letter(envelope, to).ok_or(Failed::Gone)?;
        // Not the name: it was looked up, and what was found was checked.
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.ip().to_string())
            .port(settings.port)
            .tls(self.tls.clone())
            .hello_name(ClientId::Domain("sharp-eyes".to_owned()))
            .timeout(Some(PATIENCE));
        if let Some((login, password)) = &settings.login {
            transport = transport.credentials(Credentials::new(login.clone(), password.expose().to_owned()));
        }
        transport.build().send(letter).await.map(|_| ()).map_err(|error| failed(&error))
    }
}

/// What an answer's code means (RFC 5321, 4.2.3; RFC 4954, 6).
fn failed(error: &Error) -> Failed {
    let code = error.status().map(u16::from);
    match code {
        Some(421 | 450 | 451 | 452 | 454) => {
            Failed::Later(format!("the mail server says {}", code.unwrap_or(0)))
        }
        Some(550 | 551 | 553) => Failed::Gone,
        Some(code) if error.is_permanent() => Failed::Refused(format!(
            "the mail server refuses it with {code}; check mail.username, mail.password and mail.from"
        )),
        _ if error.is_timeout() => Failed::Later("the mail server did not answer in time".to_owned()),
        _ => Failed::Later("the mail server cannot be talked to".to_owned()),
    }
}
