//! Account passwords: argon2id on a bounded number of threads, each with its own
//! memory, so that a crowd at the sign-in page takes no more than a few people do.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use domain::Secret;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Hashes made at the same time. Each takes 19 MiB, which its thread keeps: blocks
/// of that size that come and go are what allocators do not give back.
const SEATS: usize = 4;
/// Hashes that may wait; whoever comes then waits at the door.
const WAITING: usize = 64;
/// The shortest password, in characters.
pub const SHORTEST: usize = 10;
/// The longest password, in bytes.
pub const LONGEST: usize = 256;

/// OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
fn params() -> Params {
    Params::new(19_456, 2, 1, None).expect("the parameters are within argon2's limits")
}

/// What a hash is made in.
type Memory = Vec<Block>;
type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Hashes and checks passwords. Cheap to clone; the threads end with the last one.
#[derive(Clone)]
pub struct Passwords {
    jobs: mpsc::Sender<Job>,
    /// Checked when there is no such person, so that both take the same time.
    decoy: Secret,
}

impl Default for Passwords {
    fn default() -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..SEATS {
            let waiting = Arc::clone(&waiting);
            std::thread::spawn(move || {
                let mut memory = Memory::new();
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                    let Some(job) = next else { break };
                    job(&mut memory);
                }
            });
        }
        Self { jobs, decoy: hash(&crate::token::new(), &mut Memory::new()) }
    }
}

/// The bytes of a hash; nothing if argon2 does not take the parameters.
fn compute(password: &str, salt: &[u8], params: Params, memory: &mut Memory) -> Option<Output> {
    let mut bytes = [0; 64];
    let bytes = bytes.get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))?;
    memory.resize(params.block_count(), Block::default());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, bytes, memory).ok()?;
    Output::new(bytes).ok()
}

fn hash(password: &str, memory: &mut Memory) -> Secret {
    let salt: [u8; 16] = crate::token::random();
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params()).expect("the parameters can be written"),
        salt: Some(Salt::new(&salt).expect("a salt of 16 bytes fits")),
        hash: Some(compute(password, &salt, params(), memory).expect("the parameters are within limits")),
    };
    Secret::new(hash.to_string())
}

/// Whether `password` has this hash; made with other parameters, it is none of ours.
fn matches(password: &str, stored: &str, memory: &mut Memory) -> bool {
    let Ok(stored) = PasswordHash::new(stored) else { return false };
    let ours = stored.algorithm == Algorithm::Argon2id.ident()
        && stored.version == Some(Version::V0x13.into())
        && ParamsString::try_from(&params()).is_ok_and(|params| params == stored.params);
    let (Some(salt), Some(expected), true) = (&stored.salt, stored.hash, ours) else { return false };
    // Outputs are compared in constant time.
    compute(password, salt, params(), memory) == Some(expected)
}

impl Passwords {
    /// The argon2id hash of `password` as a PHC string.
    pub async fn hash(&self, password: Secret) -> Secret {
        self.run(move |memory| hash(password.expose(), memory)).await
    }

    /// Whether `password` has this hash. Without a hash it takes as long and says no.
    pub(crate) async fn verify(&self, password: Secret, stored: Option<Secret>) -> bool {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        self.run(move |memory| matches(password.expose(), stored.expose(), memory)).await && known
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut Memory) -> T + Send + 'static) -> T {
        let (answer, answered) = oneshot::channel();
        let job = move |memory: &mut Memory| {
            // Whoever hung up meanwhile does not get an answer.
            let _ = answer.send(work(memory));
        };
        self.jobs.send(Box::new(job)).await.expect("the threads live as long as the sender");
        answered.await.expect("hashing does not panic")
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
