//! Turns the documents of the contract into items that the compiler checks, and refuses documents that contradict each
//! other: an unknown operation or event in a requirement, a duplicate id, a reference to nothing.

mod asyncapi;
mod bundle;
mod codegen;
mod coverage;
mod openapi;
mod requirements;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use serde_json::Value;

/// What is wrong with the documents, for the person who edits them.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(
                std::io::stdout(),
                "cargo::error=the contract does not hold together: {problem}"
            );
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<()> {
    let mut stdout = std::io::stdout();
    for watched in [
        "build",
        "openapi.yaml",
        "openapi",
        "asyncapi.yaml",
        "schemas",
        "requirements.toml",
        "coverage.toml",
    ] {
        writeln!(stdout, "cargo::rerun-if-changed={watched}").map_err(|error| error.to_string())?;
    }
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    let out = Path::new(&out);
    let schemas = bundle::schemas(Path::new("schemas"))?;

    let openapi_document = bundle::document(Path::new("openapi.yaml"), &schemas)?;
    let asyncapi_document = bundle::document(Path::new("asyncapi.yaml"), &schemas)?;
    let operations = openapi::operations(&openapi_document)?;
    let events = asyncapi::events(&asyncapi_document)?;
    let requirements = requirements::read(Path::new("requirements.toml"), &operations, &events)?;
    let unreachable = coverage::read(Path::new("coverage.toml"))?;
    let mut codes = openapi::codes(&openapi_document);
    codes.extend(asyncapi::codes(&asyncapi_document));

    write_document(out, "openapi", &openapi_document)?;
    write_document(out, "asyncapi", &asyncapi_document)?;
    let code = [
        codegen::operations(&operations),
        codegen::events(&events),
        codegen::codes(&codes),
        codegen::schemas(&schemas)?,
        codegen::requirements(&requirements),
        codegen::unreachable(&unreachable),
    ]
    .concat();
    write(&out.join("generated.rs"), &code)
}

/// Writes a bundled document in both of its notations.
fn write_document(out: &Path, name: &str, document: &Value) -> Result<()> {
    let json = serde_json::to_string(document).map_err(|error| format!("{name}: {error}"))?;
    let yaml = serde_saphyr::to_string(document).map_err(|error| format!("{name}: {error}"))?;
    write(&out.join(format!("{name}.json")), &json)?;
    write(&out.join(format!("{name}.yaml")), &yaml)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
