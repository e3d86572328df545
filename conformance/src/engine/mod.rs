//! What runs the cases and records what they saw.

mod http;
mod judgement;
mod runner;
mod socket;
mod transcript;
mod user;
mod world;

pub(crate) use http::operation;
pub use http::{Answer, Request};
pub use judgement::{Failure, Outcome, Stop, Tally};
pub use runner::{Case, CaseResult, Finding, Run, run};
pub use socket::{Connection, Device, Refused, Transport};
pub use transcript::Transcript;
pub use user::{PASSWORD, User};
pub use world::{Target, World};

/// Declares the cases of an area: plain async functions that take a [`World`].
#[macro_export]
macro_rules! cases {
    ($area:literal: $($case:ident),+ $(,)?) => {
        pub(super) const CASES: &[$crate::engine::Case] = &[$($crate::engine::Case {
            area: $area,
            name: stringify!($case),
            run: |world| Box::pin($case(world)),
        }),+];
    };
}
