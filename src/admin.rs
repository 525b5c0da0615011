//! `sharp-eyes admin …`: what has to work when nobody can sign in.

use crate::app::{BuildError, open_store};
use crate::clock::SystemClock;
use crate::settings::Settings;
use domain::audit::Entry;
use domain::repository::{self, Passkeys as _, Persons as _, Registers as _};
use domain::{Clock as _, Secret};
use web::password::Passwords;
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
        let entry = Entry {
            at: SystemClock.now(),
            actor: None,
            site_id: None,
            action: "person.reset_password".to_owned(),
            object: person.id.to_string(),
            detail: "{}".to_owned(),
        };
        store.record(&entry).await?;
        let hash = Passwords::default().hash(Secret::new(password.as_str())).await;
        if !store.set_password(&person.id, &person.password_hash, &hash).await? {
            return Err(Error::Changed);
        }
        // Who asks for this may have lost the device with the passkey too.
        store.remove_passkeys(&person.id).await?;
        store.raise_signal().await?;
        Ok(password)
    };
    let done = done.await;
    store.close().await;
    done
}
