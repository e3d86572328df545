//! Who may depend on whom, and that versions are stated once.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Finding;
use super::rules::Package;
use super::tree::Tree;

const TABLE: &str = "xtask/src/tidy/rules.rs";

/// One dependency as a manifest names it.
struct Dependency {
    package: String,
    line: usize,
    in_tests: bool,
    inherited: bool,
}

/// Every member of the workspace against the table.
pub fn check(tree: &Tree, table: &[Package]) -> Vec<Finding> {
    let manifests: Vec<&str> = tree.files().filter(|file| file.ends_with("/Cargo.toml")).collect();
    let mut findings = Vec::new();
    for file in manifests {
        match check_one(tree, file, table) {
            Ok(found) => findings.extend(found),
            Err(finding) => findings.push(finding),
        }
    }
    findings
}

fn check_one(tree: &Tree, file: &str, table: &[Package]) -> Result<Vec<Finding>, Finding> {
    let text = tree.read(file)?;
    let manifest = DeTable::parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(&text, span.start));
        Finding::new(file, line, error.message(), "Write it as TOML.")
    })?;
    let manifest = manifest.get_ref();
    // A workspace of its own is kept out of ours, with whatever it needs.
    if manifest.get("workspace").is_some() {
        return Ok(Vec::new());
    }
    let package = manifest.get("package").and_then(|package| package.get_ref().as_table());
    let name = package
        .and_then(|package| package.get("name")?.get_ref().as_str())
        .unwrap_or_default();
    let Some(rule) = table.iter().find(|package| package.name == name) else {
        let remedy = format!("Give it a place among PACKAGES in {TABLE}, and in ARCHITECTURE.md.");
        return Ok(vec![Finding::new(
            file,
            1,
            format!("the package `{name}` is on no floor"),
            remedy,
        )]);
    };
    let mut findings = Vec::new();
    if !is_true(manifest.get("lints"), "workspace") {
        let remedy = "Add: [lints] workspace = true";
        findings.push(Finding::new(file, 1, "the workspace's lints are not taken", remedy));
    }
    for dependency in dependencies(&text, manifest) {
        let used = dependency.package.as_str();
        if !dependency.inherited {
            let wrong = format!("`{used}` does not take its version from the workspace");
            let remedy =
                format!("State it in the root's [workspace.dependencies] and write here: {used}.workspace = true");
            findings.push(Finding::new(file, dependency.line, wrong, remedy));
        }
        let allowed = rule.uses.contains(&used) || (dependency.in_tests && rule.in_tests.contains(&used));
        if table.iter().any(|package| package.name == used) && !allowed {
            let of_tests = if rule.in_tests.contains(&used) {
                " outside its tests"
            } else {
                ""
            };
            let wrong = format!("`{name}` may not use `{used}`{of_tests}");
            let remedy = format!("See the floors in ARCHITECTURE.md; the table is PACKAGES in {TABLE}.");
            findings.push(Finding::new(file, dependency.line, wrong, remedy));
        }
    }
    Ok(findings)
}

/// The dependencies of a manifest, those for one system alone included.
fn dependencies(text: &str, manifest: &DeTable<'_>) -> Vec<Dependency> {
    let targets = manifest.get("target").and_then(|targets| targets.get_ref().as_table());
    let per_target = targets.into_iter().flat_map(|targets| targets.values());
    let holders = [manifest]
        .into_iter()
        .chain(per_target.filter_map(|target| target.get_ref().as_table()));
    let mut found = Vec::new();
    for holder in holders {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = holder.get(kind).and_then(|table| table.get_ref().as_table()) else {
                continue;
            };
            for (key, value) in table {
                let renamed = value
                    .get_ref()
                    .as_table()
                    .and_then(|value| value.get("package")?.get_ref().as_str());
                found.push(Dependency {
                    package: renamed.unwrap_or(key.get_ref()).to_owned(),
                    line: line_at(text, key.span().start),
                    in_tests: kind == "dev-dependencies",
                    inherited: is_true(Some(value), "workspace"),
                });
            }
        }
    }
    found
}

fn is_true(table: Option<&Spanned<DeValue<'_>>>, key: &str) -> bool {
    let value = table.and_then(|table| table.get_ref().as_table()?.get(key));
    value.is_some_and(|value| value.get_ref().as_bool() == Some(true))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::super::tree::scratch::Scratch;
    use super::*;

    const TABLE: &[Package] = &[
        Package {
            name: "wire",
            uses: &[],
            in_tests: &[],
        },
        Package {
            name: "kit",
            uses: &[],
            in_tests: &[],
        },
        Package {
            name: "service",
            uses: &["wire"],
            in_tests: &["kit"],
        },
    ];

    fn found(manifest: &str) -> Vec<String> {
        let scratch = Scratch::with(&[("Cargo.toml", "[workspace]"), ("service/Cargo.toml", manifest)]);
        let findings = check(&scratch.tree(), TABLE);
        findings
            .iter()
            .map(|f| format!("{}:{} {}", f.file, f.line, f.wrong))
            .collect()
    }

    fn service(rest: &str) -> String {
        format!("[package]\nname = \"service\"\n[lints]\nworkspace = true\n{rest}")
    }

    #[test]
    fn allowed_ones_pass() {
        let fine = "[dependencies]\nwire.workspace = true\nserde = { workspace = true, features = [\"rc\"] }\n\
                    [dev-dependencies]\nkit.workspace = true\n";
        assert_eq!(found(&service(fine)), [""; 0]);
    }

    #[test]
    fn a_forbidden_one_is_found_wherever_it_stands() {
        for section in ["dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            let said = found(&service(&format!(
                "[{section}]\nserde.workspace = true\nkit.workspace = true\n"
            )));
            assert_eq!(
                said,
                ["service/Cargo.toml:7 `service` may not use `kit` outside its tests"],
                "{section}"
            );
        }
        let upwards =
            "[package]\nname = \"wire\"\n[lints]\nworkspace = true\n[dev-dependencies]\nservice.workspace = true\n";
        assert_eq!(found(upwards), ["service/Cargo.toml:6 `wire` may not use `service`"]);
    }

    #[test]
    fn another_name_does_not_hide_it() {
        let said = found(&service(
            "[dependencies]\nother = { package = \"kit\", path = \"../kit\" }\n",
        ));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said.iter().any(|line| line.contains("may not use `kit`")), "{said:?}");
    }

    #[test]
    fn versions_are_stated_once() {
        let said = found(&service("[dependencies]\nserde = \"1\"\n"));
        assert_eq!(
            said,
            ["service/Cargo.toml:6 `serde` does not take its version from the workspace"]
        );
    }

    #[test]
    fn lints_and_a_floor_are_needed() {
        assert_eq!(
            found("[package]\nname = \"service\"\n"),
            ["service/Cargo.toml:1 the workspace's lints are not taken"]
        );
        assert_eq!(
            found("[package]\nname = \"new\"\n"),
            ["service/Cargo.toml:1 the package `new` is on no floor"]
        );
        assert_eq!(found("[package]\nname = \n").len(), 1);
    }
}
