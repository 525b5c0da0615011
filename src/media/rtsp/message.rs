//! RTSP messages, parsed from a growing buffer under limits.
//!
//! Our own and not a crate's because the limits are the point: every length a
//! peer declares is checked before a byte of it is waited for.

use bytes::Bytes;

/// The longest start line and headers, in bytes.
pub const MAX_HEAD: usize = 16 << 10;
/// The most headers of one message.
pub const MAX_HEADERS: usize = 64;
/// The most bytes of empty lines between messages.
const MAX_BLANK: usize = 16;
/// The longest body, in bytes.
pub const MAX_BODY: usize = 64 << 10;

/// Headers in the order they came; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// All values of `name`.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }
}

/// A request of a client, or of a camera that asks back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `DESCRIBE`, `SETUP`, …: as sent.
    pub method: String,
    /// The request URI, as sent.
    pub uri: String,
    /// The headers.
    pub headers: Headers,
    /// The body, often empty.
    pub body: Bytes,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, often empty.
    pub body: Bytes,
}

/// What came over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
    /// Interleaved binary data (RFC 2326 section 10.12); its bytes are not kept.
    Data {
        /// The interleaved channel.
        channel: u8,
    },
}

/// Bytes that are no RTSP message within the limits. The connection cannot be
/// read on from here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RTSP message: {0}")]
pub struct Malformed(pub &'static str);

/// Parses one message from the front of `buf`. Nothing if more bytes are
/// needed; otherwise the message and how many bytes it took.
pub fn parse(buf: &[u8]) -> Result<Option<(Message, usize)>, Malformed> {
    // Some clients send a stray empty line or two between messages.
    let mut skipped = 0;
    while buf.get(skipped..skipped + 2) == Some(b"\r\n") {
        skipped += 2;
        if skipped > MAX_BLANK {
            return Err(Malformed("it is nothing but empty lines"));
        }
    }
    let message = parse_one(buf.get(skipped..).unwrap_or_default())?;
    Ok(message.map(|(message, used)| (message, used + skipped)))
}

fn parse_one(buf: &[u8]) -> Result<Option<(Message, usize)>, Malformed> {
    match buf {
        [] => return Ok(None),
        [b'$', rest @ ..] => {
            let [channel, high, low, ..] = rest else { return Ok(None) };
            let length = 4 + usize::from(u16::from_be_bytes([*high, *low]));
            let data = Message::Data { channel: *channel };
            return Ok((buf.len() >= length).then_some((data, length)));
        }
        // Half of an empty line.
        [b'\r'] => return Ok(None),
        _ => {}
    }
    let window = buf.get(..buf.len().min(MAX_HEAD)).unwrap_or(buf);
    let Some(end) = window.windows(4).position(|w| w == b"\r\n\r\n") else {
        return if buf.len() >= MAX_HEAD {
            Err(Malformed("the headers are longer than 16 KiB"))
        } else if window.first().is_some_and(|b| !b.is_ascii_alphabetic()) {
            Err(Malformed("it does not begin with a method"))
        } else {
            Ok(None)
        };
    };
    let head = window.get(..end).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| Malformed("the headers are not text"))?;
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let headers = parse_headers(lines)?;
    let length = match headers.get("Content-Length") {
        None => 0,
        Some(text) => text.trim().parse::<usize>().map_err(|_| Malformed("Content-Length is no number"))?,
    };
    if length > MAX_BODY {
        return Err(Malformed("the body is longer than 64 KiB"));
    }
    let total = end + 4 + length;
    let Some(body) = buf.get(end + 4..total) else { return Ok(None) };
    let body = Bytes::copy_from_slice(body);
    Ok(Some((start_line(start, headers, body)?, total)))
}

fn parse_headers<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Headers, Malformed> {
    let mut headers = Vec::new();
    for line in lines {
        if headers.len() == MAX_HEADERS {
            return Err(Malformed("there are more than 64 headers"));
        }
        let (name, value) = line.split_once(':').ok_or(Malformed("a header has no colon"))?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Malformed("a header has no name"));
        }
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(Headers(headers))
}

fn start_line(line: &str, headers: Headers, body: Bytes) -> Result<Message, Malformed> {
    if let Some(rest) = line.strip_prefix("RTSP/1.0 ") {
        let status = rest.split(' ').next().and_then(|code| code.parse().ok());
        let status = status.ok_or(Malformed("the status is no number"))?;
        return Ok(Message::Response(Response { status, headers, body }));
    }
    let mut parts = line.split(' ');
    let (Some(method), Some(uri), Some("RTSP/1.0"), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed("the request line is not METHOD URI RTSP/1.0"));
    };
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return Err(Malformed("the method is not in capitals"));
    }
    Ok(Message::Request(Request { method: method.to_owned(), uri: uri.to_owned(), headers, body }))
}

/// Writes a response; `Content-Length` is added where there is a body.
#[must_use]
pub fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("RTSP/1.0 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        454 => "Session Not Found",
        455 => "Method Not Valid in This State",
        459 => "Aggregate Operation Not Allowed",
        461 => "Unsupported Transport",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_request_and_leaves_what_follows() {
        let text = b"SETUP rtsp://h/a/main/track=video RTSP/1.0\r\ncseq: 3\r\nTransport: x\r\n\r\nOPTIONS";
        let (message, used) = parse(text).unwrap().unwrap();
        let Message::Request(request) = message else { panic!("no request") };
        assert_eq!((request.method.as_str(), request.headers.get("CSeq")), ("SETUP", Some("3")));
        assert_eq!(&text[used..], b"OPTIONS");
    }

    #[test]
    fn waits_for_the_rest_of_a_body_and_of_data() {
        assert_eq!(parse(b"RTSP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nabc"), Ok(None));
        assert_eq!(parse(b"$\x00\x00\x04abc"), Ok(None));
        assert_eq!(parse(b"$\x02\x00\x03abcX"), Ok(Some((Message::Data { channel: 2 }, 7))));
    }

    #[test]
    fn refuses_before_it_waits() {
        let huge = b"A b RTSP/1.0\r\nContent-Length: 9223372036854775808\r\n\r\n";
        assert_eq!(parse(huge), Err(Malformed("the body is longer than 64 KiB")));
        let endless = [b"A b RTSP/1.0\r\n".as_slice(), &b"x: y\r\n".repeat(4_000)].concat();
        assert_eq!(parse(&endless), Err(Malformed("the headers are longer than 16 KiB")));
        let many = [b"A b RTSP/1.0\r\n".as_slice(), &b"x: y\r\n".repeat(65), b"\r\n"].concat();
        assert_eq!(parse(&many), Err(Malformed("there are more than 64 headers")));
        let blank = b"\r\n".repeat(1 << 19);
        assert_eq!(parse(&blank), Err(Malformed("it is nothing but empty lines")));
        assert_eq!(parse(b"\r\n\r"), Ok(None));
        assert!(matches!(parse(b"\r\n\r\nOPTIONS * RTSP/1.0\r\n\r\n"), Ok(Some((_, 26)))));
        assert!(parse(b"\x16\x03\x01\x02").is_err());
        assert!(parse(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(Some((_, used))) = parse(&bytes) {
                prop_assert!(used > 0 && used <= bytes.len());
            }
        }

        #[test]
        fn what_is_split_anywhere_parses_as_the_whole(cut in 0usize..60) {
            let whole = response(200, &[("CSeq", "7"), ("Session", "abc")], "v=0\r\n");
            let part = &whole[..cut.min(whole.len() - 1)];
            prop_assert_eq!(parse(part), Ok(None));
        }
    }
}
