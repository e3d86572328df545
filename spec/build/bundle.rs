//! Makes one self-contained document out of a document and the files it refers to.
//!
//! A reference to a file in `schemas/` becomes one to `#/components/schemas/`, where the schema then stands with
//! whatever it refers to itself. A reference to any other file is replaced by what it points at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::Result;

/// The JSON Schemas by name, as they stand in their files.
pub(crate) type Schemas = BTreeMap<String, Value>;

/// Reads every schema of a directory.
pub(crate) fn schemas(directory: &Path) -> Result<Schemas> {
    let mut schemas = Schemas::new();
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for entry in entries {
        let path = entry
            .map_err(|error| format!("{}: {error}", directory.display()))?
            .path();
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".json"))
        else {
            return Err(format!("{} is not a .json file", path.display()));
        };
        let schema = serde_json::from_str(&read(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        schemas.insert(name.to_owned(), schema);
    }
    Ok(schemas)
}

/// A schema with whatever it refers to, for validators that know no other file.
pub(crate) fn self_contained(name: &str, schemas: &Schemas) -> Result<Value> {
    let mut bundler = Bundler {
        schemas,
        root: Path::new(""),
        inside: "#/$defs/",
        used: Schemas::new(),
        open: Vec::new(),
    };
    let whole = bundler.take_schema(name);
    whole.ok_or_else(|| format!("schemas/{name}.json refers to nothing"))?;
    let mut schema = bundler.used.remove(name).unwrap_or_default();
    if let (Some(members), false) = (schema.as_object_mut(), bundler.used.is_empty()) {
        members.insert("$defs".to_owned(), Value::Object(bundler.used.into_iter().collect()));
    }
    Ok(schema)
}

/// Reads a YAML document and bundles it.
pub(crate) fn document(path: &Path, schemas: &Schemas) -> Result<Value> {
    let mut bundler = Bundler {
        schemas,
        root: path,
        inside: "#/components/schemas/",
        used: Schemas::new(),
        open: Vec::new(),
    };
    let mut document = bundler.load(path)?;
    let used = std::mem::take(&mut bundler.used);
    let components = document
        .as_object_mut()
        .ok_or_else(|| format!("{} is not a mapping", path.display()))?
        .entry("components")
        .or_insert_with(|| Value::Object(Map::new()));
    let Some(components) = components.as_object_mut() else {
        return Err(format!("components of {} is not a mapping", path.display()));
    };
    components.insert("schemas".to_owned(), Value::Object(used.into_iter().collect()));
    Ok(document)
}

struct Bundler<'a> {
    schemas: &'a Schemas,
    /// References to this file from the files it refers to are local ones in the bundle.
    root: &'a Path,
    /// Where schemas stand in the bundle.
    inside: &'static str,
    used: Schemas,
    /// The files that are being read, each because of the one before it.
    open: Vec<PathBuf>,
}

impl Bundler<'_> {
    fn load(&mut self, path: &Path) -> Result<Value> {
        if self.open.iter().any(|open| open == path) {
            return Err(format!("{} refers to itself by way of other files", path.display()));
        }
        self.open.push(path.to_owned());
        let mut value = serde_saphyr::from_str(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        self.resolve(&mut value, path)?;
        self.open.pop();
        Ok(value)
    }

    fn resolve(&mut self, value: &mut Value, file: &Path) -> Result<()> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.resolve(item, file)),
            Value::Object(members) => {
                let Some(Value::String(reference)) = members.get("$ref") else {
                    return members.values_mut().try_for_each(|member| self.resolve(member, file));
                };
                if members.len() > 1 {
                    return Err(format!("{}: $ref {reference} has siblings", file.display()));
                }
                *value = self.follow(reference, file)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn follow(&mut self, reference: &str, file: &Path) -> Result<Value> {
        let (target, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let nothing = || format!("{}: $ref {reference} leads to nothing", file.display());
        if target.is_empty() && file == self.root {
            return Ok(reference_to(reference));
        }
        if let Some(name) = schema_name(target) {
            self.take_schema(name).ok_or_else(nothing)?;
            return Ok(reference_to(&format!("{}{name}", self.inside)));
        }
        let beside = file.parent().unwrap_or(Path::new("")).join(target);
        let other = if target.is_empty() {
            file.to_owned()
        } else {
            tidy(&beside)
        };
        if other == self.root {
            return Ok(reference_to(&format!("#{pointer}")));
        }
        let found = self.load(&other)?;
        found.pointer(pointer).cloned().ok_or_else(nothing)
    }

    /// Puts a schema and whatever it refers to into the bundle.
    fn take_schema(&mut self, name: &str) -> Option<()> {
        if self.used.contains_key(name) {
            return Some(());
        }
        let mut schema = self.schemas.get(name)?.clone();
        self.used.insert(name.to_owned(), Value::Null);
        self.localize(&mut schema)?;
        self.used.insert(name.to_owned(), schema);
        Some(())
    }

    fn localize(&mut self, value: &mut Value) -> Option<()> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.localize(item)),
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get_mut("$ref") {
                    let name = reference.strip_suffix(".json")?.to_owned();
                    *reference = format!("{}{name}", self.inside);
                    return self.take_schema(&name);
                }
                members.values_mut().try_for_each(|member| self.localize(member))
            }
            _ => Some(()),
        }
    }
}

fn reference_to(target: &str) -> Value {
    Value::Object(Map::from_iter([("$ref".to_owned(), Value::String(target.to_owned()))]))
}

fn schema_name(target: &str) -> Option<&str> {
    let (directory, name) = target.rsplit_once('/')?;
    (directory == "schemas" || directory.ends_with("/schemas")).then(|| name.strip_suffix(".json"))?
}

/// `openapi/../openapi.yaml` is `openapi.yaml`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            tidied.pop();
        } else {
            tidied.push(part);
        }
    }
    tidied
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
