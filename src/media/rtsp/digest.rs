//! Digest access authentication as an RTSP server checks it (RFC 7616, 2617).

use md5::Digest as _;
use std::collections::HashMap;

/// The realm of every challenge. It is part of each stored hash: changing it
/// makes all viewer keys useless.
pub const REALM: &str = "sharp-eyes";

/// What is kept of a viewer's key: the two hashes a digest answer is made from.
/// Enough to sign in by digest, so it is a secret; `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1 {
    /// `MD5(login:realm:key)`, hexadecimal.
    pub md5: String,
    /// `SHA-256(login:realm:key)`, hexadecimal.
    pub sha256: String,
}

impl std::fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ha1(***)")
    }
}

impl Ha1 {
    /// The hashes of a login and its key.
    #[must_use]
    pub fn new(login: &str, key: &str) -> Self {
        let text = format!("{login}:{REALM}:{key}");
        Self { md5: Algorithm::Md5.hash(&text), sha256: Algorithm::Sha256.hash(&text) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&md5::Md5::digest(text)),
            Self::Sha256 => hex(&sha2::Sha256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The two challenges of a 401. SHA-256 first as RFC 7616 section 3.7 wants the
/// stronger first; FFmpeg takes the last one it knows, which is MD5.
#[must_use]
pub fn challenges(nonce: &str) -> [String; 2] {
    [
        format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=SHA-256"),
        format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\""),
    ]
}

/// A client's `Authorization: Digest …`.
#[derive(Debug, Clone)]
pub struct Answer(HashMap<String, String>);

/// Reads an `Authorization` header; nothing if it is no digest.
#[must_use]
pub fn parse(header: &str) -> Option<Answer> {
    let (scheme, mut rest) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let mut fields = HashMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                after.split_once(',').map_or((after, ""), |(v, _)| (v, after.get(v.len()..).unwrap_or("")))
            }
        };
        fields.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        rest = next.trim_start().strip_prefix(',').unwrap_or("").trim_start();
    }
    Some(Answer(fields))
}

impl Answer {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Who the client says it is.
    #[must_use]
    pub fn login(&self) -> &str {
        self.get("username")
    }

    /// Whether this answers our challenge `nonce` for `method` with the right key.
    #[must_use]
    pub fn proves(&self, ha1: &Ha1, nonce: &str, method: &str) -> bool {
        let (algorithm, ha1) = match self.get("algorithm").to_ascii_uppercase().as_str() {
            // Clients without qop may leave the algorithm out although they answer
            // the SHA-256 challenge (retina does); the answer's length tells.
            "" if self.get("response").len() == 64 => (Algorithm::Sha256, &ha1.sha256),
            "" | "MD5" => (Algorithm::Md5, &ha1.md5),
            "SHA-256" => (Algorithm::Sha256, &ha1.sha256),
            _ => return false,
        };
        if self.get("realm") != REALM || self.get("nonce") != nonce {
            return false;
        }
        let ha2 = algorithm.hash(&format!("{method}:{}", self.get("uri")));
        let expected = match self.get("qop") {
            "" => algorithm.hash(&format!("{ha1}:{nonce}:{ha2}")),
            "auth" => {
                algorithm.hash(&format!("{ha1}:{nonce}:{}:{}:auth:{ha2}", self.get("nc"), self.get("cnonce")))
            }
            _ => return false,
        };
        same(expected.as_bytes(), self.get("response").to_ascii_lowercase().as_bytes())
    }
}

/// What a client answers to our SHA-256 challenge: the other side of [`Answer::proves`].
#[must_use]
pub fn respond(ha1: &Ha1, nonce: &str, method: &str, uri: &str) -> String {
    let ha2 = Algorithm::Sha256.hash(&format!("{method}:{uri}"));
    Algorithm::Sha256.hash(&format!("{}:{nonce}:{ha2}", ha1.sha256))
}

/// Compares without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(algorithm: &str, ha1: &str, hash: Algorithm) -> Answer {
        let ha2 = hash.hash("DESCRIBE:rtsp://h/a");
        let response = hash.hash(&format!("{ha1}:n1:{ha2}"));
        parse(&format!(
            "Digest username=\"li\", realm=\"{REALM}\", nonce=\"n1\", uri=\"rtsp://h/a\"{algorithm}, response=\"{response}\""
        ))
        .unwrap()
    }

    #[test]
    fn accepts_both_algorithms_and_nothing_else() {
        let ha1 = Ha1::new("li", "key");
        let md5 = answer("", &ha1.md5, Algorithm::Md5);
        let sha = answer(", algorithm=SHA-256", &ha1.sha256, Algorithm::Sha256);
        assert_eq!(md5.login(), "li");
        assert!(md5.proves(&ha1, "n1", "DESCRIBE") && sha.proves(&ha1, "n1", "DESCRIBE"));
        let silent = answer("", &ha1.sha256, Algorithm::Sha256);
        assert!(silent.proves(&ha1, "n1", "DESCRIBE"), "SHA-256 without saying so");
        assert!(!md5.proves(&ha1, "n2", "DESCRIBE"), "another nonce");
        assert!(!md5.proves(&ha1, "n1", "PLAY"), "another method");
        assert!(!md5.proves(&Ha1::new("li", "other"), "n1", "DESCRIBE"), "another key");
    }

    #[test]
    fn the_example_of_rfc_2617_with_qop() {
        let ha2 = Algorithm::Md5.hash("GET:/dir/index.html");
        assert_eq!(ha2, "39aff3a2bab6126f332b942af96d3366");
        let odd = parse("Digest nc=00000001,qop=auth, username=\"a\"").unwrap();
        assert_eq!((odd.get("nc"), odd.get("qop"), odd.login()), ("00000001", "auth", "a"));
        assert!(parse("Basic YTpi").is_none() && parse("Digest username=\"a").is_none());
    }

    #[test]
    fn hashes_do_not_show_in_debug() {
        assert_eq!(format!("{:?}", Ha1::new("a", "b")), "Ha1(***)");
    }
}
