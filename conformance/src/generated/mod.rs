//! Cases that are made from the contract's own documents: one judgement for every call, parameter, keyword or event there.
//!
//! What is added to `spec/` is judged here without anybody writing a case for it.

mod bodies;
mod bounds;
mod credentials;
mod events;
mod fixture;
mod hostile;
mod keywords;
mod limits;
mod methods;
mod order;
mod schema;
mod strangers;
mod unicode;
mod unknown_fields;

use crate::engine::Case;

const FAMILIES: [&[Case]; 12] = [
    credentials::CASES,
    limits::CASES,
    events::CASES,
    keywords::CASES,
    bounds::CASES,
    bodies::CASES,
    unknown_fields::CASES,
    order::CASES,
    methods::CASES,
    strangers::CASES,
    hostile::CASES,
    unicode::CASES,
];

/// Every generated case.
pub fn all() -> impl Iterator<Item = Case> {
    FAMILIES.into_iter().flatten().cloned()
}

/// Whether a case is one of them.
pub fn has(case: &Case) -> bool {
    let mut all = FAMILIES.into_iter().flatten();
    all.any(|one| (one.area, &one.name) == (case.area, &case.name))
}
