//! Account passwords: argon2id on a bounded number of threads.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use domain::Secret;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Hashes made at the same time: each takes 19 MiB, so this bounds the memory
/// that people at the sign-in page can make us use.
const SEATS: usize = 4;
/// The shortest password, in characters.
pub const SHORTEST: usize = 10;
/// The longest password, in bytes.
pub const LONGEST: usize = 256;

/// OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
fn argon2() -> Argon2<'static> {
    let params = Params::new(19_456, 2, 1, None).expect("the parameters are within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    seats: Arc<Semaphore>,
    /// Checked when there is no such person, so that both take the same time.
    decoy: Secret,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { seats: Arc::new(Semaphore::new(SEATS)), decoy: hash(&crate::token::new()) }
    }
}

fn hash(password: &str) -> Secret {
    let salt: [u8; 16] = crate::token::random();
    let hash: PasswordHash =
        argon2().hash_password_with_salt(password.as_bytes(), &salt).expect("a salt of 16 bytes fits");
    Secret::new(hash.to_string())
}

impl Passwords {
    /// The argon2id hash of `password` as a PHC string.
    pub async fn hash(&self, password: Secret) -> Secret {
        self.run(move || hash(password.expose())).await
    }

    /// Whether `password` has this hash. Without a hash it takes as long and says no.
    pub(crate) async fn verify(&self, password: Secret, stored: Option<Secret>) -> bool {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let matches = move || {
            PasswordHash::new(stored.expose())
                .is_ok_and(|stored| argon2().verify_password(password.expose().as_bytes(), &stored).is_ok())
        };
        self.run(matches).await && known
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let seat = Arc::clone(&self.seats).acquire_owned().await.expect("the seats are never closed");
        // The seat goes with the work: a client that hangs up does not free it early.
        let work = move || {
            let _seat = seat;
            work()
        };
        tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_matches() {
        let passwords = Passwords::default();
        let stored = passwords.hash(Secret::new("a long password")).await;
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.verify(Secret::new("a long password"), Some(stored.clone())).await);
        assert!(!passwords.verify(Secret::new("another password"), Some(stored)).await);
        assert!(!passwords.verify(Secret::new("a long password"), None).await);
    }
}
