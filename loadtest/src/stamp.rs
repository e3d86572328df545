//! What is written into each message, so that whoever sees it knows which one it is and when it was due.

use std::fmt::Write as _;
use std::time::Duration;

/// Which run a message belongs to: another run's message is foreign, whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunMark([u8; 8]);

/// The mark of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub run: RunMark,
    /// From whom to whom.
    pub stream: u32,
    /// Which message of the stream, from 0.
    pub number: u32,
    /// When it was due, since the start of the run.
    pub due: Duration,
}

impl RunMark {
    /// By chance.
    #[must_use]
    pub fn random() -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bits = rand::random::<u64>();
        let mut mark = [0; 8];
        for letter in &mut mark {
            *letter = LETTERS[(bits & 31) as usize];
            bits >>= 5;
        }
        Self(mark)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Stamp {
    /// The message's content: `MARK STREAM NUMBER MICROSECONDS` and as many dots as it takes to be `length` long.
    #[must_use]
    pub fn content(&self, length: usize) -> String {
        let mut content = String::with_capacity(length.max(48));
        let _ = write!(
            content,
            "{} {} {} {} ",
            self.run.as_str(),
            self.stream,
            self.number,
            self.due.as_micros()
        );
        while content.len() < length {
            content.push('.');
        }
        content
    }

    /// Reads a content; none when it is of another run, or is not whole: the dots are counted.
    #[must_use]
    pub fn read(content: &str, run: RunMark, length: usize) -> Option<Self> {
        let rest = content.strip_prefix(run.as_str())?.strip_prefix(' ')?;
        let mut parts = rest.splitn(4, ' ');
        let stream = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        let due = Duration::from_micros(parts.next()?.parse().ok()?);
        let dots = parts.next()?;
        let begin = content.len() - dots.len();
        let whole = dots.len() == length.saturating_sub(begin) && dots.bytes().all(|byte| byte == b'.');
        whole.then_some(Self {
            run,
            stream,
            number,
            due,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let stamp = Stamp {
            run: RunMark::random(),
            stream: 17,
            number: 4_000_000_000,
            due: Duration::from_micros(123_456_789),
        };
        for length in [0, 40, 200] {
            let content = stamp.content(length);
            assert!(content.len() >= length);
            assert_eq!(Stamp::read(&content, stamp.run, length), Some(stamp));
            assert_eq!(Stamp::read(&content, RunMark([b'-'; 8]), length), None, "another run's");
            assert_eq!(Stamp::read(&format!("{content}."), stamp.run, length), None, "longer");
        }
        let content = stamp.content(200);
        assert_eq!(Stamp::read(&content[..199], stamp.run, 200), None, "cut");
        assert_eq!(
            Stamp::read(&content.replace("..", ".x"), stamp.run, 200),
            None,
            "changed"
        );
        for other in ["", "hello", "17 1 2 3"] {
            assert_eq!(Stamp::read(other, stamp.run, 200), None, "{other:?}");
        }
    }
}
