//! `sharp-eyes`: parse → settings → build → run → exit code.

use clap::{Parser, Subcommand};
use sharp_eyes::clock::SystemClock;
use sharp_eyes::{App, Listeners, Settings, admin, app, audit, demo};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};
use web::tls::Tls;

/// Counts what each camera's session holds, so that none can take all there is.
#[global_allocator]
static ALLOCATOR: meter::Metered = meter::Metered;

/// A gateway that registers cameras, proxies their streams to approved viewers
/// and records door and alarm events.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the gateway.
    Serve {
        /// Settings that differ from config/default.toml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Reads the settings and says whether they are right.
    CheckConfig {
        /// The file to check.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// What has to work when nobody can sign in.
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
    },
    /// Looks after the registers.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Fills a fresh folder with the demo's sites, cameras, people and devices.
    #[command(hide = true)]
    SeedDemo(demo::Arguments),
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Gives somebody a new password, prints it, signs them out everywhere and
    /// removes their passkeys.
    ResetPassword {
        /// What they sign in with.
        login: String,
        /// Settings that differ from config/default.toml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Makes an owner and prints their password, once.
    CreateOwner {
        /// What they will sign in with.
        login: String,
        /// What others call them.
        #[arg(long)]
        name: String,
        /// The language of their pages: zh-CN or en.
        #[arg(long)]
        locale: Option<String>,
        /// Settings that differ from config/default.toml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Removes all events that are older than events.keep_days. The gateway does that by
    /// itself, but never many at once: its clock might be wrong.
    RemoveOldEvents {
        /// Settings that differ from config/default.toml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Seals all camera passwords and player keys with a new key. The gateway must be stopped.
    RotateKey {
        /// Settings that differ from config/default.toml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Checks that nothing in the registers was changed, put in or taken out.
    Verify {
        /// Settings that differ from config/default.toml.
        #[arg(long)]
        config: Option<PathBuf>,
        /// A file with heads that were noted, besides the one in the settings.
        #[arg(long)]
        anchor: Option<PathBuf>,
    },
}

/// Settings or usage are wrong.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    meter::return_large_blocks();
    match Arguments::parse().command {
        Command::CheckConfig { config } => match Settings::load(config.as_deref()) {
            Ok(_) => {
                say("the settings are right");
                ExitCode::SUCCESS
            }
            Err(why) => wrong(&why),
        },
        Command::Serve { config } => match Settings::load(config.as_deref()) {
            Ok(settings) => serve(settings).await,
            Err(why) => wrong(&why),
        },
        Command::Admin { command } => administer(command).await,
        Command::Audit { command: AuditCommand::Verify { config, anchor } } => {
            match Settings::load(config.as_deref()) {
                Ok(settings) => verify(&settings, anchor).await,
                Err(why) => wrong(&why),
            }
        }
        Command::SeedDemo(arguments) => match demo::seed(&arguments).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("the demo cannot be prepared: {why}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Prints a line. Whoever has closed the terminal, or the pipe, does not stop the work.
fn say(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        warn!(%error, "what should have been printed could not be; start again with a terminal to see it");
    }
}

async fn administer(command: AdminCommand) -> ExitCode {
    let config = match &command {
        AdminCommand::ResetPassword { config, .. }
        | AdminCommand::CreateOwner { config, .. }
        | AdminCommand::RemoveOldEvents { config }
        | AdminCommand::RotateKey { config } => config.as_deref(),
    };
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(why) => return wrong(&why),
    };
    let done = match command {
        AdminCommand::ResetPassword { login, .. } => {
            let password = admin::reset_password(&settings, &login).await;
            password
                .map(|password| format!("the new password of {login} is {password}"))
                .map_err(|why| format!("the password was not changed: {why}"))
        }
        AdminCommand::CreateOwner { login, name, locale, .. } => {
            let password = admin::create_owner(&settings, &login, &name, locale).await;
            password
                .map(|password| format!("{login} is an owner; the password is {password}"))
                .map_err(|why| format!("no owner was made: {why}"))
        }
        AdminCommand::RemoveOldEvents { .. } => {
            let removed = admin::remove_old_events(&settings).await;
            removed
                .map(|events| format!("{events} events that were older than events.keep_days are removed"))
                .map_err(|why| format!("old events were not removed: {why}"))
        }
        AdminCommand::RotateKey { .. } => {
            let file = settings.key_file.display();
            let secrets = admin::rotate_key(&settings).await;
            secrets
                .map(|n| {
                    format!("{n} secrets are sealed with the new key in {file}; back it up with the database")
                })
                .map_err(|why| format!("the key was not changed: {why}"))
        }
    };
    match done {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn wrong(why: &sharp_eyes::settings::Error) -> ExitCode {
    eprintln!("the settings are wrong: {why}");
    ExitCode::from(USAGE)
}

async fn verify(settings: &Settings, anchor: Option<PathBuf>) -> ExitCode {
    let check = async {
        let mut published = Vec::new();
        for path in settings.anchor.iter().chain(anchor.iter()) {
            published.extend(audit::read_anchor(path).map_err(|why| why.to_string())?);
        }
        let store = app::open_store(settings).await.map_err(|why| why.to_string())?;
        audit::verify(&store, published).await.map_err(|why| why.to_string())
    };
    match check.await {
        Ok(head) => {
            say(&format!("the registers are whole; the chain ends with {}", audit::line(&head)));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("the registers are NOT whole: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: Settings) -> ExitCode {
    // What the pool of connections says each time it tries again, the store says once.
    let log = if settings.log.contains("sqlx") { "" } else { ",sqlx_core::pool=off" };
    let filter = tracing_subscriber::EnvFilter::try_new(settings.log.clone() + log);
    let Ok(filter) = filter else {
        eprintln!(
            "the settings are wrong: log.filter: {:?} is not understood; write info or debug",
            settings.log
        );
        return ExitCode::from(USAGE);
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Where the log is on a disk that takes nothing, saying so there as well would be a panic.
    log.log_internal_errors(false).init();
    let built = async {
        Ok((Listeners::bind(&settings).await?, App::build(&settings, Arc::new(SystemClock)).await?))
    };
    let (listeners, app) = match built.await {
        Ok(built) => built,
        Err::<_, sharp_eyes::app::BuildError>(why) => {
            error!("{why}");
            return ExitCode::FAILURE;
        }
    };
    if app.tls().is_none() && settings.public_url.is_none() && !settings.http.ip().is_loopback() {
        warn!(
            "the app is served without TLS; set http.tls, or put a TLS proxy in front and set http.public_url"
        );
    }
    announce(&settings, &app);
    if app.run(listeners, stop_signal()).await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The owner link goes to the terminal and not to the log: logs are kept.
fn announce(settings: &Settings, app: &App) {
    let host =
        if settings.http.ip().is_unspecified() { "127.0.0.1".into() } else { settings.http.ip().to_string() };
    let local = || format!("http://{host}:{}", settings.http.port());
    let address = app.tls().map_or_else(local, Tls::origin);
    let mut text = match app.setup_token() {
        Some(token) => format!(
            "Nobody owns this gateway yet. Open this link within 30 minutes to become its owner; it works once:\n  {address}/setup#{token}"
        ),
        None => format!("Sharp Eyes is at {address}"),
    };
    if let Some((tls, authority)) = app.tls().and_then(|tls| Some((tls, tls.authority()?))) {
        text += &format!(
            "\nPhones install its certificate once from {}, as {address}/trust shows. Its SHA-256 fingerprint:\n  {}",
            tls.download(),
            authority.fingerprint()
        );
    }
    say(&text);
}

/// Completes at the first SIGTERM or Ctrl-C; a second one ends the process at once.
async fn stop_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened to");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened to");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    #[expect(clippy::disallowed_methods, reason = "it lives until the process ends, whatever else happens")]
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    });
}
