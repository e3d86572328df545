//! The sender's side of a stream.

/// What became of a message, as its sender knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Sent, and nothing heard yet.
    Open,
    /// Stored, at this place of the chat; no place on a server that does not count.
    Acked(Option<u64>),
    /// Not stored, the server says.
    Refused,
    /// The connection broke, or the server says that it does not know: it may be stored or not.
    Uncertain,
}

/// What one device sent to one person, and what became of it. Four bytes for each message.
#[derive(Debug, Clone)]
pub struct Outbox {
    stream: u32,
    /// By number. A `seq` plus `SEQ`, or one of the states below it.
    fates: Vec<u32>,
    /// The highest `seq` that an ack named.
    highest: u64,
}

const OPEN: u32 = 0;
const REFUSED: u32 = 1;
const UNCERTAIN: u32 = 2;
const ACKED: u32 = 3;
/// What is added to a `seq`, so that 0 is one too.
const SEQ: u64 = 4;

impl Outbox {
    #[must_use]
    pub fn new(stream: u32) -> Self {
        Self {
            stream,
            fates: Vec::new(),
            highest: 0,
        }
    }

    #[must_use]
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Numbers the next message and counts it as sent.
    pub fn send(&mut self) -> u32 {
        self.fates.push(OPEN);
        (self.fates.len() - 1) as u32
    }

    /// The server's answer. A later one does not change the first.
    pub fn answer(&mut self, number: u32, fate: Fate) {
        let Some(known) = self.fates.get_mut(number as usize) else {
            return;
        };
        if *known != OPEN {
            return;
        }
        *known = match fate {
            Fate::Open => OPEN,
            Fate::Refused => REFUSED,
            Fate::Uncertain => UNCERTAIN,
            Fate::Acked(None) => ACKED,
            Fate::Acked(Some(seq)) => {
                self.highest = self.highest.max(seq);
                // A chat of four thousand million messages has no place here; its place is then not compared.
                u32::try_from(seq + SEQ).unwrap_or(ACKED)
            }
        };
    }

    /// The connection broke: what was not answered may be stored or not.
    pub fn broke(&mut self) {
        for fate in &mut self.fates {
            if *fate == OPEN {
                *fate = UNCERTAIN;
            }
        }
    }

    /// Messages sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fates.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fates.is_empty()
    }

    #[must_use]
    pub fn fate(&self, number: u32) -> Option<Fate> {
        self.fates.get(number as usize).map(|fate| match *fate {
            OPEN => Fate::Open,
            REFUSED => Fate::Refused,
            UNCERTAIN => Fate::Uncertain,
            ACKED => Fate::Acked(None),
            seq => Fate::Acked(Some(u64::from(seq) - SEQ)),
        })
    }

    /// The highest place that an ack named; 0 when there is none.
    #[must_use]
    pub fn highest_seq(&self) -> u64 {
        self.highest
    }

    pub(super) fn fates(&self) -> impl Iterator<Item = (u32, Fate)> + '_ {
        (0..self.fates.len() as u32).filter_map(|number| Some((number, self.fate(number)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_counts() {
        let mut outbox = Outbox::new(3);
        let numbers: Vec<u32> = (0..5).map(|_| outbox.send()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        outbox.answer(0, Fate::Acked(Some(0)));
        outbox.answer(1, Fate::Acked(Some(9)));
        outbox.answer(1, Fate::Refused);
        outbox.answer(2, Fate::Refused);
        outbox.answer(3, Fate::Acked(None));
        outbox.answer(77, Fate::Refused);
        outbox.broke();
        outbox.answer(4, Fate::Acked(Some(10)));
        let fates: Vec<Fate> = outbox.fates().map(|(_, fate)| fate).collect();
        let wanted = [
            Fate::Acked(Some(0)),
            Fate::Acked(Some(9)),
            Fate::Refused,
            Fate::Acked(None),
            Fate::Uncertain,
        ];
        assert_eq!(fates, wanted);
        assert_eq!(outbox.highest_seq(), 9);
    }
}
