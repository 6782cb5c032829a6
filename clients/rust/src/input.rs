//! Frames of a stream, and what is in them.

use std::io::{self, Read};
use std::ops::Range;

use crate::codec::{Data, Malformed, Reader, Token};

/// More than any daemon sends: whoever announces it is none.
const FRAME_BYTES_MAX: usize = 1 << 30;
const BUFFER_BYTES: usize = 4 << 10;
/// A reply with rows has about 64 KiB: what is larger than needed for two of them is not kept.
const KEPT_BYTES: usize = 256 << 10;

/// What was received and not read yet.
#[derive(Default)]
pub(crate) struct Input {
    pub(crate) buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Input {
    /// Whether nothing waits to be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Where in the buffer the body of the next frame is, until the next call.
    pub(crate) fn frame(&mut self, source: &mut impl Read) -> io::Result<Range<usize>> {
        self.fill(4, source)?;
        let count = length(&self.buffer[self.begin..self.begin + 4]);
        if count > FRAME_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.fill(4 + count, source)?;
        let body = self.begin + 4..self.begin + 4 + count;
        self.begin = body.end;
        Ok(body)
    }

    /// Whether a whole frame is here, or the beginning of what is none, so that nothing has to be waited for.
    pub(crate) fn has_frame(&self) -> bool {
        let here = &self.buffer[self.begin..self.end];
        here.len() >= 4 && (length(here) > FRAME_BYTES_MAX || length(here) <= here.len() - 4)
    }

    /// Has so much read at once, where it is here.
    pub(crate) fn read_at_once(&mut self, bytes: usize) {
        self.buffer.resize(self.buffer.len().max(bytes), 0);
    }

    /// Waits until so many bytes are there. Memory is made as they come, not as they are announced.
    fn fill(&mut self, count: usize, source: &mut impl Read) -> io::Result<()> {
        if self.begin == self.end {
            self.begin = 0;
            self.end = 0;
            if self.buffer.len() > KEPT_BYTES {
                self.buffer = Vec::new(); // One large row is no reason to keep as much for ever.
            }
        }
        while self.end - self.begin < count {
            if self.begin > 0 && self.begin + count > self.buffer.len() {
                self.move_to_front();
            }
            if self.read_some(source)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.begin..self.end, 0);
        self.end -= self.begin;
        self.begin = 0;
    }

    /// Reads once, as much as there is room for. Returns how much there was; nothing at the end.
    pub(crate) fn read_some(&mut self, source: &mut impl Read) -> io::Result<usize> {
        if self.end == self.buffer.len() && self.begin > 0 {
            self.move_to_front();
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((2 * self.buffer.len()).max(BUFFER_BYTES), 0);
        }
        let received = source.read(&mut self.buffer[self.end..])?;
        self.end += received;
        Ok(received)
    }
}

/// How many bytes the body of a frame has, of which four bytes at least are here.
fn length(frame: &[u8]) -> usize {
    frame[..4].iter().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// Whose reply a message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Id {
    /// Nobody's: a notice, or an error of the connection.
    None,
    Number(i64),
    /// Of no request that somebody waits for.
    Other,
}

/// A message, and where in it the data are: nowhere if there are none.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) id: Id,
    pub(crate) is_error: bool,
    pub(crate) data: Range<usize>,
}

impl Envelope {
    pub(crate) fn read(bytes: &[u8]) -> Result<Envelope, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut envelope = Envelope { id: Id::None, is_error: false, data: 0..0 };
        let pairs = match reader.token()? {
            Token::Map(count) => count,
            _ => return Err(Malformed),
        };
        for pair in 1..=pairs {
            match reader.text()? {
                "id" => {
                    envelope.id = match reader.token()? {
                        Token::Null => Id::None,
                        Token::Integer(number) => Id::Number(number),
                        Token::Unsigned(_) | Token::Text(_) => Id::Other,
                        _ => return Err(Malformed),
                    }
                }
                "type" => envelope.is_error = reader.text()? == "error",
                "data" => {
                    let begin = bytes.len() - reader.rest().len();
                    if pair == pairs {
                        // Whoever reads the data looks whether they are all that is there.
                        envelope.data = begin..bytes.len();
                        return Ok(envelope);
                    }
                    reader.skip()?;
                    envelope.data = begin..bytes.len() - reader.rest().len();
                }
                _ => reader.skip()?,
            }
        }
        if reader.rest().is_empty() {
            Ok(envelope)
        } else {
            Err(Malformed)
        }
    }
}

/// The data of a message: a map, or nothing.
pub(crate) fn data_of(bytes: &[u8]) -> Result<Data, Malformed> {
    if bytes.is_empty() {
        return Ok(Data::Null);
    }
    let mut reader = Reader::new(bytes);
    let data = reader.data()?;
    match data {
        Data::Map(_) | Data::Null if reader.rest().is_empty() => Ok(data),
        _ => Err(Malformed),
    }
}
