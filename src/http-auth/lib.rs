//! How the gateway logs in to cameras.
//!
//! retina answers a Basic challenge when nothing else is offered, and has no option
//! against it: whoever sits at a camera's address could ask for its password and be
//! told. So this crate stands in for the one that retina logs in with (`[patch]` in
//! the root manifest). It leaves the protocol to that crate and adds one thing: a
//! password carries whether it may be shown, and one that may not is only ever used
//! for Digest, on whichever connection and at whichever moment it is asked for.
//!
//! Only what retina uses is here. It goes when retina can be told "digest only".

use published::PasswordClientBuilder;

/// Part of the text of the error when only Basic was offered and is not allowed.
pub const READABLE: &str = "offers only a login that shows the password";

/// Marks of [`password`]: no password is used without one.
const DIGEST_ONLY: &str = "digest-only:";
const READABLY: &str = "readably:";

/// A password as [`PasswordParams`] wants it: with whether it may be shown.
#[must_use]
pub fn password(secret: &str, readably: bool) -> String {
    format!("{}{secret}", if readably { READABLY } else { DIGEST_ONLY })
}

/// What an answer to a challenge is made of.
#[derive(Clone, Copy)]
pub struct PasswordParams<'a> {
    /// The name to log in as.
    pub username: &'a str,
    /// The password, made by [`password`].
    pub password: &'a str,
    /// What is asked for.
    pub uri: &'a str,
    /// By which method.
    pub method: &'a str,
    /// The request's body, for Digest with `auth-int`.
    pub body: Option<&'a [u8]>,
}

/// Answers the challenges of one camera.
#[derive(Debug, PartialEq, Eq)]
pub struct PasswordClient(published::PasswordClient);

impl TryFrom<&str> for PasswordClient {
    type Error = String;

    /// From the value of `WWW-Authenticate`. Of several challenges Digest is taken.
    fn try_from(challenges: &str) -> Result<Self, String> {
        let digest = published::parse_challenges(challenges)
            .map_err(|error| error.to_string())?
            .into_iter()
            .filter(|challenge| challenge.scheme.eq_ignore_ascii_case("Digest"))
            .fold(PasswordClientBuilder::default(), |builder, challenge| builder.challenge(&challenge));
        digest.build().or_else(|_| published::PasswordClient::try_from(challenges)).map(Self)
    }
}

impl PasswordClient {
    /// The value of `Authorization`; an error where that would show a password that
    /// must not be shown.
    pub fn respond(&mut self, with: &PasswordParams<'_>) -> Result<String, String> {
        let readably = with.password.strip_prefix(READABLY);
        let secret = match (&self.0, readably) {
            (_, Some(secret)) => secret,
            (published::PasswordClient::Digest(_), None) => {
                with.password.strip_prefix(DIGEST_ONLY).ok_or("a password without a mark is not used")?
            }
            _ => return Err(READABLE.to_owned()),
        };
        let PasswordParams { username, uri, method, body, .. } = *with;
        self.0.respond(&published::PasswordParams { username, password: secret, uri, method, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = r#"Digest realm="camera", nonce="abc""#;
    const BASIC: &str = r#"Basic realm="camera""#;

    fn answer(challenges: &str, readably: bool) -> Result<String, String> {
        let password = password("secret", readably);
        let with = PasswordParams {
            username: "admin",
            password: &password,
            uri: "rtsp://camera/a",
            method: "DESCRIBE",
            body: Some(&[]),
        };
        PasswordClient::try_from(challenges)?.respond(&with)
    }

    #[test]
    fn basic_is_answered_only_where_that_is_allowed() {
        assert_eq!(answer(BASIC, false).unwrap_err(), READABLE);
        assert_eq!(answer(BASIC, true).unwrap(), "Basic YWRtaW46c2VjcmV0");
        assert_eq!(answer(r#"basic Realm="x""#, false).unwrap_err(), READABLE);
        assert!(answer("", false).is_err() && answer("Bearer", false).is_err());
    }

    #[test]
    fn digest_is_taken_wherever_it_stands_among_the_challenges() {
        for challenges in [DIGEST.to_owned(), format!("{BASIC}, {DIGEST}"), format!("{DIGEST}, {BASIC}")] {
            for readably in [true, false] {
                let answer = answer(&challenges, readably).unwrap();
                assert!(answer.starts_with("Digest ") && answer.contains("response=\""), "{answer}");
                assert!(!answer.contains("digest-only") && !answer.contains("secret"), "{answer}");
            }
        }
    }

    #[test]
    fn the_mark_is_no_part_of_the_password() {
        let response = |text: &str| text.split("response=\"").nth(1).unwrap()[..32].to_owned();
        let ours = answer(DIGEST, false).unwrap();
        let mut theirs = published::PasswordClient::try_from(DIGEST).unwrap();
        let with = published::PasswordParams {
            username: "admin",
            password: "secret",
            uri: "rtsp://camera/a",
            method: "DESCRIBE",
            body: Some(&[]),
        };
        assert_eq!(response(&ours), response(&theirs.respond(&with).unwrap()));
        assert_eq!(response(&ours), response(&answer(DIGEST, true).unwrap()));
    }
}
