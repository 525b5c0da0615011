//! The parts of an endless multipart answer, as they come. Hikvision says how long a part is
//! and sends the next boundary only with the next part, which may be long after: so a part
//! is whole when its length is there, and where no length is said, when its document ends.

/// The longest head of a part, and the most that may stand between two parts, in bytes.
const HEAD: usize = 8 << 10;
/// The longest picture, in bytes. It is never held.
const PICTURE: usize = 8 << 20;
/// How an alert ends.
const END: &[u8] = b"</EventNotificationAlert>";

/// Why an answer is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Too much without a boundary.
    #[error("it sends something that has no boundary where one is due")]
    NoBoundary,
    /// A head that does not end or says nothing that can be read.
    #[error("the head of a part is too long or cannot be read")]
    Head,
    /// A part that is too long.
    #[error("a part is too long")]
    TooLong,
    /// The last boundary.
    #[error("it has ended the answer")]
    Ended,
}

/// What is being read.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The next boundary is awaited.
    Between,
    /// A head.
    Head,
    /// An alert, of so many bytes if that is said.
    Alert(Option<usize>),
    /// A picture, of which so much is still to come, or was already if nobody knows.
    Picture(Option<usize>, usize),
}

/// Takes bytes and gives parts. Holds one part at most, and no picture.
#[derive(Debug)]
pub struct Parts {
    boundary: Vec<u8>,
    largest: usize,
    held: Vec<u8>,
    /// So much of what is held was searched already.
    searched: usize,
    state: State,
}

impl Parts {
    /// Parts between `boundary`, of at most `largest` bytes.
    pub fn new(boundary: &str, largest: usize) -> Self {
        let boundary = format!("--{boundary}").into_bytes();
        Self { boundary, largest, held: Vec::new(), searched: 0, state: State::Between }
    }

    /// Bytes that have come. All parts are to be taken before the next ones.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Bytes that are held.
    fn held(&self) -> usize {
        self.held.len()
    }

    /// The next part that is whole.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, Bad> {
        loop {
            match self.state {
                State::Between => {
                    let Some(at) = self.find_boundary() else {
                        return if self.held.len() > HEAD { Err(Bad::NoBoundary) } else { Ok(None) };
                    };
                    let after = at + self.boundary.len();
                    // Too much is too much in one piece as well.
                    if after > HEAD {
                        return Err(Bad::NoBoundary);
                    }
                    match self.held.get(after..after + 2) {
                        None => {
                            self.searched = at;
                            return Ok(None);
                        }
                        Some(b"--") => return Err(Bad::Ended),
                        Some(_) => self.drop_first(after),
                    }
                    self.state = State::Head;
                }
                State::Head => {
                    let Some((at, after)) = self.head_end() else {
                        return if self.held.len() > HEAD { Err(Bad::Head) } else { Ok(None) };
                    };
                    if after > HEAD {
                        return Err(Bad::Head);
                    }
                    self.state = self.body(self.held.get(..at).unwrap_or_default())?;
                    self.drop_first(after);
                }
                State::Alert(Some(length)) => {
                    if self.held.len() < length {
                        return Ok(None);
                    }
                    return Ok(Some(self.take(length)));
                }
                State::Alert(None) => {
                    // Whichever comes first: what is no XML has no end of its own.
                    let document = self.find(END).map(|at| at + END.len());
                    let end = document.into_iter().chain(self.find_boundary()).min();
                    match end {
                        Some(whole) if whole <= self.largest => return Ok(Some(self.take(whole))),
                        // The boundary may be cut after the last byte of a part that is just not too long.
                        None if self.held.len() < self.largest + self.boundary.len() => {
                            self.searched = self.held.len();
                            return Ok(None);
                        }
                        _ => return Err(Bad::TooLong),
                    }
                }
                State::Picture(Some(left), _) => {
                    let here = left.min(self.held.len());
                    self.drop_first(here);
                    if here < left {
                        self.state = State::Picture(Some(left - here), 0);
                        return Ok(None);
                    }
                    self.state = State::Between;
                }
                State::Picture(None, seen) => {
                    let end = self.find_boundary();
                    // What may be the beginning of a boundary stays.
                    let gone = end.unwrap_or(self.held.len().saturating_sub(self.boundary.len()));
                    self.drop_first(gone);
                    if seen + gone > PICTURE {
                        return Err(Bad::TooLong);
                    }
                    if end.is_none() {
                        self.state = State::Picture(None, seen + gone);
                        return Ok(None);
                    }
                    self.state = State::Between;
                }
            }
        }
    }

    /// What follows a head.
    fn body(&self, head: &[u8]) -> Result<State, Bad> {
        let head = std::str::from_utf8(head).map_err(|_| Bad::Head)?;
        let field = |name: &str| {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            fields
                .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
                .next()
        };
        let length =
            field("content-length").map(|text| text.parse::<usize>().map_err(|_| Bad::Head)).transpose()?;
        let picture =
            field("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("image/"));
        match length {
            Some(length) if length > if picture { PICTURE } else { self.largest } => Err(Bad::TooLong),
            length if picture => Ok(State::Picture(length, 0)),
            length => Ok(State::Alert(length)),
        }
    }

    /// Where the empty line after a head begins and ends.
    fn head_end(&mut self) -> Option<(usize, usize)> {
        let from = self.searched.saturating_sub(3);
        let held = self.held.get(from..).unwrap_or_default();
        let crlf = position(held, b"\r\n\r\n").map(|at| (from + at, from + at + 4));
        let lf = position(held, b"\n\n").map(|at| (from + at, from + at + 2));
        let found = crlf.into_iter().chain(lf).min();
        if found.is_none() {
            self.searched = self.held.len();
        }
        found
    }

    fn find_boundary(&mut self) -> Option<usize> {
        let boundary = std::mem::take(&mut self.boundary);
        let found = self.find(&boundary);
        self.boundary = boundary;
        if found.is_none() && !matches!(self.state, State::Alert(_)) {
            self.searched = self.held.len();
        }
        found
    }

    /// Where something begins in what is held. What was searched before is not searched again.
    fn find(&self, what: &[u8]) -> Option<usize> {
        let from = self.searched.saturating_sub(what.len());
        self.held.get(from..).and_then(|held| position(held, what)).map(|at| from + at)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let part = self.held.get(..length).unwrap_or_default().to_vec();
        self.drop_first(length);
        self.state = State::Between;
        part
    }

    fn drop_first(&mut self, count: usize) {
        self.held.drain(..count.min(self.held.len()));
        self.searched = 0;
    }
}

fn position(held: &[u8], what: &[u8]) -> Option<usize> {
    held.windows(what.len()).position(|window| window == what)
}

/// For the fuzz target: an answer in pieces, the sizes of which are the first four bytes. The
/// parts are the same as those of the answer in one piece.
pub(super) fn fuzz(bytes: &[u8]) {
    let Some((sizes, bytes)) = bytes.split_first_chunk::<4>() else { return };
    let (in_pieces, whole) = (all(bytes, sizes.map(usize::from).as_slice()), all(bytes, &[bytes.len()]));
    assert_eq!(in_pieces, whole);
}

/// The longest part in there, in bytes.
const LARGEST: usize = 1_000;

/// All parts of an answer that comes in pieces of these sizes, and why there are no more.
fn all(mut rest: &[u8], sizes: &[usize]) -> (Vec<Vec<u8>>, Option<Bad>) {
    let (mut parts, mut all) = (Parts::new("MIME", LARGEST), Vec::new());
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
        let (piece, next) = rest.split_at(size);
        rest = next;
        parts.push(piece);
        loop {
            match parts.next() {
                Ok(Some(part)) => {
                    assert!(part.len() <= LARGEST, "{}", part.len());
                    all.push(part);
                }
                Ok(None) => break,
                Err(bad) => return (all, Some(bad)),
            }
        }
        assert!(parts.held() <= HEAD + piece.len(), "{} are held", parts.held());
    }
    (all, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(kind: &str, length: bool, body: &[u8]) -> Vec<u8> {
        let mut text = format!("--MIME\r\nContent-Type: {kind}\r\n");
        if length {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        [text.as_bytes(), b"\r\n", body, b"\r\n"].concat()
    }

    #[test]
    fn a_part_is_there_when_its_length_is_and_not_only_with_the_next_boundary() {
        let bytes = part("application/xml", true, b"<a/>");
        let whole = &bytes[..bytes.len() - 2];
        assert_eq!(all(whole, &[1]), (vec![b"<a/>".to_vec()], None));
        assert_eq!(all(&whole[..whole.len() - 1], &[1]), (vec![], None));
    }

    #[test]
    fn without_a_length_a_part_ends_with_its_document_or_the_next_boundary() {
        let alert = b"<EventNotificationAlert>a</EventNotificationAlert>";
        let bytes = part("application/xml", false, alert);
        assert_eq!(all(&bytes[..bytes.len() - 2], &[7]).0, [alert.to_vec()]);
        let both = [part("application/json", false, b"{}"), part("application/xml", false, alert)].concat();
        assert_eq!(all(&both, &[both.len()]).0, [b"{}\r\n".to_vec(), alert.to_vec()]);
        let bytes = [part("application/json", false, b"{}"), b"--MIME\r\n".to_vec()].concat();
        assert_eq!(all(&bytes, &[7]).0, [b"{}\r\n".to_vec()]);
    }

    #[test]
    fn pictures_are_passed_over_and_never_held() {
        let picture = vec![0xff; 200_000];
        for length in [true, false] {
            let bytes = [part("image/jpeg", length, &picture), part("text/xml", true, b"<b/>")].concat();
            assert_eq!(all(&bytes, &[1_000]), (vec![b"<b/>".to_vec()], None));
        }
        let endless = [part("image/jpeg", false, b""), vec![0; PICTURE + 10]].concat();
        assert_eq!(all(&endless, &[1_000]).1, Some(Bad::TooLong));
    }

    #[test]
    fn a_part_is_as_long_as_it_is_wherever_it_is_cut() {
        let of = |length: usize| {
            [part("text/xml", false, &vec![b'x'; length - 2]), b"--MIME\r\n".to_vec()].concat()
        };
        for pieces in [1, 3, 5_000] {
            assert_eq!(all(&of(LARGEST), &[pieces]).0.len(), 1, "{pieces}");
            assert_eq!(all(&of(LARGEST + 1), &[pieces]), (vec![], Some(Bad::TooLong)), "{pieces}");
        }
        let of = |length: usize| format!("--MIME\r\nA:{}\r\n\r\n--MIME\r\n", "x".repeat(length));
        // With the line end after the boundary, the name, and the empty line.
        let longest = HEAD - 2 - 2 - 4;
        for pieces in [1, 3, 10_000] {
            assert_eq!(all(of(longest).as_bytes(), &[pieces]).1, None, "{pieces}");
            assert_eq!(all(of(longest + 1).as_bytes(), &[pieces]).1, Some(Bad::Head), "{pieces}");
        }
    }

    #[test]
    fn what_does_not_end_is_given_up() {
        for pieces in [100, 20_000] {
            let late = [vec![b'x'; 10_000], part("text/xml", true, b"<a/>")].concat();
            assert_eq!(all(&late, &[pieces]), (vec![], Some(Bad::NoBoundary)), "{pieces}");
        }
        let head = [b"--MIME\r\n".to_vec(), b"a: b\r\n".repeat(5_000)].concat();
        assert_eq!(all(&head, &[100]).1, Some(Bad::Head));
        let body = [part("text/xml", false, b""), vec![b'x'; 20_000]].concat();
        assert_eq!(all(&body, &[100]).1, Some(Bad::TooLong));
        for (length, bad) in
            [("1001", Bad::TooLong), ("-1", Bad::Head), ("99999999999999999999999", Bad::Head)]
        {
            let bytes = format!("--MIME\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(all(bytes.as_bytes(), &[100]).1, Some(bad), "{length}");
        }
        assert_eq!(all(b"--MIME--\r\n", &[3]).1, Some(Bad::Ended));
    }

    proptest! {
        #[test]
        fn however_the_bytes_come_the_parts_are_the_same(
            bodies in prop::collection::vec((any::<bool>(), any::<bool>(), "[a-z<>/\r\n-]{0,60}"), 1..6),
            pieces in prop::collection::vec(1_usize..50, 1..8),
        ) {
            let kind = |picture| if picture { "image/jpeg" } else { "application/xml" };
            let bytes: Vec<u8> = bodies
                .iter()
                .flat_map(|(picture, length, body)| part(kind(*picture), *length, body.as_bytes()))
                .collect();
            prop_assert_eq!(all(&bytes, &pieces), all(&bytes, &[bytes.len()]));
        }

        #[test]
        fn any_bytes_are_read_or_given_up(
            bytes in "(--MIME|\r\n|\n|content-length: [0-9]{1,4}|content-type: image/|[a-z<>/]{1,9}|-){0,60}",
            pieces in prop::collection::vec(1_usize..50, 1..8),
        ) {
            let _ = all(bytes.as_bytes(), &pieces);
        }
    }
}
