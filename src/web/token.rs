//! Secrets we hand out once and keep only the hash of.

use sha2::{Digest as _, Sha256};

/// Random bytes from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A new token: 256 random bits in hexadecimal.
#[must_use]
pub fn new() -> String {
    hex(&random::<32>())
}

/// What is kept of a token: SHA-256. A token has 256 random bits, so it needs
/// no slow hash.
#[must_use]
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
