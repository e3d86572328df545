//! The mutants, generated from the contract: a new field, code, call or event brings its own.

mod delivery;
mod fields;
mod headers;
mod lists;
mod refusals;
mod transport;

use chat_spec::{REQUIREMENTS, Requirement};

use super::mutant::Mutant;

/// Every mutant of the wire.
pub(super) fn all() -> Vec<Mutant> {
    [
        headers::mutants(),
        delivery::mutants(),
        lists::mutants(),
        refusals::mutants(),
        fields::mutants(),
        transport::mutants(),
    ]
    .concat()
}

/// Ids of the requirements that fit.
fn requirements(fits: impl Fn(&Requirement) -> bool) -> Vec<&'static str> {
    let all = REQUIREMENTS.iter().filter(|requirement| fits(requirement));
    all.map(|requirement| requirement.id).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_requirements_exist() {
        let mut names = BTreeSet::new();
        for mutant in all() {
            assert!(names.insert(mutant.name.clone()), "{} twice", mutant.name);
            for id in mutant.breaks {
                assert!(chat_spec::requirement(id).is_some(), "{}: {id}", mutant.name);
            }
        }
        assert!(names.len() > 400, "only {} mutants", names.len());
    }
}
