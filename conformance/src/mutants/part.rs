//! The proof in parts, each on deployments of its own.

use chat_spec::Profile;

use super::faults;
use super::selection::Selection;
use crate::engine::Case;
use crate::launch::Stack;

/// What is looked at on a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All that one node can get wrong.
    OneNode,
    /// What a server gets wrong where it stores, on the store that the first part had not.
    OtherStore,
    /// All that only several nodes can get wrong.
    SeveralNodes,
}

impl Part {
    /// The parts of a run, with what each runs on. On a stack that was asked for there is one.
    pub(super) fn of(stack: Option<Stack>) -> Vec<(Self, Stack)> {
        match stack {
            Some(Stack::Cluster) => vec![(Self::SeveralNodes, Stack::Cluster)],
            Some(stack) => vec![(Self::OneNode, stack)],
            None => vec![
                (Self::OneNode, Stack::Sqlite),
                (Self::OtherStore, Stack::Mongo),
                (Self::SeveralNodes, Stack::Cluster),
            ],
        }
    }

    /// What may be missing on a machine.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::OneNode => "deployments of one node",
            Self::OtherStore => "deployments on MongoDB",
            Self::SeveralNodes => "deployments of several nodes",
        }
    }

    /// Whether a requirement of this profile is proved here.
    pub(super) fn proves(self, profile: Profile) -> bool {
        match self {
            Self::OneNode => profile != Profile::Cluster,
            Self::OtherStore => false,
            Self::SeveralNodes => profile == Profile::Cluster,
        }
    }

    /// Whether a case has something to find here.
    pub(super) fn is_judged_by(self, case: &Case, selection: &Selection) -> bool {
        match self {
            Self::OtherStore => faults::is_judge_of_stored(selection, case),
            _ => case.profiles().iter().any(|profile| self.proves(*profile)),
        }
    }
}
