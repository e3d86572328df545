//! What is written into each message, so that whoever sees it knows which one it is and when it was due.

mod words;

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
    /// The message's content: `MARK STREAM NUMBER MICROSECONDS` and as many words as it takes to be `length` long. They are a server's
    /// to index and search, so they are what people write, and follow from stream and number.
    #[must_use]
    pub fn content(&self, length: usize) -> String {
        let mut content = String::with_capacity(length.max(48) + 16);
        let _ = write!(
            content,
            "{} {} {} {} ",
            self.run.as_str(),
            self.stream,
            self.number,
            self.due.as_micros()
        );
        let whole = content.len().max(length);
        let mut words = self.words();
        while content.len() < whole
            && let Some(word) = words.next()
        {
            content.push_str(word);
            content.push(' ');
        }
        content.truncate(whole);
        content
    }

    /// Reads a content; none when it is of another run, or is not whole: its words are known.
    #[must_use]
    pub fn read(content: &str, run: RunMark, length: usize) -> Option<Self> {
        let rest = content.strip_prefix(run.as_str())?.strip_prefix(' ')?;
        let mut parts = rest.splitn(4, ' ');
        let stream = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        let due = Duration::from_micros(parts.next()?.parse().ok()?);
        let text = parts.next()?.as_bytes();
        let begin = content.len() - text.len();
        let stamp = Self {
            run,
            stream,
            number,
            due,
        };
        let whole = text.len() == length.saturating_sub(begin) && stamp.says(text);
        whole.then_some(stamp)
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        words::words(self.stream, self.number)
    }

    /// Whether these are the first of its words, the last one perhaps cut.
    fn says(&self, text: &[u8]) -> bool {
        let mut words = self.words();
        let mut rest = text;
        while !rest.is_empty() {
            let word = words.next().unwrap_or_default().as_bytes();
            let (said, more) = rest.split_at(word.len().min(rest.len()));
            if !word.starts_with(said) {
                return false;
            }
            rest = match more {
                [b' ', more @ ..] => more,
                [] => more,
                _ => return false,
            };
        }
        true
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
        // Whatever is changed.
        for at in 0..content.len() {
            let mut changed = content.clone();
            let before = content.as_bytes()[at];
            let other = if before.is_ascii_digit() { "_" } else { "0" };
            changed.replace_range(at..=at, other);
            assert_eq!(Stamp::read(&changed, stamp.run, 200), None, "changed: {changed}");
        }
        let mut foreign = content;
        foreign.replace_range(150..152, "é");
        assert_eq!(Stamp::read(&foreign, stamp.run, 200), None, "{foreign}");
        for other in ["", "hello", "17 1 2 3"] {
            assert_eq!(Stamp::read(other, stamp.run, 200), None, "{other:?}");
        }
    }

    #[test]
    fn messages_say_different_things_in_common_words() {
        let run = RunMark::random();
        let words_of = |stream, number| {
            let due = Duration::ZERO;
            let stamp = Stamp {
                run,
                stream,
                number,
                due,
            };
            let content = stamp.content(2000);
            content.split(' ').skip(4).map(str::to_owned).collect::<Vec<String>>()
        };
        let (one, next, other) = (words_of(1, 1), words_of(1, 2), words_of(2, 1));
        assert!(one != next && one != other && next != other);
        assert_eq!(one, words_of(1, 1));
        // As people's words do, half of them come again and again.
        let mut counts = std::collections::HashMap::<String, usize>::new();
        (0..100)
            .flat_map(|number| words_of(7, number))
            .for_each(|word| *counts.entry(word).or_default() += 1);
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
        let (all, most): (usize, usize) = (counts.iter().sum(), counts.iter().take(40).sum());
        assert!(
            counts.len() > 250 && (all * 2 / 5..all * 4 / 5).contains(&most),
            "{most} of {all}"
        );
    }
}
