//! What a case is, and how one is declared.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use chat_spec::{Profile, Requirement};

use super::{Outcome, World};

/// A running case.
pub type Judging = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A function that judges, with what is known of it beforehand.
#[derive(Clone)]
pub struct Case {
    /// What it is about, in a word or two.
    pub area: &'static str,
    /// A sentence in snake case.
    pub name: Cow<'static, str>,
    /// What it judges. What holds for every answer is judged by every case and named by none.
    pub requirements: Cow<'static, [&'static Requirement]>,
    /// The claim without which it is skipped; none leaves it to the requirements.
    pub profile: Option<Profile>,
    pub body: Body,
}

/// What a case does.
#[derive(Clone)]
pub enum Body {
    /// Written by hand.
    Plain(fn(World) -> Judging),
    /// Made from the contract.
    Made(Arc<dyn Fn(World) -> Judging + Send + Sync>),
}

impl Case {
    /// A case that is made while the program runs.
    pub fn made<F>(
        area: &'static str,
        name: impl Into<String>,
        requirements: Vec<&'static Requirement>,
        judge: impl Fn(World) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            area,
            name: Cow::Owned(name.into()),
            requirements: Cow::Owned(requirements),
            profile: None,
            body: Body::Made(Arc::new(move |world| Box::pin(judge(world)))),
        }
    }

    /// The same where only who claims this profile is judged.
    #[must_use]
    pub fn of(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Its name for programs, unique: `typing::typing_times_out`.
    pub fn id(&self) -> String {
        format!("{}::{}", self.area.replace(' ', "_"), self.name)
    }

    /// Its name for people.
    pub fn title(&self) -> String {
        format!("{}: {}", self.area, self.name.replace('_', " "))
    }

    /// The profiles that it says something about.
    pub fn profiles(&self) -> BTreeSet<Profile> {
        match self.profile {
            Some(profile) => BTreeSet::from([profile]),
            None if self.requirements.is_empty() => BTreeSet::from([Profile::Core]),
            None => self
                .requirements
                .iter()
                .map(|requirement| requirement.profile)
                .collect(),
        }
    }

    /// Whether it kills the server that it judges, which nobody else may be using then.
    pub fn kills(&self) -> bool {
        self.area == "durability"
    }

    /// Starts it in this world.
    pub fn start(&self, world: World) -> Judging {
        match &self.body {
            Body::Plain(judge) => judge(world),
            Body::Made(judge) => judge(world),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.id()).finish()
    }
}

/// Declares the cases of an area: plain async functions that take a [`World`], each with the requirements that it judges, by
/// their names in `chat_spec::req`, and, with `for`, the profile without whose claim it is skipped. Cases that judge the same name a
/// constant with `by`.
///
/// ```ignore
/// cases!("typing":
///     typing_goes_to_the_peer [TYPING_EVENT_PEER_DEVICES, TYPING_EVENT_NOBODY_ELSE],
///     typing_crosses_nodes for Cluster [CLUSTER_TYPING_ACROSS],
///     everybody_types by EVERYTHING,
/// );
/// ```
#[macro_export]
macro_rules! cases {
    ($area:literal: $($case:ident $(for $profile:ident)? $(by $shared:ident)? $([$($requirement:ident),+ $(,)?])?),+ $(,)?) => {
        pub(super) static CASES: &[$crate::engine::Case] = &[$($crate::engine::Case {
            area: $area,
            name: ::std::borrow::Cow::Borrowed(stringify!($case)),
            requirements: ::std::borrow::Cow::Borrowed($crate::cases!(@requirements $($shared)? [$($($requirement)+)?])),
            profile: $crate::cases!(@profile $($profile)?),
            body: $crate::engine::Body::Plain(|world| Box::pin($case(world))),
        }),+];
    };
    (@requirements [$($requirement:ident)*]) => { &[$(&::chat_spec::req::$requirement),*] };
    (@requirements $shared:ident []) => { $shared };
    (@profile) => { None };
    (@profile $profile:ident) => { Some(::chat_spec::Profile::$profile) };
}
