//! Orders from stdin, answers to stdout.

use bytes::Bytes;
use media::job::{self, Answer, Order};
use std::io::{self, Read as _, StdinLock, StdoutLock, Write as _};

/// Both ends.
pub struct Pipe {
    orders: StdinLock<'static>,
    answers: StdoutLock<'static>,
}

/// Something that is no order.
pub fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, job::Malformed)
}

impl Pipe {
    /// Takes stdin and stdout.
    pub fn new() -> Self {
        Self { orders: io::stdin().lock(), answers: io::stdout().lock() }
    }

    /// The next order; nothing when the gateway has closed the pipe.
    pub fn next(&mut self) -> io::Result<Option<Order>> {
        let mut prefix = [0; 4];
        match self.orders.read_exact(&mut prefix) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let length = job::length(prefix).map_err(|_| malformed())?;
        let mut body = vec![0; length];
        self.orders.read_exact(&mut body)?;
        Order::parse(Bytes::from(body)).map(Some).map_err(|_| malformed())
    }

    /// Sends an answer at once.
    pub fn say(&mut self, answer: &Answer) -> io::Result<()> {
        self.answers.write_all(&answer.write())?;
        self.answers.flush()
    }
}
