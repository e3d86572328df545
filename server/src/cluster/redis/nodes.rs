//! The other nodes: which there are, and whether we heard all that they said.
//!
//! A node counts as dead when it said nothing while our own beats came back: when Redis is down nobody is heard, and nobody is
//! dead for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chat_protocol::Timestamp;

use crate::cluster::frame::{Head, NodeId};

/// So many of our own beats, two a second, without a word.
const DEAD_AFTER: u64 = 20;
/// How long users of a node that ended in order have to come back at another: at most the grace period of the contract.
const BACK_WITHIN: Duration = Duration::from_secs(4);

#[derive(Default)]
pub(super) struct Nodes {
    known: HashMap<NodeId, Node>,
    /// Our own beats that came back.
    beats: u64,
}

struct Node {
    /// The number of the last batch.
    number: u64,
    /// We have all that the node said of presence.
    complete: bool,
    /// `beats` when it was last heard.
    heard: u64,
    /// The node's clock when it was last heard.
    at: Timestamp,
    ended: Option<Instant>,
}

/// What a batch is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It was here before, or what came after it was: a Redis that hung says things late.
    Stale,
    /// The next one.
    Next,
    /// So many before it are missing; 0 for the first of a node.
    After(u64),
}

impl Nodes {
    pub(super) fn arrived(&mut self, head: Head) -> Arrival {
        let beats = self.beats;
        let mut first = false;
        let node = self.known.entry(head.node).or_insert_with(|| {
            first = true;
            Node {
                number: 0,
                complete: false,
                heard: beats,
                at: Timestamp::now(),
                ended: None,
            }
        });
        if head.number <= node.number {
            return Arrival::Stale;
        }
        let missing = head.number - node.number - 1;
        node.number = head.number;
        node.heard = beats;
        match (first, missing) {
            (true, _) => Arrival::After(0),
            (false, 0) => Arrival::Next,
            (false, missing) => {
                node.complete = false;
                Arrival::After(missing)
            }
        }
    }

    /// Our own beat came back, and in time.
    pub(super) fn beat(&mut self) {
        self.beats += 1;
    }

    pub(super) fn clock(&mut self, node: NodeId, at: Timestamp) {
        if let Some(node) = self.known.get_mut(&node) {
            node.at = at;
        }
    }

    /// The node said all that it has.
    pub(super) fn complete(&mut self, node: NodeId) {
        if let Some(node) = self.known.get_mut(&node) {
            node.complete = true;
        }
    }

    pub(super) fn ended(&mut self, node: NodeId, at: Timestamp) {
        if let Some(node) = self.known.get_mut(&node) {
            node.ended = Some(Instant::now());
            node.at = at;
        }
    }

    /// Nodes that have to be asked for all that they have.
    pub(super) fn incomplete(&self) -> Vec<NodeId> {
        let nodes = self
            .known
            .iter()
            .filter(|(_, node)| !node.complete && node.ended.is_none());
        nodes.map(|(id, _)| *id).collect()
    }

    /// How many nodes said all that they have.
    pub(super) fn complete_ones(&self) -> usize {
        self.known.values().filter(|node| node.complete).count()
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Forgets the nodes that are gone, and returns them with the last time of their clocks.
    pub(super) fn gone(&mut self) -> Vec<(NodeId, Timestamp)> {
        let is_gone = |node: &Node| {
            let silent = self.beats - node.heard.min(self.beats) >= DEAD_AFTER;
            silent || node.ended.is_some_and(|ended| ended.elapsed() >= BACK_WITHIN)
        };
        let gone: Vec<_> = (self.known.iter())
            .filter(|(_, node)| is_gone(node))
            .map(|(id, node)| (*id, node.at))
            .collect();
        for (id, _) in &gone {
            self.known.remove(id);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_what_is_new_what_is_late_and_what_is_missing() {
        let (mut nodes, node) = (Nodes::default(), NodeId::random());
        let mut arrives = |number| nodes.arrived(Head { node, number });
        assert_eq!(arrives(5), Arrival::After(0), "what was before us is not missed");
        assert_eq!(arrives(6), Arrival::Next);
        assert_eq!(arrives(9), Arrival::After(2));
        for late in [6, 7, 9] {
            assert_eq!(arrives(late), Arrival::Stale);
        }
        assert_eq!(arrives(10), Arrival::Next);
    }

    #[test]
    fn a_node_is_asked_until_it_answered_and_again_after_a_gap() {
        let (mut nodes, node) = (Nodes::default(), NodeId::random());
        nodes.arrived(Head { node, number: 1 });
        assert_eq!(nodes.incomplete(), [node]);
        nodes.complete(node);
        assert_eq!((nodes.incomplete().len(), nodes.complete_ones()), (0, 1));
        nodes.arrived(Head { node, number: 2 });
        assert!(nodes.incomplete().is_empty());
        nodes.arrived(Head { node, number: 4 });
        assert_eq!(nodes.incomplete(), [node]);
    }

    #[test]
    fn silence_counts_only_while_we_hear_ourselves() {
        let (mut nodes, dead, alive) = (Nodes::default(), NodeId::random(), NodeId::random());
        let at = Timestamp::now();
        nodes.arrived(Head { node: dead, number: 1 });
        nodes.clock(dead, at);
        for number in 1..=DEAD_AFTER {
            assert!(nodes.gone().is_empty(), "no beat of ours came back, or too few");
            nodes.beat();
            nodes.arrived(Head { node: alive, number });
        }
        assert_eq!(nodes.gone(), [(dead, at)]);
        assert!(nodes.gone().is_empty(), "once");
        assert_eq!(nodes.count(), 1);
    }
}
