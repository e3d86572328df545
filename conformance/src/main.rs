//! `chat-conformance`: see `chat-conformance --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chat_conformance::cli::run()
}
