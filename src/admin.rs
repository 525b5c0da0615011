//! `sharp-eyes admin …`: what has to work when nobody can sign in.

use crate::app::{BuildError, open_store, open_store_holding};
use crate::clock::SystemClock;
use crate::settings::Settings;
use domain::audit::Entry;
use domain::repository::{self, Persons as _, Registers as _, Repository as _};
use domain::{Clock as _, Secret};
use store::rotate::{RotateError, Rotation};
use store::seal::Hold;
use web::password::Passwords;
use web::setup::Candidate;
use web::token::{hex, random};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gateway's own reasons.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The database.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// Somebody else changed it at the same moment.
    #[error("the password was changed meanwhile; try again")]
    Changed,
    /// The sealing key was not changed.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// Somebody has this login.
    #[error("somebody has the login {0:?} already; choose another, or reset their password")]
    Taken(String),
    /// What was written cannot be used.
    #[error("{0}")]
    Input(web::Problem),
    /// Nobody has this login.
    #[error("nobody has the login {0:?}; look at the spelling")]
    Unknown(String),
}

/// Gives `login` a new password, which is answered, and ends all of their sessions
/// and keys. It is written into the audit log as done on the machine itself. A
/// gateway that runs ends their pictures within two seconds.
pub async fn reset_password(settings: &Settings, login: &str) -> Result<String, Error> {
    let store = open_store(settings).await?;
    let done = async {
        let person = store.person_by_login(login).await?;
        let person = person.ok_or_else(|| Error::Unknown(login.to_owned()))?;
        let password = hex(&random::<10>());
        let hash = Passwords::default().hash(Secret::new(password.as_str())).await;
        // Who asks for this may have lost the device with the passkey too.
        let noted = store.noting(entry("person.reset_password", person.id.as_str()));
        if !noted.set_password(&person.id, &person.password_hash, &hash, true).await? {
            return Err(Error::Changed);
        }
        store.raise_signal().await?;
        Ok(password)
    };
    let done = done.await;
    store.close().await;
    done
}

/// Makes another owner, or the first, and answers their password.
pub async fn create_owner(
    settings: &Settings,
    login: &str,
    name: &str,
    locale: Option<String>,
) -> Result<String, Error> {
    let candidate = Candidate::check(login, name, locale).map_err(Error::Input)?;
    let store = open_store(settings).await?;
    let done = async {
        let taken = || Error::Taken(login.trim().to_owned());
        if store.person_by_login(login.trim()).await?.is_some() {
            return Err(taken());
        }
        let password = hex(&random::<10>());
        let hash = Passwords::default().hash(Secret::new(password.as_str())).await;
        let (person, grant) = candidate.with_password(hash, SystemClock.now());
        match store.noting(entry("owner.create", person.id.as_str())).add_owner(&person, &grant).await {
            Err(repository::Error::Exists) => return Err(taken()),
            other => other?,
        }
        store.raise_signal().await?;
        Ok(password)
    };
    let done = done.await;
    store.close().await;
    done
}

/// Removes all events that are older than the settings say. Answers how many.
pub async fn remove_old_events(settings: &Settings) -> Result<u64, Error> {
    let store = open_store(settings).await?;
    let removed = crate::sweep::remove_old_events(&store, settings, SystemClock.now()).await;
    store.close().await;
    Ok(removed?)
}

/// Seals every secret with a new key, which takes the old one's place. Answers how
/// many secrets. Refused while a gateway on this machine uses the key.
pub async fn rotate_key(settings: &Settings) -> Result<u64, Error> {
    let store = open_store_holding(settings, Hold::Alone).await?;
    // Beforehand: the files and the rows change in several steps.
    store.record(&entry("sealing_key.rotate", "sealing_key")).await?;
    let rotation = Rotation::begin(store)?;
    let secrets = rotation.reseal().await?;
    rotation.finish().await?;
    Ok(secrets)
}

/// How the chain keeps what is done on the machine itself.
fn entry(action: &str, object: &str) -> Entry {
    Entry {
        at: SystemClock.now(),
        actor: None,
        site_id: None,
        action: action.to_owned(),
        object: object.to_owned(),
        detail: "{}".to_owned(),
    }
}
