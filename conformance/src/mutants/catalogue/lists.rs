//! Every list: empty, with an item twice, without its last item, the wrong way round, refused where it would be empty.

use chat_spec::Operation;

use super::super::mutant::{At, How, ListEdit, Mutant};
use super::requirements;

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all = Vec::new();
    for operation in Operation::ALL.iter().copied() {
        let answers = operation.response(200).and_then(|answer| answer.schema);
        let is_list = answers
            .and_then(chat_spec::schema)
            .is_some_and(|schema| schema.contains("\"nextCursor\""));
        if !is_list {
            continue;
        }
        for edit in [
            ListEdit::Empty,
            ListEdit::Repeat,
            ListEdit::Cut,
            ListEdit::Reverse,
            ListEdit::RefuseEmpty,
        ] {
            all.push(Mutant {
                name: format!("list/{operation}/{edit:?}"),
                breaks: requirements(|requirement| requirement.operations.contains(&operation)),
                at: At::Answers {
                    operation: Some(operation),
                    status: Some(200),
                    code: None,
                },
                how: How::List(edit),
            });
        }
    }
    all
}
