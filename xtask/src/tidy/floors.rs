//! Who may name whom inside the server, and where a package may be named at all.

use super::Finding;
use super::rules::{Kept, Module, Tolerated};
use super::source::Source;
use super::tree::Tree;

const SOURCES: &str = "server/src/";
const TABLE: &str = "xtask/src/tidy/rules.rs";

/// Every `crate::…` of the server's modules against the table.
pub fn modules(tree: &Tree, table: &[Module], root_items: &[(&str, &str)], tolerated: &[Tolerated]) -> Vec<Finding> {
    let mut findings = order(table);
    let mut breaches: Vec<(&str, String)> = Vec::new();
    for file in tree.rust_files() {
        let Some(path) = file
            .strip_prefix(SOURCES)
            .filter(|path| !matches!(*path, "lib.rs" | "main.rs"))
        else {
            continue;
        };
        let own = path.split(['/', '.']).next().unwrap_or(path);
        let Some(rule) = table.iter().find(|module| module.name == own) else {
            let remedy = format!("Give the module `{own}` a place among MODULES in {TABLE}, and in ARCHITECTURE.md.");
            findings.push(Finding::new(
                file,
                1,
                format!("the module `{own}` is on no floor"),
                remedy,
            ));
            continue;
        };
        let source = match read(tree, file, depth(path)) {
            Ok(source) => source,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        for named in source.from_root {
            let item = root_items.iter().find(|(item, _)| *item == named.name);
            let target = item.map_or(named.name.as_str(), |(_, module)| module);
            if target == own || rule.uses.contains(&target) {
                continue;
            }
            if tolerated
                .iter()
                .any(|known| known.file == file && known.module == target)
            {
                breaches.push((file, target.to_owned()));
                continue;
            }
            let (wrong, remedy) = if table.iter().any(|module| module.name == target) {
                let allowed = if rule.uses.is_empty() {
                    "nothing".into()
                } else {
                    rule.uses.join(", ")
                };
                (
                    format!("`{own}` names `{target}`, but may use only: {allowed}"),
                    format!("Move what both need to a lower floor, or hand it in; the floors are in {TABLE}."),
                )
            } else {
                (
                    format!("`crate::{}` is no module of the table", named.name),
                    format!("Name the module that owns it, or add it to ROOT_ITEMS in {TABLE}."),
                )
            };
            findings.push(Finding::new(file, named.line, wrong, remedy));
        }
    }
    let gone = tolerated.iter().filter(|known| {
        !breaches
            .iter()
            .any(|(file, module)| known.file == *file && known.module == module)
    });
    findings.extend(gone.map(|known| {
        let wrong = format!("`{}` no longer names `{}` ({})", known.file, known.module, known.why);
        Finding::new(TABLE, 1, wrong, "Remove its entry from TOLERATED.")
    }));
    let exists =
        |name: &str| tree.has_dir(&format!("{SOURCES}{name}")) || tree.has_file(&format!("{SOURCES}{name}.rs"));
    findings.extend(table.iter().filter(|module| !exists(module.name)).map(|module| {
        let wrong = format!("there is no module `{}` in {SOURCES}", module.name);
        Finding::new(TABLE, 1, wrong, "Remove it from MODULES.")
    }));
    findings
}

/// Packages that are named outside the files that keep them.
pub fn kept(tree: &Tree, table: &[Kept]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_files().filter(|file| file.contains("/src/")) {
        let source = match read(tree, file, 0) {
            Ok(source) => source,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        for named in source.elsewhere {
            let Some(kept) = table.iter().find(|kept| kept.package == named.name) else {
                continue;
            };
            if !kept.within.iter().any(|place| file.starts_with(place)) {
                let wrong = format!("`{}` is kept within {}", kept.package, kept.within.join(", "));
                let remedy = format!("Do it there and hand the result out in our own types; see KEPT in {TABLE}.");
                findings.push(Finding::new(file, named.line, wrong, remedy));
            }
        }
    }
    findings
}

/// The table itself must go from the ground up, so that it allows no circle.
fn order(table: &[Module]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, module) in table.iter().enumerate() {
        for used in module.uses {
            if !table[..at].iter().any(|below| below.name == *used) {
                let wrong = format!("`{}` may use `{used}`, which is not below it", module.name);
                findings.push(Finding::new(
                    TABLE,
                    1,
                    wrong,
                    "Order MODULES from the ground up, without circles.",
                ));
            }
        }
    }
    findings
}

fn read(tree: &Tree, file: &str, depth: usize) -> Result<Source, Finding> {
    let text = tree.read(file)?;
    Source::read(&text, depth).map_err(|error| Finding::new(file, error.line, error.name, "Make it compile first."))
}

/// How many modules deep a file below `src/` is.
fn depth(path: &str) -> usize {
    let parts = path.trim_end_matches(".rs").split('/');
    parts.filter(|part| *part != "mod").count()
}

#[cfg(test)]
mod tests {
    use super::super::tree::scratch::Scratch;
    use super::*;

    const TABLE: &[Module] = &[
        Module {
            name: "store",
            uses: &[],
        },
        Module {
            name: "chat",
            uses: &["store"],
        },
        Module {
            name: "http",
            uses: &["chat"],
        },
    ];

    fn small(extra: &[(&str, &str)]) -> Scratch {
        let scratch = Scratch::with(&[
            (
                "server/src/lib.rs",
                "pub mod store; pub mod chat; pub mod http; use crate::http::anything;",
            ),
            ("server/src/store/mod.rs", "pub struct Store;"),
            ("server/src/chat.rs", "use crate::store::Store;"),
            (
                "server/src/http/mod.rs",
                "use crate::chat::send;\nuse crate::http::body;",
            ),
        ]);
        for (file, text) in extra {
            scratch.write(file, text);
        }
        scratch
    }

    fn found(scratch: &Scratch, tolerated: &[Tolerated]) -> Vec<String> {
        let findings = modules(&scratch.tree(), TABLE, &[("Store", "store")], tolerated);
        findings
            .iter()
            .map(|f| format!("{}:{} {}", f.file, f.line, f.wrong))
            .collect()
    }

    #[test]
    fn downwards_is_allowed() {
        assert_eq!(found(&small(&[]), &[]), [""; 0]);
    }

    #[test]
    fn upwards_and_past_a_floor_is_not() {
        let scratch = small(&[
            (
                "server/src/store/sqlite/row.rs",
                "\n\nuse crate::{\n    store::Row,\n    chat::Rule,\n};",
            ),
            ("server/src/http/users.rs", "fn f() { super::super::store::get() }"),
            ("server/src/http/auth.rs", "use crate::Store;"),
        ]);
        assert_eq!(
            found(&scratch, &[]),
            [
                "server/src/http/auth.rs:1 `http` names `store`, but may use only: chat",
                "server/src/http/users.rs:1 `http` names `store`, but may use only: chat",
                "server/src/store/sqlite/row.rs:5 `store` names `chat`, but may use only: nothing",
            ]
        );
    }

    #[test]
    fn a_module_without_a_floor_and_a_floor_without_a_module_are_said() {
        let scratch = small(&[("server/src/extra.rs", "")]);
        assert_eq!(
            found(&scratch, &[]),
            ["server/src/extra.rs:1 the module `extra` is on no floor"]
        );
        let empty = Scratch::with(&[]);
        assert_eq!(found(&empty, &[]).len(), TABLE.len());
    }

    #[test]
    fn all_of_the_root_is_no_module() {
        let scratch = small(&[("server/src/http/all.rs", "use crate::*;")]);
        assert_eq!(
            found(&scratch, &[]),
            ["server/src/http/all.rs:1 `crate::*` is no module of the table"]
        );
    }

    #[test]
    fn what_is_tolerated_must_still_be_there() {
        let known = [Tolerated {
            file: "server/src/http/x.rs",
            module: "store",
            why: "because",
        }];
        let scratch = small(&[("server/src/http/x.rs", "use crate::store::A;")]);
        assert_eq!(found(&scratch, &known), [""; 0]);
        scratch.write("server/src/http/x.rs", "");
        assert!(found(&scratch, &known)[0].contains("no longer names `store`"));
    }

    #[test]
    fn a_table_with_a_circle_is_refused() {
        let circle = [
            Module {
                name: "a",
                uses: &["b"],
            },
            Module {
                name: "b",
                uses: &["a"],
            },
        ];
        assert_eq!(order(&circle).len(), 1);
        assert!(order(super::super::rules::MODULES).is_empty());
    }

    #[test]
    fn packages_stay_where_they_are_kept() {
        let table = [Kept {
            package: "axum",
            within: &["server/src/http/"],
        }];
        let scratch = small(&[
            ("server/src/http/a.rs", "use axum::Json;"),
            ("server/src/chat.rs", "fn f() {}\nfn g() -> axum::Json { todo() }"),
            ("server/tests/t.rs", "use axum::Json;"),
        ]);
        let findings = kept(&scratch.tree(), &table);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].file.as_str(), findings[0].line), ("server/src/chat.rs", 2));
    }

    #[test]
    fn depth_counts_modules() {
        for (path, expected) in [
            ("app.rs", 1),
            ("http/mod.rs", 1),
            ("http/body.rs", 2),
            ("store/sqlite/mod.rs", 2),
        ] {
            assert_eq!(depth(path), expected, "{path}");
        }
    }
}
